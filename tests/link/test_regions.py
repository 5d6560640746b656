"""Regions in the LLM's input: one value for each, in its place, and nothing else changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

from superlink.errors import ConfigError, InputError
from superlink.interfaces import IMAGE, REGION, ImageFeatures, Message, Region, Sample
from superlink.link import GenerationOptions, RegionConfig, RegionEncoder
from superlink.testing.backbones import Script
from superlink.testing.models import toy_model

CONFIG = RegionConfig(image_size=32, dims=16)
BOXES = (Region.box(2, 3, 20, 18), Region.box(22, 4, 44, 28), Region.point((30, 20)))


@pytest.fixture(scope="module")
def model():
    return toy_model(regions=CONFIG)


def picture(seed=0, size=(48, 32)):
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def question(*regions, text="segment", image=None, answer="<p>region 1</p>[BOX]"):
    parts = (IMAGE, text, *(part for _ in regions for part in (" ", REGION)))
    messages = (Message("user", parts), Message("assistant", answer))
    target = {"bboxes": torch.tensor([[2.0, 3, 20, 18]]), "labels": torch.tensor([0])}
    targets = (target,) if "[BOX]" in answer else ()
    return Sample(messages, (image or picture(),), targets=targets, regions=regions)


def states(model, *samples):
    """The states behind the routes of forced answers."""
    with model._evaluating():
        answers, _ = model._force(samples)
    return torch.stack(answers.states)


def test_the_states_tell_regions_apart(model):
    first, second = (states(model, question(box)) for box in BOXES[:2])
    assert (first - second).abs().max() > 1e-3
    assert torch.equal(first, states(model, question(BOXES[0])))


def test_a_batch_gives_what_each_row_gives_alone(model):
    samples = [
        question(BOXES[0]),
        question(*BOXES, text="find all of"),
        question(image=picture(1)),
        question(BOXES[2], BOXES[1], image=picture(2)),
    ]
    together = states(model, *samples)
    for index, sample in enumerate(samples):
        assert torch.allclose(together[index], states(model, sample)[0], atol=1e-4)


def test_generation_sees_the_regions_that_forced_routing_sees(model):
    asked = [question(box) for box in BOXES[:2]]
    prompts = [Sample(s.messages[:1], s.images, regions=s.regions) for s in asked]
    alone = [model.answer([prompt], max_new_tokens=6)[0] for prompt in prompts]
    together = model.answer(prompts, max_new_tokens=6)
    assert [reply.text for reply in together] == [reply.text for reply in alone]
    beams = model.answer(prompts, max_new_tokens=4, do_sample=True, num_return_sequences=2)
    assert len(beams) == 4


class Reads(TorchDispatchMode):
    """Counts how often a value is asked for, which on an accelerator waits for all before it."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*arguments, **(options or {}))


@pytest.mark.parametrize("regions", [BOXES[:1], ()])
def test_steps_behind_the_prompt_do_not_look_for_regions(model, regions, monkeypatch):
    counts, put = [], model.hooks._put_regions

    def counted(*arguments):
        with Reads() as reads:
            output = put(*arguments)
        counts.append(reads.count)
        return output

    monkeypatch.setattr(model.hooks, "_put_regions", counted)
    asked = question(*regions)
    prompt = Sample(asked.messages[:1], asked.images, regions=asked.regions)
    texts = ["<p>a</p>[BOX] and <p>b</p>[BOX] and <p>c</p>[BOX]"]
    with Script(model.backbone, texts):
        (reply,) = model.answer([prompt], max_new_tokens=30)
    assert [route.token for route in reply.routes] == ["[BOX]"] * 3
    assert len(counts) >= 6 and not any(counts[2:])
    forced = question(*regions, answer=texts[0])
    assert torch.allclose(
        torch.stack(answered(model, prompt, texts)), states(model, forced), atol=1e-4
    )


def answered(model, prompt, texts):
    """The states behind the routes of a scripted answer."""
    with Script(model.backbone, texts), model._evaluating():
        steps, _ = model._decode([prompt], GenerationOptions(30), ())
        rows = [changed[0] for changed in steps if 0 in changed]
    return rows[-1].states


def test_a_conversation_without_regions_is_that_of_a_model_without_an_encoder(model):
    plain = toy_model()
    plain.queries.load_state_dict(model.queries.state_dict())
    plain.connectors.load_state_dict(model.connectors.state_dict())
    assert torch.equal(states(model, question()), states(plain, question()))


def test_the_gradient_reaches_the_encoder(model):
    batch = model.processor([question(BOXES[0]), question()])
    model(**{key: value for key, value in batch.items() if key != "dropped"}).loss.backward()
    for name, parameter in model.regions.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    model.zero_grad()


def test_an_idle_encoder_takes_part_with_weight_zero(model):
    batch = model.processor([question()])
    del batch["dropped"]
    with_it = model(**batch).loss
    model.idle = True
    try:
        loss = model(**batch).loss
    finally:
        model.idle = False
    assert torch.allclose(loss, with_it)
    loss.backward()
    assert all(p.grad is not None and not p.grad.any() for p in model.regions.parameters())
    model.zero_grad()


def test_a_user_cannot_forge_a_region(model):
    sample = Sample((Message("user", (IMAGE, "what is <region>?")),), (picture(),))
    ids = model.processor.encode([sample]).inputs["input_ids"]
    assert model.vocabulary.ids["<region>"] not in ids
    assert model.predict("what is <region>?", picture(), max_new_tokens=2).text is not None


def test_predict_takes_one_region_for_each_mark(model):
    reply = model.predict("segment <region>", picture(), regions=[BOXES[0]], max_new_tokens=3)
    assert reply.text is not None
    with pytest.raises(InputError, match="and 2 regions"):
        model.predict("segment <region>", picture(), regions=BOXES[:2])
    with pytest.raises(InputError, match="inside of its image"):
        model.predict("segment <region>", picture(), regions=[Region.point((500, 3))])


def test_one_region_need_not_stand_in_a_list(model):
    one, same = (
        model.predict("segment <region>", picture(), regions=given, max_new_tokens=3)
        for given in (BOXES[0], [BOXES[0]])
    )
    assert one.text == same.text
    for wrong in ((1, 2, 9, 9), [(1, 2, 9, 9)], None, "box:1,2,9,9"):
        with pytest.raises(InputError, match=r"made by Region\.point"):
            model.predict("segment <region>", picture(), regions=wrong)


def test_a_model_without_an_encoder_says_how_to_get_one():
    with pytest.raises(ConfigError, match="no region encoder"):
        toy_model().predict("segment <region>", picture(), regions=[BOXES[0]])


def test_the_place_of_a_region_counts_by_itself(model):
    """Two parts of a plain image differ in their place alone."""
    plain = Image.new("RGB", (48, 32), (90, 90, 90))
    left, right = Region.box(2, 2, 12, 12), Region.box(34, 18, 44, 28)
    values = [
        model.region_values(model.processor.region_inputs([question(box, image=plain)]), None)
        for box in (left, right, left)
    ]
    assert (values[0] - values[1]).abs().max() > 1e-3 * values[0].abs().max()
    assert torch.equal(values[0], values[2])


def test_large_regions_are_finite_and_exact_in_half_precision():
    """float16 ends at 65504, and a mask of 320 x 320 pixels has 102400."""
    size, masks = 320, torch.ones(2, 320, 320)
    masks[1, :, :160] = 0
    encoder = RegionEncoder(32, 8, RegionConfig(image_size=size, dims=16))
    features = ImageFeatures((), grids=(torch.full((3000, 8), 50.0),))
    inputs = {
        "pictures": torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)),
        "masks": masks,
        "shares": torch.ones(2, 3000),
        "images": torch.tensor([0, 0]),
        "rows": torch.tensor([0, 0]),
        "order": torch.tensor([0, 1]),
        "num_rows": torch.tensor(1),
    }
    with torch.no_grad():
        exact = encoder(inputs, features)
        with torch.autocast("cpu", torch.float16):
            casted = encoder(inputs, features)
        half = encoder.half()(inputs, replace(features, grids=(features.grids[0].half(),)))
    for values in (casted.float(), half.float()):
        assert (values - exact).abs().max() < 0.02 * exact.abs().max()


def test_a_mask_may_be_a_view_of_another_or_lie_in_memory_that_is_not_ours(model):
    mask = np.zeros((32, 48), bool)
    mask[3:18, 2:20] = True
    locked = mask[:, ::-1].copy()
    locked.flags.writeable = False
    one, two = (question(Region.from_mask(m)) for m in (mask[:, ::-1], locked))
    assert torch.equal(states(model, one), states(model, two))


def test_a_region_in_an_answer_is_read_and_not_learnt(model):
    messages = (
        Message("user", (IMAGE, "where is it?")),
        Message("assistant", ("it is ", REGION, " here")),
    )
    batch = model.processor([Sample(messages, (picture(),), regions=BOXES[:1])])
    is_region = batch["inputs"]["input_ids"] == model.vocabulary.ids["<region>"]
    assert is_region.sum() == 1 and (batch["labels"][is_region] == -100).all()
    assert (batch["labels"] != -100).sum() > 3
    loss = model(**{key: value for key, value in batch.items() if key != "dropped"}).loss
    assert torch.isfinite(loss)


def test_a_region_that_cannot_be_drawn_names_its_sample(model):
    wrong = replace(question(BOXES[0], Region.point((500, 3))), key="photo 7")
    with pytest.raises(InputError, match="region 1 of key='photo 7'"):
        model.processor([wrong])
