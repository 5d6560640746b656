"""How the tokens of an image encoder lie on an image, whatever its processor does with that image:
resize, crop, pad, cut into tiles or into flat patches."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, layer_norm

from ..errors import BackboneError, ConfigError, InputError
from ..interfaces.regions import Mask
from .anatomy import image_id

__all__ = ["TILES", "Grids", "Kind", "grid_kind", "num_tiles"]

Kind = Literal["tiles", "maps", "packed", "patches", "canvas"]
"""`tiles`: pixels (..., 3, H, W), each tile's tokens row by row. `maps`: so too, but the tower's
feature maps of several strides are read, side by side. `packed`: so too, but the tokens of an image
are packed anew with line ends, so that those of the tower are read. `patches`: flat patches with
`image_grid_thw`. `canvas`: images with their `image_sizes`, each padded."""
Inputs = Mapping[str, Tensor]

TILES = "image_tiles"
"""(N,) how many tiles each image has; beside what a model is given, where it is not one for all."""

_MAP_STRIDE = 8
_ARGUMENTS = {"vision_feature_layer", "vision_feature_select_strategy"}
_TOWERS = ("clip_vision_model", "siglip_vision_model")
"""Image encoders by their type whose hidden states are patches row by row, a class token at most in
front of them."""
_NO_GRID = ("chameleon", "hunyuan_vl", "idefics2", "inkling_mm_model")
"""Models by their type whose tokens of an image are no grid of features: codes of a vocabulary,
learned queries, or ends of lines among them."""
_ROW_BY_ROW = ("kimi_k25", "muse_glimmer", "muse_spark", "paddleocr_vl")
"""Models by their type whose flat patches lie row by row, not those of one token together."""


def grid_kind(model: Any) -> Kind | None:
    """How the tokens of a model's images lie; None where nothing tells, or where the model cannot
    take back what its image encoder gave."""
    encode = getattr(model, "get_image_features", None)
    known = image_id(model.config) is not None and model.config.model_type not in _NO_GRID
    if encode is None or not known or not model._supports_mm_encoder_outputs():
        return None
    if getattr(getattr(model.config, "vision_config", None), "map_channels", None):
        return "maps"
    names = {*inspect.signature(encode).parameters} - _ARGUMENTS - {"kwargs"}
    if getattr(model.config, "image_grid_pinpoints", None):
        return "packed"
    kinds: dict[frozenset[str], Kind] = {
        frozenset({"pixel_values"}): "tiles",
        frozenset({"pixel_values", "pixel_attention_mask"}): "tiles",
        frozenset({"pixel_values", "image_grid_thw"}): "patches",
        frozenset({"pixel_values", "image_sizes"}): "canvas",
    }
    return kinds.get(frozenset(names))


def num_tiles(inputs: Inputs) -> int:
    """Tiles (3, H, W) in `pixel_values`, padding included; 0 where there are none."""
    pixels = inputs.get("pixel_values")
    return 0 if pixels is None else pixels.shape[:-3].numel()


class Grids:
    """The cells of images, for one model.

    A region goes the way of its image: as a picture, white on black, through the same processor.
    Black and white pictures of that size tell what the processor makes of nothing and of all, so
    that each value of `pixel_values` says how much of it is covered; the rest is a mean over the
    pixels of each token.

    Args:
        model: A model of transformers.
        kind: Of `grid_kind`.
        levels: 1 reads what the LLM gets. More read so many hidden states of the image encoder
            itself, evenly apart up to the one that the LLM gets, each normalised, side by side.

    Raises:
        ConfigError: Several levels are asked of an encoder whose hidden states are laid otherwise.
    """

    def __init__(self, model: Any, kind: Kind, levels: int = 1) -> None:
        self.kind, config = kind, model.config
        self.image_id = image_id(config)
        self.row_by_row = config.model_type in _ROW_BY_ROW
        vision: Any = getattr(config, "vision_config", None)
        patch = getattr(vision, "patch_size", 1)
        self.patch_size = patch if isinstance(patch, int) else 1
        layer = getattr(config, "vision_feature_layer", -1)
        self.layer = layer if isinstance(layer, int) else -1
        # some put their projector behind what they call image features
        width = (
            getattr(vision, "vision_output_dim", None)
            or config.get_text_config(decoder=True).hidden_size
        )
        self.width = int(vision.hidden_size if kind == "packed" else width)
        self.map_side = 0
        if kind == "maps":
            self.width, self.map_side = sum(vision.map_channels), vision.image_size // _MAP_STRIDE
        self.levels = levels
        if levels > 1:
            self._check_levels(getattr(vision, "model_type", "none"))
            self.width = levels * int(vision.hidden_size)
        self._ends: tuple[tuple[int, int], Tensor, Tensor] | None = None

    def features(self, raw: Any, inputs: Inputs) -> tuple[Tensor, ...]:
        """For each image (P, C), of what the image encoder gave for a batch."""
        if self.kind == "packed":
            return self._packed(raw, inputs["pixel_values"])
        tokens = raw.last_hidden_state if raw.pooler_output is None else raw.pooler_output
        if self.kind == "maps":
            tokens = self._side_by_side(raw)
        elif self.levels > 1:
            tokens = self._on_cells(raw, tokens, inputs["pixel_values"])
        elif self.kind != "tiles":
            return tuple(tokens)
        flat = torch.cat([part.flatten(0, -2) for part in tokens])  # of tiles, images or texts
        counts = inputs[TILES].tolist() if TILES in inputs else [1] * num_tiles(inputs)
        return _split(flat, counts)

    def _side_by_side(self, raw: Any) -> Tensor:
        """The maps of each tile at one stride, (N, P, C)."""
        maps = [state for state in raw.hidden_states if state.dim() == 4]
        level = [adaptive_avg_pool2d(state, self.map_side) for state in maps]
        return torch.cat(level, dim=1).flatten(2).transpose(1, 2)

    def _check_levels(self, tower: str) -> None:
        if self.kind not in ("tiles", "packed") or tower not in _TOWERS:
            raise ConfigError(
                "region_levels above 1 reads hidden states of an image encoder of "
                f"{' or '.join(_TOWERS)} that sees images in squares. Received: "
                f"region_levels={self.levels}, {tower}, images as {self.kind}. Leave it out."
            )

    def _tower(self, raw: Any, pixels: Tensor) -> Tensor:
        """The tower's own tokens of each tile (N, P, C), of all levels side by side."""
        high, wide = self._patches(pixels)
        states = raw.hidden_states
        if self.levels == 1:
            return cast(Tensor, states[self.layer][:, -high * wide :])  # behind a class token
        last = self.layer % len(states)
        places = [round(last * number / self.levels) for number in range(1, self.levels + 1)]
        patches = [states[place][:, -high * wide :] for place in places]
        return torch.cat([layer_norm(level, level.shape[-1:]) for level in patches], dim=-1)

    def _on_cells(self, raw: Any, tokens: Tensor, pixels: Tensor) -> Tensor:
        """The tower's tokens of each tile, averaged where the LLM gets fewer: (N, cells, C)."""
        high, wide = self._patches(pixels)
        patches = self._tower(raw, pixels)
        per_tile = sum(part[..., 0].numel() for part in tokens) // len(patches)
        if per_tile == high * wide:
            return patches
        maps = patches.transpose(1, 2).reshape(len(patches), -1, high, wide)
        return adaptive_avg_pool2d(maps, _shape(high, wide, per_tile)).flatten(2).transpose(1, 2)

    def _packed(self, raw: Any, pixels: Tensor) -> tuple[Tensor, ...]:
        """The tower's tokens of each tile; tiles of zeros only fill up."""
        tokens = self._tower(raw, pixels)
        counts = (pixels.flatten(2) != 0).any(-1).sum(1).tolist()  # (N, T, 3 H W)
        return _split(tokens.flatten(0, 1), counts)

    def shares(
        self,
        image: Image.Image,
        masks: Sequence[Mask],
        encode: Callable[[Image.Image], Inputs],
    ) -> Tensor:
        """See `Backbone.region_shares`; `encode` makes the model's inputs of an image alone."""
        size = image.size
        wrong = [mask.shape for mask in masks if mask.shape != size[::-1]]
        if wrong:
            raise InputError(
                f"A mask of a region has the shape (H, W) of its image, {size[::-1]}. "
                f"Received: {wrong[0]}"
            )
        if self._ends is None or self._ends[0] != size:
            black, white = (encode(Image.new("RGB", size, c)) for c in ("black", "white"))
            self._ends = size, black["pixel_values"], white["pixel_values"]
        _, low, high = self._ends
        span = high - low
        span = torch.where(span.abs() < 1e-6, torch.inf, span)  # where padding lies
        rows = []
        for mask in masks:
            inputs = encode(Image.fromarray(mask.astype(np.uint8) * 255).convert("RGB"))
            covered = ((inputs["pixel_values"] - low) / span).clamp(0, 1)
            rows.append(self._cells(covered, inputs))
        return torch.stack(rows)

    def _cells(self, covered: Tensor, inputs: Inputs) -> Tensor:
        """(P,) the mean over the pixels of each token, of values like `pixel_values`."""
        num_tokens = int(inputs["input_ids"].eq(self.image_id or 0).sum())
        if self.kind == "patches":
            values = covered.flatten(1).mean(1)  # of each patch
            if not self.row_by_row:
                return values.view(num_tokens, -1).mean(1)
            _, high, wide = inputs["image_grid_thw"][0].tolist()
            return _pooled(values.view(1, high, wide), num_tokens)
        planes = covered.flatten(0, -4).mean(1)  # (tiles, H, W)
        if self.kind == "canvas":
            high, wide = inputs["image_sizes"][0].tolist()
            return _pooled(planes[:, :high, :wide], num_tokens)
        high, wide = self._patches(planes)
        per_tile = high * wide if self.kind == "packed" else num_tokens // len(planes)
        per_tile = self.map_side**2 or per_tile
        size = self.patch_size  # what is left of a tile makes no patch
        return _pooled(planes[:, : high * size, : wide * size], per_tile)

    def _patches(self, pixels: Tensor) -> tuple[int, int]:
        """Rows and columns of patches of tiles (..., H, W)."""
        return pixels.shape[-2] // self.patch_size, pixels.shape[-1] // self.patch_size


def _pooled(planes: Tensor, num_cells: int) -> Tensor:
    """Planes (N, H, W) averaged to `num_cells` cells each, row by row: (N * num_cells,)."""
    shape = _shape(planes.shape[-2], planes.shape[-1], num_cells)
    return adaptive_avg_pool2d(planes[None], shape)[0].flatten()


def _shape(high: int, wide: int, num_cells: int) -> tuple[int, int]:
    """Rows and columns of cells that are as long as they are wide."""
    rows = max(1, round((num_cells * high / wide) ** 0.5))
    if num_cells % rows:
        raise BackboneError(
            f"The tokens of an image are no grid. Expected rows and columns of {wide} x {high} "
            f"pixels. Received: {num_cells} tokens. Build the model without `regions`."
        )
    return rows, num_cells // rows


def _split(tokens: Tensor, counts: Sequence[int]) -> tuple[Tensor, ...]:
    """The tokens (P, C) of each image, of those of all tiles one behind the other."""
    per_tile, rest = divmod(len(tokens), sum(counts))
    if rest:
        raise BackboneError(
            f"Expected as many tokens of each of {sum(counts)} tiles. Received: {len(tokens)} "
            "tokens. Encode texts and images together, by `encode`."
        )
    return torch.split(tokens, [per_tile * count for count in counts])
