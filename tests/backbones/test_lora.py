"""LoRA by peft: trained with a link, saved alone, taken off again."""

from __future__ import annotations

import json

import peft
import pytest
import torch
from PIL import Image

import superlink
from superlink.build import attach, load, restore
from superlink.errors import BackboneError, CheckpointError, ConfigError
from superlink.interfaces import IMAGE, LoraChoice, Message, Sample
from superlink.testing.backbones import tiny_backbone
from superlink.testing.matrix import tiny_architecture
from superlink.testing.models import toy_registry

TARGET = {"bboxes": torch.tensor([[4.0, 4.0, 30.0, 30.0]]), "labels": torch.tensor([0])}
LORA = {"rank": 4, "targets": ["q_proj", "v_proj"]}


@pytest.fixture(params=["llava", "qwen2_5_vl"])
def folder(request, tmp_path):
    """A saved backbone."""
    tiny_backbone(request.param).save(tmp_path / "source")
    return tmp_path / "source"


def sample():
    photo = Image.new("RGB", (40, 60), "red")
    question = Message("user", (IMAGE, "Find: dog"))
    answer = Message("assistant", "a <p>dog</p>[BOX]")
    return Sample((question, answer), (photo,), targets=(TARGET,))


def trained(model, steps=2):
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        model(**model.processor([sample()])).loss.backward()
        optimizer.step()
    return model.eval()


def logits(model):
    with torch.no_grad():
        return model.backbone(model.processor([sample()])["inputs"]).logits


def linked(folder, lora=LORA):
    return attach(folder, decoders=["toy.box"], lora=lora, registry=toy_registry())


def test_adapter_and_link_are_trained_and_the_rest_is_frozen(folder):
    model = linked(folder)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    trained(model)
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert any(".lora_A." in name for name in changed)
    assert any(name.startswith("queries.banks") for name in changed)
    of_backbone = {name for name in changed if name.startswith("backbone.")}
    assert all(".lora_" in name for name in of_backbone)


def test_adapter_is_saved_alone_and_loads_bit_for_bit(folder, tmp_path):
    model = trained(linked(folder))
    saved = superlink.save(model, tmp_path / "model")
    files = {path.relative_to(saved).as_posix() for path in saved.rglob("*") if path.is_file()}
    assert "adapter/adapter_model.safetensors" in files
    assert not any(name.startswith("backbone/") for name in files)
    size = (saved / "adapter" / "adapter_model.safetensors").stat().st_size
    expected = sum(4 * p.numel() for n, p in model.backbone.named_parameters() if ".lora_" in n)
    assert expected <= size < expected + 8000
    assert json.loads((saved / "config.json").read_text())["backbone"]["adapter"]
    again = load(saved, toy_registry())
    assert torch.equal(logits(again), logits(model))


def test_model_that_was_handed_in_is_saved_whole_beside_its_adapter(tmp_path):
    backbone = tiny_backbone("qwen2_5_vl")
    model = attach(
        backbone.model, backbone.processor, ["toy.box"], lora=LORA, registry=toy_registry()
    )
    trained(model)
    saved = superlink.save(model, tmp_path / "model")
    assert torch.equal(logits(load(saved, toy_registry())), logits(model))


def test_checkpoint_is_restored_into_a_model_with_lora(folder, tmp_path):
    model = trained(linked(folder))
    superlink.save(model, tmp_path / "model")
    fresh = linked(folder)
    assert not torch.equal(logits(fresh), logits(model))
    restore(fresh, tmp_path / "model", toy_registry())
    assert torch.equal(logits(fresh), logits(model))


def test_detach_gives_the_backbone_back_bit_for_bit(folder):
    model = linked(folder)
    before = {n: v.clone() for n, v in model.backbone.base_state_dict().items()}
    backbone = trained(model).detach()
    after = backbone.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(parameter.requires_grad for parameter in backbone.model.parameters())


def test_merged_adapter_gives_the_same_states(folder):
    model = trained(linked(folder))
    before = logits(model)
    model.backbone.remove_lora(merge=True)
    assert (logits(model) - before).abs().max() <= 1e-4
    assert not any(".lora_" in name for name, _ in model.named_parameters())


def test_wrapper_of_peft_is_used_in_place():
    backbone = tiny_backbone("qwen2_5_vl")
    config = peft.LoraConfig(r=4, target_modules=r".*language_model.*\.(q_proj|v_proj)")
    wrapped = peft.get_peft_model(backbone.model, config)
    model = attach(wrapped, backbone.processor, ["toy.box"], registry=toy_registry())
    out = model(**model.processor([sample()]))
    out.loss.backward()
    grads = [p.grad for n, p in model.named_parameters() if ".lora_B." in n]
    assert grads and all(grad is not None and grad.abs().sum() > 0 for grad in grads)
    assert model.queries.banks["toy-box"].grad.abs().sum() > 0
    before = logits(model)
    wrapped.merge_and_unload()  # exchanges modules below the link
    assert (logits(model) - before).abs().max() <= 1e-4


def test_wrap_that_exchanges_the_embedding_is_followed():
    backbone = tiny_backbone("qwen2_5_vl")
    model = attach(backbone.model, backbone.processor, ["toy.box"], registry=toy_registry())
    before = logits(model)
    config = peft.LoraConfig(
        r=4, target_modules=["q_proj"], trainable_token_indices={"embed_tokens": [3, 4]}
    )
    peft.get_peft_model(backbone.model, config)
    assert (logits(model) - before).abs().max() <= 1e-6
    model(**model.processor([sample()])).loss.backward()
    assert model.queries.banks["toy-box"].grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("lora", "message"),
    [
        ({"targets": ["query"]}, "k_proj, o_proj, q_proj, up_proj"),
        ({"rank": 0}, "rank >= 1"),
        ({"size": 4}, "size"),
    ],
)
def test_bad_choices_are_refused(lora, message):
    backbone = tiny_backbone("qwen2_5_vl")
    with pytest.raises(ConfigError, match=message):
        attach(backbone.model, backbone.processor, ["toy.box"], lora=lora, registry=toy_registry())


def test_second_adapter_is_refused():
    backbone = tiny_backbone()
    backbone.add_lora(LoraChoice(rank=2))
    with pytest.raises(BackboneError, match="carries one adapter"):
        backbone.add_lora(LoraChoice(rank=2))


def test_adapter_of_the_user_stays_when_the_link_goes():
    backbone = tiny_backbone("qwen2_5_vl")
    config = peft.LoraConfig(
        r=4, target_modules=r".*language_model.*\.q_proj", init_lora_weights=False
    )
    wrapped = peft.get_peft_model(backbone.model, config, adapter_name="mine")
    inputs = backbone.encode([backbone.render([Message("user", "hello")])], [[]])
    before = wrapped(**inputs).logits
    model = attach(wrapped, backbone.processor, ["toy.box"], registry=toy_registry())
    model.detach()
    assert torch.equal(wrapped(**inputs).logits, before)


def test_adapter_under_another_name_is_saved_and_loads(tmp_path):
    backbone = tiny_backbone("qwen2_5_vl")
    config = peft.LoraConfig(
        r=4, target_modules=r".*language_model.*\.q_proj", init_lora_weights=False
    )
    wrapped = peft.get_peft_model(backbone.model, config, adapter_name="mine")
    model = attach(wrapped, backbone.processor, ["toy.box"], registry=toy_registry()).eval()
    saved = superlink.save(model, tmp_path / "model")
    assert torch.equal(logits(load(saved, toy_registry())), logits(model))


def test_wrapper_that_trains_more_than_low_ranks_is_refused():
    backbone = tiny_backbone("qwen2_5_vl")
    config = peft.LoraConfig(r=4, target_modules=["q_proj"], modules_to_save=["lm_head"])
    wrapped = peft.get_peft_model(backbone.model, config)
    with pytest.raises(BackboneError, match="low-rank updates alone"):
        attach(wrapped, backbone.processor, ["toy.box"], registry=toy_registry())


def test_updates_are_float32_whatever_the_weights_are():
    backbone = tiny_backbone()
    backbone.bfloat16()
    backbone.add_lora(LoraChoice(rank=2))
    kinds = {p.dtype for n, p in backbone.named_parameters() if ".lora_" in n}
    assert kinds == {torch.float32}
    out = backbone(backbone.encode([backbone.render([Message("user", "hello")])], [[]]))
    assert out.logits.dtype == torch.bfloat16


def test_attach_that_fails_leaves_no_adapter_behind():
    backbone = tiny_backbone()
    before = [parameter.requires_grad for parameter in backbone.model.parameters()]
    with pytest.raises(ConfigError, match="each once"):
        attach(
            backbone.model, backbone.processor, ["toy.box"] * 2, lora=LORA, registry=toy_registry()
        )
    assert not any(".lora_" in name for name, _ in backbone.model.named_parameters())
    assert [parameter.requires_grad for parameter in backbone.model.parameters()] == before


def test_loaded_adapter_is_taken_off_with_the_link(folder, tmp_path):
    saved = superlink.save(trained(linked(folder)), tmp_path / "model")
    backbone = load(saved, toy_registry()).detach()
    assert not backbone.has_adapter()
    assert all(parameter.requires_grad for parameter in backbone.model.parameters())


@pytest.mark.parametrize(
    ("lora", "message"),
    [
        (None, "Either both have LoRA or none"),
        ({**LORA, "alpha": 4.0}, "lora_alpha=32"),
        ({**LORA, "targets": ["q_proj"]}, "does not fit the model"),
    ],
)
def test_adapter_of_another_kind_is_not_restored(folder, tmp_path, lora, message):
    saved = superlink.save(trained(linked(folder)), tmp_path / "model")
    with pytest.raises(CheckpointError, match=message):
        restore(linked(folder, lora), saved, toy_registry())


def test_backbone_that_is_not_in_the_folder_is_restored_from_its_source(folder, tmp_path):
    model = linked(folder, None)
    saved = superlink.save(model, tmp_path / "model")
    before = logits(model)
    with torch.no_grad():
        model.backbone.output_head().weight.add_(1.0)
    restore(model, saved, toy_registry())
    assert torch.equal(logits(model), before)


@pytest.mark.parametrize("architecture", ["git", "idefics", "llama4"])
def test_image_encoders_and_routers_get_no_updates(architecture):
    backbone = tiny_architecture(architecture)
    backbone.add_lora(LoraChoice(rank=2))
    names = {n for n, _ in backbone.model.named_parameters() if ".lora_" in n}
    assert names
    assert not [n for n in names if "vision" in n or "router" in n]


def test_modules_that_peft_takes_for_others_are_refused():
    backbone = tiny_architecture("glm4v_moe")
    with pytest.raises(BackboneError, match="other modules of Glm4vMoe"):
        backbone.add_lora(LoraChoice(rank=2))
    assert not backbone.has_adapter()
    backbone.add_lora(LoraChoice(rank=2, targets=("q_proj",)))
    assert backbone.has_adapter()
