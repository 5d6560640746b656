"""From names, objects and configs to linked models."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from superlink import SuperLinkModel, attach, build_model, load, save
from superlink.build import ModelConfig, restore
from superlink.errors import (
    BackboneError,
    CheckpointError,
    ConfigError,
    PluginError,
    RoutingError,
)
from superlink.registry import Registry
from superlink.testing import TOY_BOX, installed_plugin
from superlink.testing.backbones import tiny_backbone
from superlink.testing.models import TOY_SPOT, toy_model, toy_registry

CONV = {"hidden_size": 32, "num_layers": 1, "num_heads": 2, "image_size": 32, "encoder": "conv"}
PLUGIN = """
from dataclasses import replace
from superlink.registry import hookimpl
from superlink.testing import TOY_BOX

@hookimpl
def superlink_decoders():
    yield replace(TOY_BOX, name="acme.box")
"""


@pytest.fixture(scope="module")
def registry():
    return toy_registry()


@pytest.mark.parametrize("architecture", ["llava", "qwen2_5_vl"])
def test_attach_links_a_model_and_detach_gives_it_back(registry, architecture):
    bare = tiny_backbone(architecture)
    inputs = bare.encode(["what is this"], [[]])
    before = bare.model(**inputs).logits
    model = attach(bare.model, bare.processor, ["toy.box", "toy.spot"], registry=registry)
    assert isinstance(model, SuperLinkModel)
    assert model.backbone.model is bare.model
    assert list(model.vocabulary.bindings) == ["[BOX]", "[SPOT]", "[DOT]"]
    model.detach()
    assert torch.equal(bare.model(**inputs).logits, before)


def test_attach_takes_a_backbone_and_choices(registry):
    backbone = tiny_backbone()
    choice = {"name": "toy.spot", "tokens": ["[DOT]"], "num_queries": 7, "loss_weight": 2.0}
    model = attach(backbone, decoders=[choice], registry=registry, max_length=50)
    assert model.backbone is backbone
    assert model.queries.banks["toy-dots"].shape == (7, 64)
    assert model.bound["toy.spot"].loss_weight == 2.0
    assert model.processor.max_length == 50


def test_attach_finds_decoders_of_installed_plugins():
    with installed_plugin("superlink-acme", {"acme_boxes": PLUGIN}, version="3.2"):
        model = attach(tiny_backbone(), decoders=["acme.box"])
    assert model.bound["acme.box"].distribution == ("superlink-acme", "3.2")


def test_checkpoint_of_a_plugin_that_is_gone_names_its_distribution(tmp_path):
    with installed_plugin("superlink-acme", {"acme_boxes": PLUGIN}, version="3.2"):
        folder = save(attach(tiny_backbone(), decoders=["acme.box"]), tmp_path / "model")
        load(folder)
    with pytest.raises(CheckpointError, match=r"'acme.box'.*pip install superlink-acme==3.2"):
        load(folder)


def test_new_rows_lie_where_the_model_lies(registry):
    backbone = tiny_backbone().to("meta")
    with torch.device("meta"):
        model = attach(backbone, decoders=["toy.box"], registry=registry)
    assert model.device.type == "meta"
    assert {p.device.type for p in model.parameters()} == {"meta"}


def test_attach_without_a_processor_is_refused(registry):
    with pytest.raises(ConfigError, match="needs its processor"):
        attach(tiny_backbone().model, decoders=["toy.box"], registry=registry)


def test_attach_with_a_tokenizer_in_place_of_the_processor_is_refused(registry):
    bare = tiny_backbone()
    with pytest.raises(ConfigError, match="with a tokenizer and a chat template"):
        attach(bare.model, bare.tokenizer, ["toy.box"], registry=registry)


def test_attach_to_something_without_an_output_head_is_refused(registry):
    with pytest.raises(BackboneError, match="needs an output head"):
        attach(nn.Linear(2, 2), tiny_backbone().processor, ["toy.box"], registry=registry)


def test_attach_twice_is_refused(registry):
    model = toy_model()
    with pytest.raises(RoutingError, match="carries one link"):
        attach(model.backbone.model, tiny_backbone().processor, ["toy.box"], registry=registry)


@pytest.mark.parametrize(
    ("decoders", "error", "message"),
    [
        ([], ConfigError, "at least 1 item"),
        (["toy.bix"], PluginError, "toy.bix"),
        (["toy.box", "toy.box"], ConfigError, "each once"),
        ([{"name": "toy.box", "tokens": ["[SEG]"]}], ConfigError, r"answers to \[BOX\].*\[SEG\]"),
        ([{"name": "toy.box", "tokens": []}], ConfigError, r"answers to \[BOX\]"),
        ([{"name": "toy.box", "num_queries": 0}], ConfigError, "decoders.0.num_queries"),
        ([{"name": "toy.box", "queries": 3}], ConfigError, "unknown key 'decoders.0.queries'"),
        ([{"name": "toy.box", "config": {"width": 3}}], ConfigError, "unknown key 'width'"),
    ],
)
def test_decoders_that_cannot_be_bound_are_refused(registry, decoders, error, message):
    with pytest.raises(error, match=message):
        attach(tiny_backbone(), decoders=decoders, registry=registry)


def test_build_model_from_names(registry):
    config = {
        "backbone": {"name": "tiny_llava", "config": CONV},
        "decoders": [{"name": "toy.box"}],
        "init_std": 0.5,
    }
    model = build_model(config, registry)
    assert model.origin.name == "tiny_llava"
    assert 0.2 < model.queries.banks["toy-box"].std() < 0.8
    again = build_model(ModelConfig.model_validate(config), registry)
    assert again.vocabulary.ids == model.vocabulary.ids


def test_unknown_backbone_is_refused(registry):
    with pytest.raises(PluginError, match="tiny_lava"):
        build_model(
            {"backbone": {"name": "tiny_lava"}, "decoders": [{"name": "toy.box"}]}, registry
        )


def test_registry_by_hand_holds_what_it_was_given():
    assert toy_registry().decoder("toy.spot") == TOY_SPOT
    with pytest.raises(PluginError, match=r"toy\.box"):
        attach(tiny_backbone(), decoders=[TOY_BOX.name], registry=Registry.discover([]))


def test_restore_puts_the_weights_of_a_checkpoint_into_a_model(registry, tmp_path):
    config = {"backbone": {"config": CONV}, "decoders": [{"name": "toy.box"}]}
    saved, model = build_model(config, registry), build_model(config, registry)
    restore(model, save(saved, tmp_path / "model"), registry)
    expected = saved.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("architecture", ["llava", "qwen2_5_vl"])
def test_detach_gives_the_tokenizer_back(registry, architecture):
    bare = tiny_backbone(architecture)
    processor, texts = bare.processor, ["<p>hello</p>[BOX]"]
    before = bare.encode(texts, [[]])
    model = attach(bare.model, processor, ["toy.box"], registry=registry)
    assert len(model.backbone.encode(texts, [[]])["input_ids"][0]) < len(before["input_ids"][0])
    assert torch.equal(bare.encode(texts, [[]])["input_ids"], before["input_ids"])
    after = model.detach().encode(texts, [[]])
    assert torch.equal(after["input_ids"], before["input_ids"])


def test_device_that_is_not_there_is_refused(registry, tmp_path):
    save(toy_model(), tmp_path / "model")
    with pytest.raises(ConfigError, match="device='nonsense'"):
        load(tmp_path / "model", registry, device="nonsense")
