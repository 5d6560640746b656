"""Tokens of one decoder that share their queries, or have queries of their own, by the recipe."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cached_property

import pytest
import torch
from PIL import Image

from superlink import SuperLinkModel, attach, load, save
from superlink.interfaces import IMAGE, Message, Sample
from superlink.linked import BoundDecoder
from superlink.testing import TOY_BOX, ToyBoxConfig, ToyBoxDecoder
from superlink.testing.backbone_case import BackboneCase
from superlink.testing.backbone_checks import BACKBONE_CHECKS
from superlink.testing.backbones import Script, tiny_backbone
from superlink.testing.checks import run_checks
from superlink.testing.models import toy_registry

TARGET = {"bboxes": torch.tensor([[4.0, 4.0, 20.0, 20.0]]), "labels": torch.tensor([0])}
BANKS_READ_BY_NAME = ("gradient", "half")  # these checks name the banks of a model that shares


@pytest.fixture(scope="module")
def registry():
    return toy_registry()


@pytest.fixture
def model(registry):
    """Build a model with `[SPOT]` and `[DOT]`: `model(separate_banks=True)`."""

    def build(**choice):
        torch.manual_seed(0)
        choices = ["toy.box", {"name": "toy.spot", **choice}]
        return attach(tiny_backbone(), decoders=choices, registry=registry).eval()

    return build


def trained(token, *, separate_banks):
    """The banks and connectors that one call by `token` trains, of a decoder with three tokens."""
    spec = replace(TOY_BOX, name="toy.all", routing_tokens=("[DET]", "[SEG]", "[GRD]"))
    decoder = ToyBoxDecoder(ToyBoxConfig())
    bound = BoundDecoder(spec, decoder, spec.routing_tokens, 2, separate_banks=separate_banks)
    model = SuperLinkModel(tiny_backbone(), [bound])
    messages = (Message("user", (IMAGE, "Find: dog")), Message("assistant", f"<p>dog</p>{token}."))
    sample = Sample(messages, (Image.new("RGB", (40, 60), "red"),), targets=(TARGET,))
    model(**model.processor([sample])).losses["toy.all/l1"][0].backward()
    parameters = [
        *model.queries.banks.items(),
        *((name, connector.mlp[0].weight) for name, connector in model.connectors.items()),
    ]
    assert len(parameters) == (6 if separate_banks else 2)
    return {name for name, p in parameters if p.grad is not None and p.grad.any()}


@pytest.mark.parametrize("token", ["[DET]", "[SEG]", "[GRD]"])
def test_call_trains_the_queries_of_its_own_token_alone(token):
    bank = f"toy-all/{token[1:-1].lower()}"
    assert trained(token, separate_banks=True) == {bank, f"toy-all/{bank}"}


def test_call_trains_the_queries_of_all_tokens_without_it():
    assert trained("[SEG]", separate_banks=False) == {"toy-all", "toy-all/toy-all"}


def test_separate_banks_are_saved_and_loaded(model, registry, tmp_path):
    built = model(separate_banks=True, num_queries=5)
    with torch.no_grad():
        for bank in built.queries.banks.values():
            bank.normal_()
    folder = save(built, tmp_path / "model")
    again = load(folder, registry)
    assert list(again.queries.banks) == ["toy-box", "toy-spot/spot", "toy-spot/dot"]
    for name, bank in built.queries.banks.items():
        assert torch.equal(bank, again.queries.banks[name])
    image = Image.new("RGB", (40, 60), "red")
    boxes = []
    for each in (built, again):
        with Script(each.backbone, ["<p>dog</p>[SPOT] <p>cat</p>[DOT]"]):
            reply = each.predict("Find: dog", image)
        boxes.append(torch.cat([found.bboxes for found in reply.predictions]))
    assert torch.equal(*boxes)
    assert len(boxes[0]) == 2


def test_checkpoint_from_before_the_choice_shares_its_queries(model, registry, tmp_path):
    folder = save(model(), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    for entry in config["decoders"]:
        del entry["separate_banks"]
    (folder / "config.json").write_text(json.dumps(config))
    assert list(load(folder, registry).queries.banks) == ["toy-box", "toy-spot", "toy-dots"]


class SeparateCase(BackboneCase):
    @cached_property
    def model(self):
        _ = self.bare
        choices = [{"name": name, "separate_banks": True} for name in ("toy.box", "toy.spot")]
        return attach(self.backbone, decoders=choices, registry=toy_registry()).eval()


@pytest.mark.parametrize("architecture", ["llava", "qwen2_5_vl"])
def test_states_are_exact_with_separate_banks(architecture):
    checks = [check for check in BACKBONE_CHECKS if check.name not in BANKS_READ_BY_NAME]
    results = run_checks(checks, SeparateCase(lambda: tiny_backbone(architecture)))
    assert [result for result in results if result.status == "failed"] == []
    assert {"exactness", "generation"} <= {r.topic for r in results if r.status == "passed"}
