"""Weights from a folder: read, left out of a checkpoint, and missing."""

import json
import re
import shutil
from dataclasses import replace

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from superlink import build, load
from superlink.checkpoint import save
from superlink.errors import CheckpointError, ConfigError, InputError
from superlink.linked import part_sizes
from superlink.registry import default_registry
from superlink.testing.decoder_linking import COMPANION, link_alone, registry_of
from superlink_diffusers.config import ImageEditingConfig, TextToImageConfig
from superlink_diffusers.decoder import TextToImageDecoder
from superlink_diffusers.editing import ImageEditingDecoder
from superlink_diffusers.pipelines import make_pipeline

from .conftest import FAMILIES, TINY, VAE, draw_call, edit_call, inputs_of, links_of

DRAWING = "diffusers.text_to_image"


def read(source, family="unet", **changes):
    torch.manual_seed(1)
    config = TINY | {"family": family, "source": str(source)} | changes
    return TextToImageDecoder(TextToImageConfig(**config)).eval()


@pytest.fixture
def folder(drawing, tmp_path):
    """Write a tiny model of a family as diffusers does, without text encoders; and say where."""

    def write(family="unet", **changes):
        decoder = drawing(family, **({"vae": VAE} if family == "unet" else {}), **changes)
        make_pipeline(decoder, decoder.model).save_pretrained(tmp_path / family)
        return tmp_path / family, decoder

    return write


def add_text_encoder(path):
    """Put a tiny CLIP beside a UNet, whose captions are 6 places of width 32."""
    letters = {"<|startoftext|>": 0, "<|endoftext|>": 1}
    for letter in "abcdefghijklmnopqrstuvwxyz0123456789":
        letters |= {letter: len(letters), f"{letter}</w>": len(letters) + 1}
    tokenizer = CLIPTokenizer(vocab=letters, merges=[], model_max_length=6)
    tokenizer.save_pretrained(path / "tokenizer")
    torch.manual_seed(0)
    config = CLIPTextConfig(
        vocab_size=len(letters),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=6,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    CLIPTextModel(config).save_pretrained(path / "text_encoder")
    index = json.loads((path / "model_index.json").read_text())
    index["text_encoder"] = ["transformers", "CLIPTextModel"]
    index["tokenizer"] = ["transformers", "CLIPTokenizer"]
    (path / "model_index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_of_diffusers_gives_the_same_parts(folder, family):
    path, written = folder(family)
    found = read(path, family)
    for root in ("model", "vae"):
        before, after = (getattr(one, root).state_dict() for one in (written, found))
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
    assert type(found.scheduler) is type(written.scheduler)
    assert found.cond_size == written.cond_size


def test_the_scheduler_of_a_folder_can_be_changed(folder):
    path, _ = folder(scheduler={"prediction_type": "v_prediction"})
    assert read(path).objective.kind == "v_prediction"
    other = read(path, scheduler={"type": "EulerDiscreteScheduler", "beta_end": 0.02})
    assert type(other.scheduler).__name__ == "EulerDiscreteScheduler"
    assert other.scheduler.config.beta_end == 0.02
    assert other.scheduler.config.prediction_type == "v_prediction"


def test_half_precision_reaches_weights_that_are_read(folder):
    path, _ = folder()
    found = read(path, dtype="bfloat16", train="connector")
    assert {p.dtype for part in (found.model, found.vae) for p in part.parameters()} == {
        torch.bfloat16
    }


def test_a_model_for_words_that_is_read_learns_to_edit(folder):
    path, written = folder()
    torch.manual_seed(1)
    config = ImageEditingConfig(**TINY, source=str(path), train="connector")
    decoder = ImageEditingDecoder(config).eval()
    assert torch.equal(decoder.model.conv_in.weight[:, :4], written.model.conv_in.weight)
    assert not decoder.model.conv_in.weight[:, 4:].any()
    elsewhere = decoder.kept_elsewhere()
    assert "vae" in elsewhere and "model.down_blocks" in elsewhere
    assert not any(path.startswith("model.conv_in") for path in elsewhere)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("train", ["connector", "lora", "model"])
def test_a_checkpoint_leaves_out_what_the_source_has(folder, tmp_path, family, train):
    path, _ = folder(family)
    spec = default_registry().decoder(DRAWING)
    config = TINY | {"family": family, "source": str(path), "train": train}
    decoder = read(path, family, train=train)
    with torch.no_grad():
        for weight in decoder.parameters():
            if weight.requires_grad:
                weight.add_(0.01 * torch.randn_like(weight))
    model = link_alone(spec, decoder, config)
    kept = save(model, tmp_path / "checkpoint") / "decoders" / DRAWING
    names = {name for file in kept.glob("*.safetensors") for name in load_file(file)}
    assert "null" in names and not any(name.startswith("vae.") for name in names)
    trained = {name for name, weight in decoder.named_parameters() if weight.requires_grad}
    assert trained <= names
    frozen = {name for name, weight in decoder.named_parameters() if not weight.requires_grad}
    # What lies beside modules that are trained is small and comes along.
    assert all(name.endswith("scale_shift_table") for name in frozen & names)
    again = load(tmp_path / "checkpoint", registry_of(spec, COMPANION)).bound[DRAWING].decoder
    state, other = decoder.state_dict(), again.state_dict()
    assert state.keys() == other.keys()
    assert all(torch.equal(state[name], other[name]) for name in state)


def test_an_autoencoder_may_have_a_source_of_its_own(folder, drawing):
    path, written = folder()
    found = drawing(vae={"source": str(path), "folder": "vae"})
    assert torch.equal(found.vae.encoder.conv_in.weight, written.vae.encoder.conv_in.weight)
    assert found.kept_elsewhere() == ["vae"]
    alone = drawing(vae={"source": str(path / "vae")})
    assert torch.equal(alone.vae.encoder.conv_in.weight, written.vae.encoder.conv_in.weight)


def test_a_source_that_is_nowhere_says_what_a_source_is():
    with pytest.raises(CheckpointError, match=r"save_pretrained wrote.*'\./nowhere', where"):
        read("./nowhere")


def test_an_id_that_was_never_downloaded_says_how_to_without_a_network(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="Run: hf download nobody/no-such-model"):
        read("nobody/no-such-model")


def test_a_folder_that_lacks_a_part_says_which(folder):
    path, _ = folder()
    shutil.rmtree(path / "vae")
    with pytest.raises(CheckpointError, match=f"has no vae .*{re.escape(str(path))} was copied"):
        read(path)


def test_a_folder_that_lacks_weights_says_so(folder):
    path, _ = folder()
    (path / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"unet of .* cannot be read"):
        read(path)
    with pytest.raises(CheckpointError, match="variant='fp16'"):
        read(path, variant="fp16")


def test_weights_that_were_cut_short_are_named(folder):
    path, _ = folder()
    file = path / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"unet of .* cannot be read.*copied whole"):
        read(path)


def test_a_folder_of_another_family_says_what_it_is(folder):
    path, _ = folder("sd3")
    with pytest.raises(CheckpointError, match=r"has no unet .*is a StableDiffusion3Pipeline"):
        read(path)
    with pytest.raises(ConfigError, match=r"wants a FluxTransformer2DModel.*SD3Transformer2DModel"):
        read(path, "flux")
    path, _ = folder("unet")
    with pytest.raises(ConfigError, match="Choose the family unet"):
        read(path, "sdxl")


def test_the_caption_loss_draws_the_condition_to_that_of_the_text(folder):
    path, _ = folder()
    add_text_encoder(path)
    decoder, call = read(path, caption_loss=0.5, train="connector"), draw_call(2)
    call = replace(call, target={**call.target, "captions": ("red", "dog")})
    captions = decoder.captions(("red", "dog"))
    assert captions.shape == (2, 6, 32) and not torch.equal(captions[0], captions[1])
    assert torch.equal(decoder.null, decoder.captions([""])[0])
    links, inputs = links_of(decoder, [call]), inputs_of(decoder, [call])
    value, count = decoder.loss(links, inputs)["caption"]
    expected = 0.5 * (links.states - captions).square().mean((1, 2)).sum()
    assert float(value) == pytest.approx(float(expected)) and count == 2
    assert float(decoder.loss(replace(links, states=captions), inputs)["caption"][0]) == 0
    assert "captions" in decoder.kept_elsewhere()
    assert not any(p.requires_grad for p in decoder.captions.parameters())


def test_the_caption_loss_needs_text_encoders_and_their_length(folder):
    path, _ = folder()
    with pytest.raises(CheckpointError, match="caption_loss needs the text encoders of"):
        read(path, caption_loss=0.1)
    add_text_encoder(path)
    with pytest.raises(ConfigError, match="Set condition_length to 6"):
        read(path, caption_loss=0.1, condition_length=9)
    decoder = read(path, caption_loss=0.1)
    call = draw_call(2)
    bare = replace(call, target={"images": call.target["images"]})
    with pytest.raises(InputError, match="one for each of 2 routes"):
        decoder.prepare(bare, training=True)


def test_an_edit_that_is_read_predicts(folder):
    path, _ = folder("sdxl")
    config = ImageEditingConfig(**TINY | {"family": "sdxl", "source": str(path)})
    decoder, call = ImageEditingDecoder(config).eval(), edit_call(1)
    found = decoder.predict(links_of(decoder, [call]), inputs_of(decoder, [call], training=False))
    assert found[0].images[0].size == call.image.size


@pytest.mark.parametrize("train", ["connector", "lora"])
def test_weights_that_replace_those_of_the_source_are_kept(folder, tmp_path, train):
    """As where a training starts from a model that was trained whole."""
    path, _ = folder()
    spec = default_registry().decoder(DRAWING)
    decoder = read(path, train=train)

    def kept_away(one):
        paths = tuple(f"{path}." for path in one.kept_elsewhere())
        return [n for n, _ in one.named_parameters() if n.startswith(paths) and "vae." not in n]

    assert kept_away(decoder)
    frozen = {n: p for n, p in decoder.model.named_parameters() if not p.requires_grad}
    with torch.no_grad():
        for weight in frozen.values():
            weight.copy_(weight + 1)
    assert not kept_away(decoder)
    config = TINY | {"source": str(path), "train": train}
    save(link_alone(spec, decoder, config), tmp_path / "checkpoint")
    again = load(tmp_path / "checkpoint", registry_of(spec, COMPANION)).bound[DRAWING].decoder
    state = again.model.state_dict()
    assert all(torch.equal(weight, state[name]) for name, weight in frozen.items())
    assert not kept_away(again)  # so that the next save keeps them, too


def test_a_relative_source_is_found_from_elsewhere(folder, tmp_path, monkeypatch):
    path, _ = folder()
    monkeypatch.chdir(path.parent)
    config = TINY | {
        "vae": {"source": path.name, "folder": "vae"},
        "model": FAMILIES["unet"]["model"],
    }
    kept = build._bind(build.DecoderChoice(name=DRAWING, config=config), default_registry()).config
    assert kept["vae"] == {"source": str(path), "folder": "vae"}


def test_the_size_of_a_checkpoint_is_that_of_what_it_holds(folder):
    path, _ = folder()
    model = link_alone(default_registry().decoder(DRAWING), read(path, train="connector"), {})
    (size,) = (one for one in part_sizes(model) if one.name == f"decoder {DRAWING}")
    assert size.checkpoint_bytes == model.bound[DRAWING].decoder.null.nbytes < size.weight_bytes
