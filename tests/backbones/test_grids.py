"""Where regions lie in what an image encoder gives, with the image processors that models have."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from torch.nn.functional import layer_norm

from superlink.backbones.grids import grid_kind
from superlink.backbones.loading import wrap
from superlink.backbones.tiling import tiles
from superlink.errors import BackboneError, ConfigError, InputError
from superlink.interfaces import IMAGE, Message
from superlink.testing.architectures import (
    ARCHITECTURES,
    TinyProcessor,
    refused,
    tiny_model,
    tiny_processor,
    tiny_tokenizer,
)
from superlink.testing.architectures.format import PixelFormat
from superlink.testing.backbones import tiny_backbone
from superlink.testing.matrix import tiny_architecture

SQUARE = {"size": {"height": 32, "width": 32}}
CROP = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
PINPOINTS = {"image_grid_pinpoints": [[32, 64], [64, 32], [64, 64]]}
PATCHES = {
    **{"patch_size": 8, "merge_size": 2, "temporal_patch_size": 2},
    "size": {"shortest_edge": 16 * 16, "longest_edge": 128 * 128},
}
SPLIT = {"size": {"longest_edge": 64}, "max_image_size": {"longest_edge": 32}}
CUT = {**SQUARE, "crop_to_patches": True, "max_patches": 6}
PAN = {
    **SQUARE,
    "do_pan_and_scan": True,
    "pan_and_scan_min_crop_size": 32,
    "pan_and_scan_max_num_crops": 4,
    "pan_and_scan_min_ratio_to_activate": 1.2,
}
CANVAS = {"patch_size": 16, "size": {"longest_edge": 128}}
REAL: dict[str, tuple[str, dict[str, Any]]] = {
    "aya_vision": ("GotOcr2ImageProcessorPil", CUT),
    "gemma3": ("Gemma3ImageProcessorPil", PAN),
    "glm4v": ("Glm4vImageProcessorPil", PATCHES),
    "idefics3": ("Idefics3ImageProcessorPil", SPLIT),
    "internvl": ("GotOcr2ImageProcessorPil", CUT),
    "llama4": ("", {}),  # its own needs torchvision
    "llava": ("CLIPImageProcessorPil", CROP),
    "llava padded": ("LlavaImageProcessorPil", {**CROP, "do_pad": True}),
    "llava_next": ("LlavaNextImageProcessorPil", {**CROP, **PINPOINTS}),
    "llava_onevision": ("LlavaOnevisionImageProcessorPil", {**SQUARE, **PINPOINTS}),
    "mistral3": ("PixtralImageProcessorPil", CANVAS),
    "paligemma": ("SiglipImageProcessorPil", SQUARE),
    "qwen2_5_vl": ("Qwen2VLImageProcessorPil", PATCHES),
    "qwen2_vl": ("Qwen2VLImageProcessorPil", PATCHES),
    "qwen3_vl": ("Qwen2VLImageProcessorPil", PATCHES),
    "smolvlm": ("SmolVLMImageProcessorPil", SPLIT),
}
"""Architectures of the required list, with the image processors of transformers that they use."""
TILED = ("aya_vision", "gemma3", "idefics3", "internvl", "llama4", "smolvlm")
WIDE, HIGH = (72, 150), (150, 72)
COLORS = [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)]


class RealProcessor(TinyProcessor):
    """Text as `TinyProcessor`, pixels by an image processor of transformers."""

    see: Any
    count: Any

    def __call__(self, text, images=None, *, padding_side="right", **ignored):
        form = PixelFormat(**self.form).model_copy(update={"tokens": 1.0})
        rows = [list(row) for row in images or ()]
        counts = [self.count(image) for row in rows for image in row]
        encoded = self.tokenizer(
            self._expand(list(text), counts, form),
            padding=True,
            padding_side=padding_side,
            add_special_tokens=False,
            return_tensors="pt",
            return_token_type_ids=False,
        )
        pixels = self.see([row for row in rows if row]) if rows else {}
        return {**encoded, **pixels, **self._sides(encoded["input_ids"], form)}


def squares(rows):
    """As the processor of llama4: tiles, the whole last."""
    cut = [tile for row in rows for image in row for tile in tiles(image, 32, 4)]
    values = np.stack([np.asarray(tile, np.float32).transpose(2, 0, 1) for tile in cut])
    return {"pixel_values": torch.from_numpy(values / 127.5 - 1)}


@cache
def real(name, levels=1):
    """A tiny model behind an image processor of transformers."""
    architecture, (kind, settings) = name.split()[0], REAL[name]
    tokenizer = tiny_tokenizer()
    model = tiny_model(architecture, tokenizer)
    tiny = tiny_processor(architecture, model, tokenizer)
    made = getattr(transformers, kind)(**settings) if kind else None
    processor = RealProcessor(tokenizer, tiny.chat_template, tiny.form)
    kept = ("pixel_values", "image_grid_thw", "image_sizes", "pixel_attention_mask")

    def see(rows):
        if made is None:
            return squares(rows)
        values = made(images=rows, return_tensors="pt")
        return {key: values[key] for key in kept if key in values}

    @cache
    def count(size):
        with torch.no_grad():
            raw = model.get_image_features(**see([[Image.new("RGB", size)]]))
        tokens = raw.last_hidden_state if raw.pooler_output is None else raw.pooler_output
        return sum(part.numel() // part.shape[-1] for part in tokens)

    processor.see, processor.count = see, lambda image: count(image.size)
    return wrap(model, processor, region_levels=levels).eval()


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(90, 160, (*shape, 3), dtype=np.uint8)


def blocks(shape):
    """Masks of an image cut into 2 x 4 parts, the longer side into 4."""
    numbers = (2, 4) if shape[1] > shape[0] else (4, 2)
    rows, columns = (
        np.arange(side) * number // side for side, number in zip(shape, numbers, strict=True)
    )
    return [
        (rows[:, None] == r) & (columns[None] == c)
        for r in range(numbers[0])
        for c in range(numbers[1])
    ]


@torch.no_grad()
def grids(backbone, *rows):
    """Of the images of each text."""
    images = [[Image.fromarray(pixels) for pixels in row] for row in rows]
    texts = [backbone.render([Message("user", (IMAGE,) * len(row))]) for row in images]
    return backbone.image_features(backbone.encode(texts, images)).grids


def moves(backbone, pixels, masks):
    """(R, P) how far each cell moves where one region after the other is painted, as a share of
    what moves it at all."""
    before = grids(backbone, [pixels])[0]
    moved = torch.zeros(len(masks), len(before))
    for color in COLORS:
        painted = [np.where(m[..., None], color, pixels).astype(np.uint8) for m in masks]
        after = torch.stack(grids(backbone, *([image] for image in painted)))
        lengths = (after - before).norm(dim=-1)
        moved += lengths / lengths.mean(0).clamp(min=1e-9)
    return moved


def check_alignment(backbone, shape):
    """The cell that moves most is one of those that the region covers most."""
    pixels, masks = noise(shape), blocks(shape)
    *shares, full = backbone.region_shares(Image.fromarray(pixels), [*masks, np.ones(shape, bool)])
    shares = torch.stack(shares)
    moved = moves(backbone, pixels, masks)
    assert moved.shape == shares.shape
    most = shares.amax(1)
    seen = most > 0.25  # others are cropped away
    at = shares.gather(1, (moved * (full > 0.5)).argmax(1, keepdim=True))[:, 0]
    hits = (at >= 0.4 * most)[seen]
    assert len(hits) >= 4
    assert hits.all()


@pytest.mark.parametrize("name", REAL)
def test_region_covers_the_cell_that_it_moves(name):
    for shape in (WIDE, HIGH):
        check_alignment(real(name), shape)


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl"])
def test_region_covers_the_cell_that_it_moves_in_the_built_in_backbones(name):
    check_alignment(tiny_backbone(name), WIDE)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if not refused(name)])
def test_region_covers_the_cell_that_it_moves_in_every_architecture(name):
    try:
        backbone = tiny_architecture(name)
    except BackboneError:
        pytest.skip("carries no link")
    kind = grid_kind(backbone.model)
    assert (backbone.grid_width is None) == (kind is None)
    if kind in ("patches", "canvas"):  # else an image has two cells
        backbone.processor.form |= {"height": 96, "width": 96}
    if kind is None or len(grids(backbone, [noise(WIDE)])[0]) == 1:
        pytest.skip("no cells, or one alone")
    check_alignment(backbone, WIDE)
    check_alignment(backbone, HIGH)


@pytest.mark.parametrize("name", REAL)
def test_cells_have_the_width_that_is_known_before_any_forward(name):
    backbone = real(name)
    (cells,) = grids(backbone, [noise(WIDE)])
    shares = backbone.region_shares(Image.fromarray(noise(WIDE)), [blocks(WIDE)[0]])
    assert cells.shape == (shares.shape[1], backbone.grid_width)


LEVELED = ("gemma3", "llava", "llava padded", "llava_next", "llava_onevision", "paligemma")


@pytest.mark.parametrize("name", LEVELED)
def test_region_covers_the_cell_that_it_moves_at_several_levels(name):
    for shape in (WIDE, HIGH):
        check_alignment(real(name, 3), shape)


@pytest.mark.parametrize("name", LEVELED)
@torch.no_grad()
def test_levels_stand_side_by_side_in_the_cells_of_one(name):
    one, several = real(name), real(name, 3)
    pixels = noise(WIDE)
    (cells,), (single,) = grids(several, [pixels]), grids(one, [pixels])
    width = one.model.config.vision_config.hidden_size
    assert several.grid_width == 3 * width
    assert cells.shape == (len(single), 3 * width)
    if name == "gemma3":  # a mean of four patches each
        return
    levels = cells.unflatten(1, (3, width))
    norms = levels.square().mean(-1)
    assert torch.allclose(norms, torch.ones_like(norms), atol=1e-2)
    # of two layers the LLM gets the last but one behind CLIP: all of its levels are early
    assert name.startswith("llava") or (levels[:, 0] - levels[:, 2]).abs().max() > 1e-3
    if name in ("llava_next", "llava_onevision"):  # what the LLM gets, before its projector
        assert torch.allclose(levels[:, 2], layer_norm(single, (width,)), atol=1e-5)


def test_levels_of_several_images_are_those_of_each_alone():
    backbone = real("llava_next", 3)
    images = [noise(WIDE, 1), noise(HIGH, 2), noise(WIDE, 3)]
    together = grids(backbone, images)
    for cells, image in zip(together, images, strict=True):
        assert torch.allclose(cells, grids(backbone, [image])[0], atol=1e-4)


@pytest.mark.parametrize("name", ["internvl", "qwen2_5_vl", "llama4", "mistral3"])
def test_levels_of_an_encoder_that_is_laid_otherwise_are_refused(name):
    with pytest.raises(ConfigError, match=r"region_levels=3.*Leave it out"):
        real(name, 3)


def test_a_backbone_without_cells_has_no_levels():
    backbone = tiny_architecture("florence2")
    with pytest.raises(ConfigError, match="tells none"):
        wrap(backbone.model, backbone.bare_processor, region_levels=2)


@pytest.mark.parametrize("name", REAL)
def test_shares_of_parts_add_up_and_are_those_of_each_part_alone(name):
    backbone, image = real(name), Image.fromarray(noise(HIGH))
    masks, whole = blocks(HIGH), np.ones(HIGH, bool)
    *parts, rest, full = shares = backbone.region_shares(image, [*masks, ~masks[0], whole])
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert (sum(parts) - full).abs().max() <= 0.01  # pictures have 256 steps
    assert (parts[0] + rest - full).abs().max() <= 0.01
    assert torch.equal(backbone.region_shares(image, [masks[0]])[0], parts[0])
    inside = full > 0.99  # no padding in there
    assert torch.allclose(full[inside], torch.ones(int(inside.sum())))
    assert inside.float().mean() >= 0.4


def test_padding_is_in_no_region_and_what_is_cropped_away_in_no_cell():
    padded, cropped = real("llava padded"), real("llava")
    image, whole, left = Image.fromarray(noise(WIDE)), np.ones(WIDE, bool), np.zeros(WIDE, bool)
    left[:, :32] = True
    full = padded.region_shares(image, [whole])[0].view(4, 4)
    assert (full[1:3] == 1).all()
    assert (full[[0, 3]] < 0.15).all()
    assert not cropped.region_shares(image, [left]).any()
    assert (cropped.region_shares(image, [whole]) == 1).all()


@pytest.mark.parametrize("name", TILED)
def test_images_of_several_tiles_keep_their_cells_in_any_batch(name):
    backbone = real(name)
    images = [noise((72, 150), 1), noise((40, 40), 2), noise((150, 72), 3), noise((70, 72), 4)]
    alone = [grids(backbone, [image])[0] for image in images]
    assert len({len(cells) for cells in alone}) > 1
    for rows in ([images], [images[:1], images[1:]], [[image] for image in images]):
        together = grids(backbone, *rows)
        assert [len(cells) for cells in together] == [len(cells) for cells in alone]
        gap = max(float((a - b).abs().max()) for a, b in zip(together, alone, strict=True))
        assert gap <= 1e-4


@pytest.mark.parametrize("name", REAL)
@torch.no_grad()
def test_features_of_tiles_given_ahead_change_nothing(name):
    backbone = real(name)
    images = [[Image.fromarray(noise(WIDE))], [Image.fromarray(noise(HIGH))]]
    inputs = backbone.encode([backbone.render([Message("user", (IMAGE, "a dog"))])] * 2, images)
    calls = []
    hook = backbone.model.get_encoder(modality="image").register_forward_hook(
        lambda *_: calls.append(1)
    )
    features = backbone.image_features(inputs)
    given = backbone(inputs, image_features=features).logits
    hook.remove()
    assert len(calls) == 1
    assert torch.equal(given, backbone(inputs).logits)


def test_gradient_reaches_the_image_encoder_through_the_cells():
    backbone = real("internvl")
    image = Image.fromarray(noise(WIDE))
    text = backbone.render([Message("user", (IMAGE,))])
    (cells,) = backbone.image_features(backbone.encode([text], [[image]])).grids
    (backbone.region_shares(image, blocks(WIDE)[:1]) @ cells).square().sum().backward()
    tower = backbone.model.get_encoder(modality="image")
    assert sum(p.grad.abs().sum() for p in tower.parameters() if p.grad is not None) > 0
    backbone.zero_grad()


@pytest.mark.parametrize("name", ["mllama", "idefics2", "blip-2"])
def test_backbone_without_a_grid_says_so(name):
    backbone = tiny_architecture(name)
    assert backbone.grid_width is None
    with pytest.raises(BackboneError, match="tells no grids"):
        backbone.region_shares(Image.fromarray(noise(WIDE)), blocks(WIDE))


def test_mask_of_another_size_is_refused():
    with pytest.raises(InputError, match=r"\(72, 150\).*Received: \(150, 72\)"):
        real("llava").region_shares(Image.fromarray(noise(WIDE)), blocks(HIGH))
