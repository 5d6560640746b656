"""Where SAM comes from, and what is frozen of it."""

import json

import pytest
import torch
from pydantic import ValidationError

from superlink.errors import ConfigError
from superlink_sam.config import SamMaskConfig
from superlink_sam.library import load_sam


@pytest.mark.parametrize(
    "config",
    [
        {"unknown": 1},
        {"source": "somewhere", "sizes": {"hidden_size": 64}},
        {"sizes": {"hidden_size": 40}},
        {"sizes": {"image_size": 100}},
        {"num_prompt_tokens": 0},
    ],
)
def test_config_refuses(config):
    with pytest.raises(ValidationError):
        SamMaskConfig(**config)


@pytest.mark.parametrize("family", ["sam", "sam2", "sam2_video"])
def test_checkpoint_is_loaded_as_it_was_saved(checkpoint, decoder, call, link, family):
    folder = checkpoint(family)
    first, second = (decoder(source=str(folder)) for _ in range(2))
    assert (first.model.is_sam2, first.model.num_cells) == (family != "sam", 16)
    inputs = first.collate([first.prepare(call(), training=True)])
    losses = [made.loss(link([2]), inputs) for made in (first, second)]
    assert losses[0] == losses[1]
    (found,) = first.predict(link([2]), inputs)
    assert found.masks.shape[1:] == (60, 100)


@pytest.mark.parametrize("family", ["sam", "sam2"])
def test_prompts_of_the_library_give_the_masks_of_the_library(checkpoint, decoder, family):
    model = decoder(source=str(checkpoint(family))).model
    pixels, points = torch.randn(2, 3, 64, 64), torch.tensor([[[[20.0, 30.0]]], [[[5.0, 50.0]]]])
    labels = torch.ones(2, 1, 1, dtype=torch.int)
    theirs = model.sam(
        pixel_values=pixels, input_points=points, input_labels=labels, multimask_output=False
    )
    prompts, _ = model.sam.prompt_encoder(points, labels, None, None)  # (2, 1, P, C)
    logits, ious = model.masks(model.embed(pixels), prompts[:, 0])
    assert torch.allclose(logits, theirs.pred_masks[:, 0, 0], atol=1e-6)
    assert torch.allclose(ious, theirs.iou_scores[:, 0, 0], atol=1e-6)


def test_sam2_predicts_the_mask_that_it_trains(checkpoint, decoder, call, link):
    made = decoder(source=str(checkpoint("sam2")))
    inputs = made.collate([made.prepare(call(), training=True)])
    training, evaluation = (made.train(mode).loss(link([2]), inputs) for mode in (True, False))
    assert training == evaluation


def test_source_that_is_not_there_names_the_cure(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for source in (str(tmp_path / "nothing"), "nobody/sam-that-does-not-exist"):
        with pytest.raises(ConfigError, match=rf"source='{source}'[\s\S]*hf download"):
            load_sam(SamMaskConfig(source=source))


def test_source_without_safetensors_is_refused(checkpoint):
    folder = checkpoint("sam")
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match="with safetensors"):
        load_sam(SamMaskConfig(source=str(folder)))


def test_source_that_lacks_weights_is_refused(checkpoint):
    folder = checkpoint("sam")
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["num_hidden_layers"] = 3
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=r"lacks weights.*layers\.2"):
        load_sam(SamMaskConfig(source=str(folder)))


def test_source_of_another_kind_is_refused(checkpoint):
    folder = checkpoint("sam")
    (folder / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(ConfigError, match="type 'clip'"):
        load_sam(SamMaskConfig(source=str(folder)))


@pytest.mark.parametrize("family", ["sam", "sam2"])
@pytest.mark.parametrize("train_vision", [False, True])
def test_vision_moves_only_where_it_is_trained(
    checkpoint, decoder, call, link, family, train_vision
):
    made = decoder(source=str(checkpoint(family)), train_vision=train_vision).train()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in made.parameters() if p.requires_grad], lr=0.1)
    inputs = made.collate([made.prepare(call(), training=True)])
    sum(value for value, _ in made.loss(link([2]), inputs).values()).backward()
    optimizer.step()
    moved = {n.split(".")[2] for n, v in made.state_dict().items() if not torch.equal(v, before[n])}
    assert moved == {"mask_decoder"} | ({"vision_encoder"} if train_vision else set())
    # Whoever waits for the gradients of all that is trained waits for none in vain.
    lacking = {n for n, p in made.named_parameters() if p.requires_grad and p.grad is None}
    assert lacking == set()
