"""The model of one's own: short to read, and exact with super links."""

from __future__ import annotations

import copy
import importlib.util
import sys
import tomllib
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import superlink
from superlink import IMAGE, Message, Sample
from superlink.errors import InputError
from superlink.link import GenerationOptions, generate
from superlink.registry import Registry
from superlink.testing import installed_plugin
from superlink.testing.backbones import Script
from superlink.testing.models import toy_registry

EXAMPLE = Path(__file__).parents[2] / "examples" / "own-mllm"
SOURCE = (EXAMPLE / "own_mllm.py").read_text()
DECODERS = ["toy.box", "toy.spot"]
WRITTEN = [
    "there is nothing to see here",
    "I see <p>a dög</p>[BOX] and that is all",
    "<p>a cat</p>[SPOT] and <p>a car</p>[DOT] then [BOX]",
]
NUM_IMAGES = [0, 1, 3]
TARGET = {"bboxes": torch.tensor([[4.0, 4.0, 20.0, 20.0]]), "labels": torch.tensor([0])}


@pytest.fixture(scope="module")
def own():
    """The example, loaded from its file."""
    spec = importlib.util.spec_from_file_location("own_mllm_example", EXAMPLE / "own_mllm.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bare(own):
    """The model without superlink."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return own.OwnMLLM(own.OwnConfig()).eval()


@pytest.fixture(scope="module")
def linked(own, bare):
    return link(own, bare)


def link(own, bare):
    """A copy of the model with decoders; the model itself stays as it is."""
    backbone = own.OwnBackbone(copy.deepcopy(bare))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return superlink.attach(backbone, decoders=DECODERS, registry=toy_registry()).eval()


def photo(seed):
    pixels = np.random.default_rng(seed).integers(0, 255, (50 + seed, 40, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def question(row):
    parts = (*[IMAGE] * NUM_IMAGES[row], "Find it" * (row + 1))
    images = tuple(photo(10 * row + i) for i in range(NUM_IMAGES[row]))
    return Sample((Message("user", parts),), images)


def answered(row):
    messages = (*question(row).messages, Message("assistant", WRITTEN[row]))
    return Sample(messages, question(row).images)


def write(model, rows):
    """States of what the model writes: `WRITTEN[i]` for each of `rows`, with a cache."""
    samples = [question(i) for i in rows]
    encoded = model.processor.encode(samples, padding_side="left", add_generation_prompt=True)
    with Script(model.backbone, [WRITTEN[i] for i in rows]):
        written = generate(model.backbone, encoded.inputs, model.vocabulary, GenerationOptions(60))
    assert [model.backbone.decode(row.ids) for row in written] == [WRITTEN[i] for i in rows]
    return [row.states for row in written]


@torch.no_grad()
def read(model, rows, side="right"):
    """States of the slots in one forward over the finished conversations, without a cache."""
    encoded = model.processor.encode([answered(i) for i in rows], padding_side=side)
    hidden = model.backbone(encoded.inputs).last_hidden_state
    states = [[] for _ in rows]
    for route in encoded.routes:
        first, width = route.position + 1, model.vocabulary.bindings[route.token].num_queries
        states[route.row].append(hidden[route.row, first : first + width])
    return states


def difference(left, right):
    assert [[s.shape for s in row] for row in left] == [[s.shape for s in row] for row in right]
    pairs = zip(left, right, strict=True)
    return max((a - b).abs().max() for x, y in pairs for a, b in zip(x, y, strict=True))


@torch.no_grad()
def run_bare(bare, inputs):
    seen = bare.see(inputs["pixel_values"]) if "pixel_values" in inputs else None
    return bare(inputs["input_ids"], inputs["attention_mask"], seen)[1]


def test_example_is_short_and_its_model_knows_nothing_of_superlink():
    assert len(SOURCE.splitlines()) < 200
    assert "import transformers" not in SOURCE
    model = SOURCE[SOURCE.index("class OwnConfig") : SOURCE.index("class OwnBackbone")]
    assert "superlink" not in model


def test_states_of_cached_ragged_generation_equal_a_whole_forward(linked):
    states = write(linked, [0, 1, 2])
    assert [[len(s) for s in row] for row in states] == [[], [2], [3, 3, 2]]
    assert difference(states, read(linked, [0, 1, 2])) <= 1e-4
    assert (states[1][0] - states[2][2]).abs().max() > 1e-2  # they depend on the conversation


def test_states_of_a_batch_equal_those_of_its_rows_alone(linked):
    together, alone = write(linked, [2, 0, 1]), [write(linked, [i])[0] for i in (2, 0, 1)]
    assert difference(together, alone) <= 1e-4
    assert difference(read(linked, [2, 0, 1]), [read(linked, [i])[0] for i in (2, 0, 1)]) <= 1e-4


@torch.no_grad()
def test_left_and_right_padded_batches_are_equal(linked):
    assert difference(read(linked, [0, 1, 2], "left"), read(linked, [0, 1, 2], "right")) <= 1e-4
    logits = []
    for side in ("left", "right"):
        inputs = linked.processor.encode([question(i) for i in range(3)], padding_side=side).inputs
        assert inputs["attention_mask"][0, 0 if side == "left" else -1] == 0
        logits.append(linked.backbone(inputs).logits[inputs["attention_mask"].bool()])
    assert (logits[0] - logits[1]).abs().max() <= 1e-4


@torch.no_grad()
def test_hole_takes_no_position_and_is_never_seen(linked):
    backbone = linked.backbone
    inputs = linked.processor.encode([question(1)]).inputs
    cache = backbone(inputs, use_cache=True).cache
    keep = torch.tensor([[0, 1, 0, 1]])

    def step(ids):
        out = backbone({"input_ids": torch.tensor([ids]), "attention_mask": keep}, cache=cache)
        return out.last_hidden_state[0, [1, 3]]

    whole = {
        "input_ids": torch.cat([inputs["input_ids"], torch.tensor([[65, 66]])], dim=1),
        "attention_mask": torch.cat([inputs["attention_mask"], torch.ones(1, 2).long()], dim=1),
        "pixel_values": inputs["pixel_values"],
    }
    expected = backbone(whole).last_hidden_state[0, -2:]
    assert (step([0, 65, 0, 66]) - expected).abs().max() <= 1e-5
    assert torch.equal(step([0, 65, 0, 66]), step([99, 65, 98, 66]))  # the cache is left alone


@torch.no_grad()
def test_model_without_a_route_gives_the_logits_of_the_bare_model(bare, linked):
    inputs = linked.processor.encode([question(i) for i in range(3)], padding_side="left").inputs
    logits, expected = linked.backbone(inputs).logits, run_bare(bare, inputs)
    assert logits.shape[-1] > expected.shape[-1]
    assert torch.equal(logits[..., : expected.shape[-1]], expected)


def test_gradient_of_a_decoder_reaches_queries_and_model(own, bare):
    model = link(own, bare)
    sample = Sample(answered(1).messages, question(1).images, targets=(TARGET,))
    total, count = model(**model.processor([sample])).losses["toy.box/l1"]
    (total / count).backward()
    assert model.queries.banks["toy-box"].grad.abs().sum() > 0
    lacking = {
        n for n, p in model.backbone.named_parameters() if p.grad is None or not p.grad.any()
    }
    assert lacking == {"model.head.weight"}  # the decoder reads what goes into the head


def test_answers_alone_are_supervised(linked):
    sample = Sample(answered(1).messages, question(1).images, targets=(TARGET,))
    batch = linked.processor([sample])
    labels = batch["labels"][0]
    assert linked.backbone.decode(labels[labels >= 0].tolist()) == WRITTEN[1] + "<|end|>"


@torch.no_grad()
def test_pixels_reach_the_logits_from_their_own_place_on(linked):
    inputs = linked.processor.encode([question(i) for i in range(3)]).inputs
    assert len(inputs["pixel_values"].unique(dim=0)) == sum(NUM_IMAGES)
    before = linked.backbone(inputs).logits
    inputs["pixel_values"][1, :, :8, 8:16] *= -1  # the last row's first image: its second patch
    change = (linked.backbone(inputs).logits - before).abs().amax(2)
    place = int((inputs["input_ids"][2] == linked.backbone.tokenize("<image>")[0]).nonzero()[1])
    assert change[2, place:].min() > 0
    assert change[2, :place].max() == change[:2].max() == 0


@torch.no_grad()
def test_image_features_given_ahead_change_nothing(linked):
    inputs = linked.processor.encode([question(i) for i in range(3)]).inputs
    features = linked.backbone.image_features(inputs)
    assert [m.shape for m in features.maps] == [(sum(NUM_IMAGES), 64, 4, 4)]
    expected = linked.backbone(inputs).logits
    assert torch.equal(linked.backbone(inputs, image_features=features).logits, expected)
    assert linked.backbone.image_features(linked.processor.encode([question(0)]).inputs) is None


@torch.no_grad()
@pytest.mark.parametrize(("wanted", "columns"), [(0, slice(None)), (1, [-1]), (3, [-3, -2, -1])])
def test_only_wanted_columns_get_logits_and_states(linked, wanted, columns):
    inputs = linked.processor.encode([question(1)]).inputs
    whole = linked.backbone(inputs)
    for kept in [wanted] if wanted == 0 else [wanted, torch.tensor(columns)]:
        out = linked.backbone(inputs, logits_to_keep=kept)
        assert torch.allclose(out.logits, whole.logits[:, columns], atol=1e-5)
        assert torch.equal(out.last_hidden_state, whole.last_hidden_state[:, columns])


def test_control_strings_that_a_user_types_are_text(linked):
    with Script(linked.backbone, ["no [BOX"]):
        reply = linked.predict("<image> [BOX] <|end|>", photo(0))
    assert (reply.text, list(reply.routes)) == ("no [BOX", [])


def test_text_comes_back_as_it_was(own):
    text = "a<|user|>ü → 犬<image>[BOX]"
    tokenizer = own.ByteTokenizer()
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_placeholders_without_images_are_refused(own, bare):
    backbone = own.OwnBackbone(bare)
    with pytest.raises(InputError, match=r"an image for each <image>: \[1\]. Received: \[0\]"):
        backbone.encode([backbone.render([Message("user", (IMAGE, "Find"))])], [[]])


def test_detached_backbone_is_the_bare_model_again(own, bare):
    model = link(own, bare)
    assert len(model.backbone.tokenize("[BOX]<|toy.box_0|>")) == 2
    backbone = model.detach()
    text = "[BOX]<|toy.box_0|>"
    assert backbone.tokenize(text) == [*text.encode()]
    assert backbone.special_tokens() == [*own.SPECIALS]
    inputs = backbone.encode([backbone.render(question(1).messages)], [question(1).images])
    assert torch.equal(backbone(inputs).logits, run_bare(bare, inputs))


@pytest.fixture
def registry():
    """Sees the toy decoders and the example, installed as a distribution."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    names = ("own_mllm_plugin", "own_mllm")
    with installed_plugin(
        project["name"],
        {name: (EXAMPLE / f"{name}.py").read_text() for name in names},
        entry_points=project["entry-points"]["superlink"],
        version=project["version"],
    ):
        (point,) = entry_points(group="superlink", name="own-mllm")
        found = Registry.discover(
            [point, EntryPoint("toy", "superlink.testing.models", "superlink")]
        )
        yield found


def test_model_built_by_name_predicts_the_same_after_load(registry, tmp_path):
    assert registry.distribution_of("backbone", "own_mllm") == ("superlink-own-mllm", "0.1.0")
    assert "own_mllm" not in sys.modules  # declared, and not imported before it is built
    config = {
        "backbone": {"name": "own_mllm", "config": {"num_layers": 1, "head_size": 8}},
        "decoders": [{"name": name} for name in DECODERS],
    }
    model = superlink.build_model(config, registry).eval()
    folder = superlink.save(model, tmp_path / "model")
    again = superlink.load(folder, registry)
    superlink.save(again, tmp_path / "second")
    for other in (again, superlink.load(tmp_path / "second", registry)):
        assert other.backbone.hidden_size == 32
        assert replies(other) == replies(model)
    files = {path.name for path in (folder / "backbone").iterdir()}
    assert files == {"config.json", "model.safetensors"}


def replies(model):
    with Script(model.backbone, ["<p>dog</p>[BOX] and [SPOT]"]):
        scripted = model.predict("Find: dog", photo(0))
    free = model.predict("Find: dog", photo(0), max_new_tokens=4)
    return scripted.to_json(), free.to_json()
