"""What is trained, what a checkpoint holds, and in which precision."""

import sys
from dataclasses import replace

import pytest
import torch

from superlink.errors import ConfigError, MissingDependencyError
from superlink_diffusers.config import LoraSettings

from .conftest import FAMILIES, draw_call, edit_call, inputs_of, links_of


def trained(decoder, root="model"):
    return {n for n, p in getattr(decoder, root).named_parameters() if p.requires_grad}


def loss(decoder, calls, states=None):
    links = links_of(decoder, calls)
    links = links if states is None else replace(links, states=states)
    return decoder.loss(links, inputs_of(decoder, calls))["diffusion"]


def value(decoder, calls):
    return float(loss(decoder, calls)[0].detach())


def test_the_model_is_trained_whole_and_the_autoencoder_never(drawing):
    decoder = drawing("sdxl")
    assert trained(decoder) == {name for name, _ in decoder.model.named_parameters()}
    assert not trained(decoder, "vae")
    decoder.train()
    assert decoder.model.training and not decoder.vae.training


def test_a_frozen_model_still_teaches_the_condition(drawing):
    decoder, call = drawing(train="connector").train(), draw_call(2)
    assert not trained(decoder) and decoder.null.requires_grad and not decoder.model.training
    states = links_of(decoder, [call]).states.requires_grad_()
    loss(decoder, [call], states)[0].backward()
    assert states.grad.abs().sum((1, 2)).min() > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_lora_trains_its_matrices_alone_and_starts_from_the_model(drawing, family):
    call = draw_call(2)
    plain, decoder = drawing(family, train="connector"), drawing(family, train="lora")
    names = trained(decoder)
    assert names and all("lora_" in name for name in names)
    decoder.pooled, decoder.null = plain.pooled, plain.null
    assert value(decoder, [call]) == pytest.approx(value(plain, [call]))
    loss(decoder, [call])[0].backward()
    grads = [p.grad for n, p in decoder.model.named_parameters() if "lora_B" in n]
    assert all(grad is not None for grad in grads) and any(grad.any() for grad in grads)


def test_lora_takes_its_settings_and_refuses_targets_that_are_not_there(drawing):
    few = drawing(train="lora", lora=LoraSettings(rank=2, targets=("to_v",)))
    assert {name.split(".")[-4] for name in trained(few)} == {"to_v"}
    assert {min(p.shape) for p in few.model.parameters() if p.requires_grad} == {2}
    with pytest.raises(ConfigError, match="nothing to change in a UNet2DConditionModel"):
        drawing(train="lora", lora=LoraSettings(targets=("nowhere",)))


def test_lora_without_peft_says_what_to_install(drawing, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingDependencyError, match=r"superlink-diffusers\[lora\]"):
        drawing(train="lora")


@pytest.mark.parametrize("train", ["connector", "model", "lora"])
@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_runs_with_the_loss_in_float32(drawing, family, train):
    decoder, call = drawing(family, train=train, dtype="bfloat16"), draw_call(2)
    assert decoder.dtype == torch.bfloat16 and decoder.null.dtype == torch.float32
    states = links_of(decoder, [call]).states.requires_grad_()
    total, _ = loss(decoder, [call], states)
    total.backward()
    assert total.dtype == torch.float32 and total.isfinite() and states.grad.isfinite().all()
    if train == "lora":
        assert {p.dtype for p in decoder.model.parameters() if p.requires_grad} == {torch.float32}
    found = decoder.predict(links_of(decoder, [call]), inputs_of(decoder, [call], training=False))
    assert len(found[0].images) == 2


@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_edits(editing, family):
    decoder, call = editing(family, dtype="bfloat16"), edit_call(2)
    assert loss(decoder, [call])[0].isfinite()
    found = decoder.predict(links_of(decoder, [call]), inputs_of(decoder, [call], training=False))
    assert [image.size for image in found[0].images] == [(40, 32)] * 2


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_for_words_that_is_to_edit_starts_blind_to_the_source(editing, family):
    latents = {"unet": 48, "flux": 16}.get(family, 4)
    model = FAMILIES[family]["model"] | {"in_channels": latents}
    decoder = editing(family, model=model, train="connector")
    assert decoder.model.config.in_channels == 2 * latents
    call = edit_call(1)
    other = replace(call, image=edit_call(1, 5).image)
    assert value(decoder, [call]) == value(decoder, [other])
    weight = decoder.model.get_submodule(decoder.family.input_layer).weight
    assert weight.requires_grad and not weight[:, latents:].any()
    loss(decoder, [call])[0].backward()
    assert weight.grad[:, latents:].any()


def test_a_trained_input_layer_is_none_for_float16(editing):
    model = FAMILIES["unet"]["model"] | {"in_channels": 48}
    with pytest.raises(ConfigError, match="Choose bfloat16"):
        editing(model=model, train="lora", dtype="float16")


def test_other_channels_than_those_of_the_autoencoder_are_refused(drawing, editing):
    model = FAMILIES["unet"]["model"] | {"in_channels": 4}
    with pytest.raises(ConfigError, match=r"48 channels, takes in_channels of 48\. Received: 4"):
        drawing(model=model)
    with pytest.raises(ConfigError, match=r"in_channels of 48 or 96\. Received: 4"):
        editing(model=model)


def test_min_snr_weighs_the_loss(drawing):
    call = draw_call(3)
    plain, weighed = (value(drawing(min_snr_gamma=gamma), [call]) for gamma in (None, 1e-3))
    assert 0 < weighed < plain


def test_tiling_and_slicing_reach_the_autoencoder(drawing):
    decoder = drawing("sd3", vae_tiling=True, vae_slicing=True)
    assert decoder.vae.use_tiling and decoder.vae.use_slicing
    assert not drawing("sd3").vae.use_tiling
