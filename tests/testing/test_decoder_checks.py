"""The checks of task decoders pass what works, and find what is broken on purpose."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict
from torch import nn

import superlink as sl
from superlink.interfaces import CallInput, DecoderInputs
from superlink.testing import (
    DECODER_CHECKS,
    TOY_BOX,
    TOY_SPOT,
    DecoderCase,
    ToyBoxConfig,
    ToyBoxDecoder,
    check_decoder,
    decoder_checks,
    installed_plugin,
)
from superlink.testing import decoder_processes as processes
from superlink.testing.checks import docs_of, run_checks
from superlink.testing.decoder_comparison import loss_gap, loss_gaps, prediction_gap

IN_PROCESS = [check for check in DECODER_CHECKS if check.topic != "isolation"]


class MeanLoss(ToyBoxDecoder):
    def loss(self, links, inputs):
        value, count = super().loss(links, inputs)["l1"]
        return {"l1": (value / max(count, 1.0), count)}


class BareLoss(ToyBoxDecoder):
    def loss(self, links, inputs):
        return {"l1": super().loss(links, inputs)["l1"][0]}


class EmptyNan(ToyBoxDecoder):
    def loss(self, links, inputs):
        value, count = super().loss(links, inputs)["l1"]
        return {"l1": (value / count * count, count)}


class Detached(ToyBoxDecoder):
    def loss(self, links, inputs):
        return super().loss(replace(links, states=links.states.detach()), inputs)


class FirstRouteOnly(ToyBoxDecoder):
    def loss(self, links, inputs):
        states = torch.cat([links.states[:1], links.states[1:].detach()])
        return super().loss(replace(links, states=states), inputs)


class RowZero(ToyBoxDecoder):
    def predict(self, links, inputs):
        states = links.states[:1].expand_as(links.states)
        return super().predict(replace(links, states=states), inputs)


class StreamPixels(ToyBoxDecoder):
    def predict(self, links, inputs):
        plain = [sl.Geometry.identity(geometry.size) for geometry in inputs["geometry"]]
        return super().predict(links, DecoderInputs(inputs, geometry=plain))


class ForgetsFlips(ToyBoxDecoder):
    def predict(self, links, inputs):
        plain = [g.mirrored() if g.flipped else g for g in inputs["geometry"]]
        return super().predict(links, DecoderInputs(inputs, geometry=plain))


class FlipsTargets(ToyBoxDecoder):
    def prepare(self, call, *, training):
        item = super().prepare(call, training=training)
        if training:
            plain = item["geometry"].mirrored() if call.geometry.flipped else item["geometry"]
            item["bboxes"] = plain.boxes_to_stream(call.target["bboxes"])
        return item


class FirstLabel(ToyBoxDecoder):
    def predict(self, links, inputs):
        found = super().predict(links, inputs)
        return [replace(one, labels=torch.zeros_like(one.labels)) for one in found]


class UnsortedScores(ToyBoxDecoder):
    def predict(self, links, inputs):
        found = super().predict(links, inputs)
        scores = links.states[:, 0].sigmoid()
        return [replace(one, scores=scores[links.calls == i]) for i, one in enumerate(found)]


class OnePrediction(ToyBoxDecoder):
    def predict(self, links, inputs):
        return super().predict(links, inputs)[:1]


class PeeksAtTargets(ToyBoxDecoder):
    def prepare(self, call, *, training):
        item = super().prepare(call, training=training)
        return item | {"number": len(call.target["labels"])}


class Dice(ToyBoxDecoder):
    def loss(self, links, inputs):
        value, count = super().loss(links, inputs)["l1"]
        return {"l1": (value * (1 + torch.rand(())), count)}


class TrainingDice(ToyBoxDecoder):
    def loss(self, links, inputs):
        value, count = super().loss(links, inputs)["l1"]
        return {"l1": (value * (1 + torch.rand(()) * self.training), count)}


class FullestSetsNoise(ToyBoxDecoder):
    """In training, the fullest call of a batch says how much is learned of each."""

    def loss(self, links, inputs):
        losses = super().loss(links, inputs)
        if not self.training:
            return losses
        groups = 12 // max(1, *map(len, inputs["labels"]))
        noise = torch.rand(groups, generator=torch.Generator().manual_seed(0)).mean()
        return losses | {"dn_l1": (losses["l1"][0] * (1 + noise), losses["l1"][1])}


class BatchStatistics(ToyBoxDecoder):
    def __init__(self, config):
        super().__init__(config)
        self.image_encoder.insert(1, nn.BatchNorm2d(config.cond_size))


class Dropout(ToyBoxDecoder):
    """What training is allowed to do."""

    def __init__(self, config):
        super().__init__(config)
        self.image_encoder.append(nn.Dropout(0.5))
        self.path_dropout = 0.5

    def _boxes(self, links, inputs):
        states = nn.functional.dropout(links.states, self.path_dropout, self.training)
        return super()._boxes(replace(links, states=states), inputs)


class Stains(ToyBoxDecoder):
    def loss(self, links, inputs):
        inputs["seen"] = True
        return super().loss(links, inputs)


class StainsCall(ToyBoxDecoder):
    def prepare(self, call, *, training):
        item = super().prepare(call, training=training)
        if call.target is not None:
            call.target["seen"] = True
        return item


class SharedHead(ToyBoxDecoder):
    shared = nn.Linear(16 * 64, 4)

    def __init__(self, config):
        super().__init__(config)
        self.head = self.shared


class OwnDice(ToyBoxDecoder):
    def __init__(self, config):
        super().__init__(config)
        nn.init.normal_(self.head.weight, generator=torch.Generator().manual_seed(torch.seed()))


class Forgets(ToyBoxDecoder):
    def __init__(self, config):
        super().__init__(config)
        self.register_buffer("bias", torch.randn(16), persistent=False)

    def _boxes(self, links, inputs):
        return super()._boxes(replace(links, states=links.states + self.bias), inputs)


class Unused(ToyBoxDecoder):
    def __init__(self, config):
        super().__init__(config)
        self.masks = nn.Linear(3, 3)


class NoHalf(ToyBoxDecoder):
    def loss(self, links, inputs):
        torch.eye(2).to(links.states).detach().numpy()  # which knows no bfloat16
        return super().loss(links, inputs)


class WrongConnector(ToyBoxDecoder):
    def build_connector(self, hidden_size, token):
        return nn.Sequential(nn.Flatten(), nn.Linear(2 * hidden_size, self.cond_size + 1))


class NoSize(ToyBoxDecoder):
    def __init__(self, config):
        super().__init__(config)
        del self.cond_size


class Broken(ToyBoxDecoder):
    def __init__(self, config):
        raise OSError("no such weights")


class OneToken(ToyBoxDecoder):
    def prepare(self, call, *, training):
        return super().prepare(call, training=training) | {"kind": {"[SPOT]": 0}[call.tokens[0]]}


@dataclasses.dataclass(frozen=True)
class Painting(sl.Prediction):
    pixels: torch.Tensor

    def to_json(self):
        return {"size": list(self.pixels.shape[1:])}

    def draw(self, canvas):
        canvas.image = Image.fromarray(self.pixels.permute(1, 2, 0).numpy())


class Painter(sl.TaskDecoder):
    """Makes a picture: no image, no instances, all queries kept, and noise of its own."""

    pooling = "none"
    cond_size = 8

    def __init__(self, config):
        super().__init__()
        self.paint = nn.Linear(8, 3 * 4 * 4)

    def prepare(self, call, *, training):
        seed = sum(call.key.encode())
        item = {"noise": torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(seed))}
        return item | ({} if call.target is None else {"pixels": call.target["pixels"]})

    def loss(self, links, inputs):
        errors = self.pictures(links, inputs) - inputs["pixels"]
        return {"mse": (errors.square().mean((1, 2, 3)).sum(), float(len(errors)))}

    def predict(self, links, inputs):
        levels = (self.pictures(links, inputs).sigmoid() * 255).round().byte()
        return [Painting(one) for one in levels]

    def pictures(self, links, inputs):
        states, mask = links.padded()  # (calls, routes, Q, C)
        means = (states.mean(2) * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return self.paint(means).unflatten(-1, (3, 4, 4)) + inputs["noise"]

    def dummy_call(self):
        return CallInput(None, None, {"pixels": torch.zeros(3, 4, 4)}, ("[GEN]",), ("",))


class Poser(ToyBoxDecoder):
    """Two keypoints with names, left and right, and a mask for each box."""

    def prepare(self, call, *, training):
        item = super().prepare(call, training=training)
        if call.target is None:
            return item
        points = item["geometry"].points_to_stream(call.target["keypoints"][..., :2])
        flipped = item["geometry"].flipped
        return item | {"keypoints": points.flip(1) if flipped else points}  # (N, 2, 2)

    def loss(self, links, inputs):
        firsts = links.counts().cumsum(0) - links.counts()
        pairs = zip(firsts, inputs["labels"], strict=True)
        routes = torch.cat([first + labels for first, labels in pairs])
        top = self._boxes(links, inputs)[routes][:, [0, 1, 2, 1]].unflatten(-1, (2, 2))
        errors = (top - torch.cat(list(inputs["keypoints"]))).abs().mean((1, 2)).sum() / 32
        return super().loss(links, inputs) | {"keypoints": (errors, float(len(routes)))}

    def predict(self, links, inputs):
        found = super().predict(links, inputs)
        for index, geometry in enumerate(inputs["geometry"]):
            one, (height, width) = found[index], geometry.original_size
            points = one.bboxes[:, [0, 1, 2, 1]].unflatten(-1, (2, 2))
            y, x = torch.arange(height)[:, None] + 0.5, torch.arange(width) + 0.5
            x1, y1, x2, y2 = (side[:, None, None] for side in one.bboxes.unbind(-1))
            found[index] = replace(
                one,
                masks=(x >= x1) & (x < x2) & (y >= y1) & (y < y2),
                keypoints=points.flip(1) if geometry.flipped else points,
                keypoint_scores=one.scores[:, None].expand(-1, 2),
            )
        return found

    def dummy_call(self):
        call = super().dummy_call()
        masks = torch.ones(1, 32, 32, dtype=torch.bool)
        points = torch.tensor([[[9.0, 9.0, 1.0], [20.0, 9.0, 1.0]]])
        target = {**call.target, "masks": masks, "keypoints": points, "area": [9.0], "source": "x"}
        return replace(call, target=target)


@dataclasses.dataclass(frozen=True)
class BadPrediction(sl.Prediction):
    bboxes: torch.Tensor

    def to_json(self):
        return {"bboxes": self.bboxes}

    def draw(self, canvas):
        canvas.circle(self.bboxes)


class BadPredictions(ToyBoxDecoder):
    def predict(self, links, inputs):
        return [BadPrediction(one.bboxes) for one in super().predict(links, inputs)]


class Thawed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    cond_size: int = 16


class Greedy(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    cond_size: int = 16


class Demanding(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    cond_size: int


PAINT = replace(TOY_BOX, name="toy.paint", routing_tokens=("[GEN]",), needs_image=False)


def case(decoder=ToyBoxDecoder, spec=TOY_BOX, config_class=ToyBoxConfig):
    factory, config = (f"{cls.__module__}:{cls.__name__}" for cls in (decoder, config_class))
    return DecoderCase(replace(spec, factory=factory, config_class=config))


def failed(results):
    return {result.name: result for result in results if result.status == "failed"}


@pytest.mark.parametrize("spec", [TOY_BOX, TOY_SPOT], ids=lambda spec: spec.name)
def test_toy_decoders_pass(spec):
    check_decoder(DecoderCase(spec))


@pytest.mark.parametrize(
    ("decoder", "found"),
    [
        (Broken, "build"),
        (NoSize, "build"),
        (WrongConnector, "connector"),
        (SharedHead, "twice"),
        (OwnDice, "twice"),
        (BareLoss, "loss"),
        (Detached, "loss"),
        (PeeksAtTargets, "predict"),
        (OnePrediction, "routes"),
        (FirstRouteOnly, "condition"),
        (EmptyNan, "empty batch"),
        (Unused, "parameters"),
        (NoHalf, "half"),
        (MeanLoss, "batch"),
        (FullestSetsNoise, "batch"),
        (BatchStatistics, "batch"),
        (TrainingDice, "batch"),
        (RowZero, "batch call_order route_order"),
        (FirstLabel, "route_order"),
        (Dice, "batch repeat"),
        (Stains, "pure"),
        (StainsCall, "pure"),
        (UnsortedScores, "instances"),
        (StreamPixels, "scale flip"),
        (ForgetsFlips, "flip"),
        (FlipsTargets, "flip"),
        (BadPredictions, "json draw"),
        (Forgets, "save"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else value.replace(" ", "_"),
)
def test_fault_is_found_by_its_check(decoder, found):
    wrong = failed(run_checks(IN_PROCESS, case(decoder)))
    assert {*wrong} == {*found.split()}
    assert all(result.cure for result in wrong.values())


def test_loss_that_hangs_on_the_batch_is_named_with_the_norms_that_may_do_it():
    (batch,) = (check for check in DECODER_CHECKS if check.name == "batch")
    with pytest.raises(AssertionError, match=r"'l1' .* training mode; BatchNorm .*image_encoder.1"):
        batch.run(case(BatchStatistics))
    with pytest.raises(AssertionError, match=r"'dn_l1' \d.*e-0\d apart in training mode$"):
        batch.run(case(FullestSetsNoise))


def test_dropout_in_training_passes_and_is_as_it_was():
    one = case(Dropout)
    assert failed(run_checks(IN_PROCESS, one)) == {}
    assert (one.decoder.path_dropout, one.decoder.image_encoder[-1].p) == (0.5, 0.5)


@pytest.mark.parametrize(("decoder", "spec"), [(Painter, PAINT), (Poser, TOY_BOX)])
def test_decoder_of_another_kind_passes(decoder, spec):
    results = {result.name: result for result in run_checks(IN_PROCESS, case(decoder, spec))}
    assert failed(results.values()) == {}
    skipped = {name for name, result in results.items() if result.status == "skipped"}
    places = {"empty", "route_order", "instances", "bounds", "scale", "flip"}
    assert skipped == (places if decoder is Painter else set())


def test_token_that_is_not_served_is_found():
    assert {*failed(run_checks(IN_PROCESS, case(OneToken, TOY_SPOT)))} == {"tokens"}


@pytest.mark.parametrize("config_class", [Thawed, Greedy, Demanding])
def test_config_that_a_recipe_cannot_use_is_found(config_class):
    results = run_checks(IN_PROCESS, case(config_class=config_class))
    assert {*failed(results)} == {"config"}
    assert {result.status for result in results[2:]} == {"skipped"}


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("no.such_decoder", "There is no decoder of this name"),
        (replace(TOY_BOX, factory="superlink.testing:NoSuchDecoder"), "Cannot import"),
        (replace(TOY_BOX, config_class="superlink:IMAGE"), "a callable at superlink:IMAGE"),
    ],
)
def test_decoder_that_cannot_be_found_fails_the_first_check(declared, message):
    results = run_checks(IN_PROCESS, DecoderCase(declared))
    assert {*failed(results)} == {"spec"}
    assert message in results[0].detail


def test_settings_that_are_no_json_are_found():
    spec = replace(TOY_BOX, config_class=f"{__name__}:ToyBoxConfig")
    results = run_checks(IN_PROCESS, DecoderCase(spec, {"cond_size": torch.tensor(8)}))
    assert {*failed(results)} == {"config"}


def test_connection_and_heavy_import_are_found():
    plugin = (
        "import json, superlink_far.decoder\n"
        "from dataclasses import replace\n"
        "from superlink.registry import hookimpl\n"
        "from superlink.testing import TOY_BOX\n"
        "@hookimpl\n"
        "def superlink_decoders():\n"
        "    yield replace(TOY_BOX, name='far.box', factory='superlink_far.decoder:FarBox')\n"
    )
    decoder = (
        "import socket\n"
        "from superlink.testing import ToyBoxDecoder\n"
        "class FarBox(ToyBoxDecoder):\n"
        "    def __init__(self, config):\n"
        "        super().__init__(config)\n"
        "        try: socket.getaddrinfo('weights.example.org', 443)\n"
        "        except OSError: pass\n"
        "        except RuntimeError: pass\n"
    )
    sources = {"superlink_far.plugin": plugin, "superlink_far.decoder": decoder}
    with installed_plugin("superlink-far", sources):
        wrong = failed(decoder_checks(DecoderCase("far.box")))
    assert {*wrong} == {"light", "offline"}
    assert "superlink_far.decoder" in wrong["light"].detail
    assert "weights.example.org" in wrong["offline"].detail


IDLE = """
from torch import nn
from superlink.testing import ToyBoxDecoder

class Unused(ToyBoxDecoder):
    def __init__(self, config):
        super().__init__(config)
        self.masks = nn.Linear(3, 3)

class Infinite(ToyBoxDecoder):
    def loss(self, links, inputs):
        value, count = super().loss(links, inputs)["l1"]
        return {"l1": (value / (links.num_calls - 1 + len(links.states) - 1), count)}

class Raises(ToyBoxDecoder):
    def loss(self, links, inputs):
        if len(links.states) == 1:
            raise ValueError("one route is not enough")
        return super().loss(links, inputs)
"""


@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        ("Unused", "no gradient of ['decoders.toy-box.masks.weight'"),
        ("Infinite", "with dummy_call() alone. Received: no finite gradient"),
        ("Raises", "ValueError: one route is not enough"),
    ],
    ids=lambda value: value.split()[0],
)
def test_dummy_call_that_does_not_serve_is_found_in_two_processes(decoder, message):
    with installed_plugin("superlink-idle", {"superlink_idle": IDLE}, entry_points={}):
        case = DecoderCase(replace(TOY_BOX, factory=f"superlink_idle:{decoder}"))
        isolation = [check for check in DECODER_CHECKS if check.topic == "isolation"]
        wrong = failed(run_checks(isolation, case))
    assert {*wrong} == {"idle"}
    assert message in wrong["idle"].detail


def test_processes_that_hang_are_ended(monkeypatch):
    monkeypatch.setattr(processes, "TIME_LIMIT", 0.1)
    isolation = [check for check in DECODER_CHECKS if check.name == "idle"]
    (result,) = run_checks(isolation, DecoderCase(TOY_BOX))
    assert result.status == "failed"
    assert "they hang" in result.detail


def test_third_party_decoder_whose_targets_are_points_passes(acme):
    calls = import_module("superlink_acme.task").example_call
    check_decoder(DecoderCase("acme.dots", {"size": 16}, calls=calls))


def test_targets_of_single_routes_need_calls(acme):
    results = decoder_checks(DecoderCase("acme.dots"))
    assert {*failed(results)} == {"routes"}
    assert "give the case `calls`" in failed(results)["routes"].cure


@pytest.fixture
def acme():
    folder = Path(__file__).parents[1] / "fixtures" / "superlink-acme" / "superlink_acme"
    sources = {f"superlink_acme.{path.stem}": path.read_text() for path in folder.glob("[!_]*.py")}
    points = {"acme": "superlink_acme.plugin"}
    with installed_plugin("superlink-acme", sources, entry_points=points):
        yield


def test_conformance_in_one_line_names_every_failure():
    broken = case(BadPredictions)
    notes = {"attempts": [], "shared": True, "done": True}
    broken.apart = processes.Apart((notes, notes), ("", ""), hung=False)
    with pytest.raises(AssertionError, match=r"toy.box fails\njson: .*\ndraw: [^\n]*$"):
        check_decoder(broken)


def test_every_check_says_which_fault_it_stops_and_how_to_mend_it():
    assert all(doc.startswith("Stops ") for doc in docs_of(DECODER_CHECKS).values())
    assert all(check.cure for check in DECODER_CHECKS)
    assert len({check.name for check in DECODER_CHECKS}) == len(DECODER_CHECKS)
    basic = [check.basic for check in DECODER_CHECKS]
    last = max(index for index, value in enumerate(basic) if value)
    assert sum(basic[: last + 1]) >= last  # `twice` stands among them


def test_instances_are_compared_as_sets_and_all_else_in_order():
    boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [2.0, 2.0, 9.0, 9.0]])
    one = sl.InstancePrediction(boxes, torch.ones(2), torch.zeros(2).long(), ("a",))
    assert prediction_gap(one, one.select(torch.tensor([1, 0]))) == 0
    moved = replace(one, bboxes=boxes + 0.9)
    assert prediction_gap(moved, one) == pytest.approx(0.1)
    for other in (
        one.select(torch.tensor([0])),
        replace(one, labels=torch.tensor([0, 1])),
        replace(one, phrases=("b",)),
        replace(one, bboxes=boxes * float("nan")),
        replace(one, masks=torch.zeros(2, 3, 3).bool()),
        Painting(boxes),
    ):
        assert prediction_gap(other, one) == float("inf")
    assert prediction_gap(Painting(boxes), Painting(boxes.flip(0))) > 0.1


def test_small_sums_are_compared_relatively_where_it_is_asked():
    one, two = ({"a": (torch.tensor(value), 1.0)} for value in (0.1, 0.11))
    assert loss_gaps(one, two)["a"] == pytest.approx(0.01, rel=1e-3)
    assert loss_gaps(one, two, smallest=0.01)["a"] == pytest.approx(1 / 11, rel=1e-3)


def test_loss_that_one_side_lacks_is_zero_there():
    one = {"a": (torch.tensor(2.0), 1.0)}
    assert loss_gap(one, one | {"b": (torch.tensor(0.0), 0.0)}) == 0
    assert loss_gap(one, one | {"b": (torch.tensor(0.5), 0.0)}) == 0.5


def test_case_leaves_the_draws_of_others_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    one = case()
    one.losses(one.batch(1, 2), training=True)
    one.predictions(one.batch(1))
    assert torch.equal(torch.rand(2), expected)
