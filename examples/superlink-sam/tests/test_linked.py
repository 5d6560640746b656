"""The decoder behind an LLM: trained, saved, loaded."""

import pytest
import torch
from PIL import Image, ImageDraw

import superlink
from superlink import IMAGE, Message, Sample

COLORS = ("red", "blue")
SCENES = [
    ((96, 64), [(4, 6, 40, 40), (50, 20, 90, 60)]),
    ((60, 90), [(20, 50, 50, 84), (6, 6, 40, 30)]),
]


def scene(index):
    """A red and a blue box on white, a question for both, and their masks."""
    (width, height), boxes = SCENES[index]
    image = Image.new("RGB", (width, height), "white")
    masks = torch.zeros(2, height, width, dtype=torch.bool)
    for mask, color, (x1, y1, x2, y2) in zip(masks, COLORS, boxes, strict=True):
        ImageDraw.Draw(image).rectangle((x1, y1, x2 - 1, y2 - 1), fill=color)
        mask[y1:y2, x1:x2] = True
    messages = (
        Message("user", (IMAGE, "Cut out the red box, the blue box")),
        Message("assistant", "<p>red box</p>[SEG], <p>blue box</p>[SEG]"),
    )
    target = {"masks": masks, "labels": torch.tensor([0, 1])}
    return Sample(messages, (image,), targets=(target,), key=f"scene {index}")


def forced(model, sample):
    """The prediction for the given answer."""
    (reply,) = model.answer([sample], "forced")
    (prediction,) = reply.predictions
    return prediction


def test_gradient_reaches_queries_and_llm(linked):
    model = linked()
    terms = model(**model.processor([scene(0)])).losses
    sum(value for name, (value, _) in terms.items() if name != "lm").backward()
    assert model.queries.banks["sam-masks"].grad.abs().sum() > 0
    layers = [p for n, p in model.backbone.named_parameters() if ".layers.0.mlp." in n]
    assert layers
    assert all(p.grad.abs().sum() > 0 for p in layers)


def test_short_training_on_two_scenes_finds_their_boxes(linked):
    model, samples = linked().train(), [scene(0), scene(1)]
    batch = model.processor(samples)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=4e-3, betas=(0.9, 0.95))
    curve = []
    for _ in range(80):
        loss = model(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        curve.append(float(loss.detach()))
    assert sum(curve[-5:]) < 0.1 * sum(curve[:5])
    for sample in samples:
        found = forced(model.eval(), sample)
        masks = sample.targets[0]["masks"][found.labels]
        overlaps = (found.masks & masks).sum((1, 2)) / (found.masks | masks).sum((1, 2))
        assert sorted(found.labels.tolist()) == [0, 1]
        assert overlaps.min() > 0.8
        assert (found.scores - overlaps).abs().max() < 0.2
    assert model.predict("Cut out the red box, the blue box", samples[0].images[0]).predictions


@pytest.mark.parametrize("family", [None, "sam", "sam2"])
def test_linked_model_predicts_the_same_after_load(linked, checkpoint, tmp_path, family):
    source = None if family is None else str(checkpoint(family))
    model = linked(source=source, num_prompt_tokens=2)
    with torch.no_grad():
        for parameter in model.decoders.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    again = superlink.load(superlink.save(model, tmp_path / "model"))
    for name, value in model.decoders.state_dict().items():
        assert torch.equal(value, again.decoders.state_dict()[name]), name
    first, second = forced(model, scene(1)), forced(again, scene(1))
    assert torch.equal(first.scores, second.scores)
    assert torch.equal(first.masks, second.masks)
