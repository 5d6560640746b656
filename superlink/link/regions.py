"""The region encoder: part of an image, marked by a mask -> one vector in the LLM's input."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from ..errors import ConfigError, InputError
from ..interfaces import Backbone, ImageFeatures, Sample

__all__ = ["RegionConfig", "RegionEncoder", "region_inputs"]

_FREQUENCIES = 6


class RegionConfig(BaseModel):
    """Sizes of a region encoder."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    image_size: int = Field(default=112, ge=16, multiple_of=8)
    """Side of the square that image and mask are resized to for its own convolutions."""
    dims: int = Field(default=128, ge=8, multiple_of=8)
    """Width of what it pools."""


class RegionEncoder(nn.Module):
    """Three looks at a region, each averaged over its pixels; their sum goes through an MLP.

    Convolutions on image and mask and the features of the backbone's own image encoder follow
    VisionLLM v2 (arXiv 2406.08394, section 3.1). The place of each pixel in waves of several
    lengths is ours: it tells two things of a kind apart. Nothing is drawn at random.

    Args:
        hidden_size: Width of the LLM.
        grid_width: Of the cells of `ImageFeatures.grids`; None where the backbone tells none.
        config: Sizes.
    """

    places: Tensor

    def __init__(self, hidden_size: int, grid_width: int | None, config: RegionConfig) -> None:
        super().__init__()
        dims = config.dims
        self.stem = nn.Sequential(
            nn.Conv2d(4, dims // 4, 4, stride=4),
            nn.GroupNorm(1, dims // 4),
            nn.GELU(),
            nn.Conv2d(dims // 4, dims, 2, stride=2),
            nn.GroupNorm(1, dims),
            nn.GELU(),
            nn.Conv2d(dims, dims, 1),
        )
        self.grid = None if grid_width is None else nn.Linear(grid_width, dims)
        self.place = nn.Linear(4 * _FREQUENCIES, dims)
        self.mlp = nn.Sequential(
            nn.LayerNorm(dims),
            nn.Linear(dims, hidden_size),
            nn.GELU(),
            nn.Linear(hidden_size, hidden_size),
            nn.LayerNorm(hidden_size),
        )
        self.scale = nn.Parameter(torch.full((hidden_size,), 0.02))
        self.register_buffer("places", _waves(config.image_size), persistent=False)

    def forward(self, inputs: Mapping[str, Tensor], features: ImageFeatures | None) -> Tensor:
        """Encode R regions.

        Args:
            inputs: Of `region_inputs`.
            features: Of the images of the batch; read where the encoder knows their width.

        Returns:
            (rows, most regions of a row, hidden_size), zeros where a row has fewer.
        """
        masks = inputs["masks"].to(self.scale.dtype)  # (R, S, S)
        pixels = torch.cat([inputs["pictures"].to(masks.dtype), masks[:, None]], dim=1)
        looks = self.stem(pixels)
        looks = _pooled(looks, nn.functional.adaptive_avg_pool2d(masks, looks.shape[-2:]))
        looks = looks + self.place(_pooled(self.places.to(masks.dtype)[None], masks))
        if self.grid is not None and features is not None and features.grids:
            looks = looks + self.grid(self._cells(inputs, features.grids))
        values: Tensor = self.mlp(looks) * self.scale  # (R, C)
        rows, order = inputs["rows"], inputs["order"]
        filled = values.new_zeros(int(inputs["num_rows"]), int(order.max()) + 1, values.shape[-1])
        return filled.index_put((rows, order), values)

    def _cells(self, inputs: Mapping[str, Tensor], grids: Sequence[Tensor]) -> Tensor:
        """(R, grid_width): the mean over the cells that each region covers."""
        means = []
        for image, shares in zip(inputs["images"].tolist(), inputs["shares"], strict=True):
            cells = grids[image]  # (P, grid_width)
            mine = shares[: len(cells)].to(cells.device)
            means.append(_pooled(cells.T[None, ..., None], mine[None, :, None])[0])
        return torch.stack(means).to(self.scale.dtype)

    def idle(self) -> Tensor:
        """A pass of a minimal region with weight 0: on every rank each parameter takes part."""
        total = sum(parameter.sum() for parameter in self.parameters())
        return 0.0 * torch.as_tensor(total)


def region_inputs(
    samples: Sequence[Sample], backbone: Backbone, config: RegionConfig | None
) -> dict[str, Tensor] | None:
    """What the encoder needs of the regions of a batch; None where there are none.

    Args:
        samples: The conversations.
        backbone: Tells how its grids lie on an image.
        config: Of the model's region encoder; None: it has none.

    Returns:
        `pictures` (R, 3, S, S) from -1 to 1, `masks` (R, S, S) and `shares` (R, P) from 0 to 1;
        `images` (R,) indices among all images of the batch; `rows` and `order` (R,), whose region
        each is and which of these; `num_rows` ().

    Raises:
        ConfigError: There are regions, and no encoder.
        InputError: A region lies outside of its image, or covers none of it.
    """
    if not any(sample.regions for sample in samples):
        return None
    if config is None:
        raise ConfigError(
            "This model has no region encoder, and cannot take regions. Build it with "
            "`regions: {}` in the model of its recipe, or with `attach(..., regions={})`."
        )
    parts: dict[str, list[Tensor]] = {"pictures": [], "masks": [], "shares": []}
    numbers: dict[str, list[int]] = {"images": [], "rows": [], "order": []}
    first = 0
    pictures: dict[int, Tensor] = {}  # of each image once, however many regions it has
    for row, sample in enumerate(samples):
        for order, region in enumerate(sample.regions):
            image = sample.images[region.image or 0]
            number = first + (region.image or 0)
            try:
                mask = region.raster((image.height, image.width))
            except InputError as error:
                raise InputError(f"{error} It is region {order} of key={sample.key!r}.") from error
            if number not in pictures:
                pictures[number] = _picture(image, config.image_size)
            parts["pictures"].append(pictures[number])
            parts["masks"].append(_resized(mask, config.image_size))
            if backbone.grid_width is not None:
                parts["shares"].append(backbone.region_shares(image, [mask])[0])
            numbers["images"].append(number)
            numbers["rows"].append(row)
            numbers["order"].append(order)
        first += len(sample.images)
    return {
        "pictures": torch.stack(parts["pictures"]),
        "masks": torch.stack(parts["masks"]),
        "shares": nn.utils.rnn.pad_sequence(parts["shares"], batch_first=True)
        if parts["shares"]
        else torch.zeros(len(parts["masks"]), 0),
        "num_rows": torch.tensor(len(samples)),
        **{name: torch.tensor(values) for name, values in numbers.items()},
    }


def _pooled(maps: Tensor, masks: Tensor) -> Tensor:
    """The mean (R, C) of maps (R or 1, C, H, W) over masks (R, H, W), in the dtype of the maps.

    It is taken in float32, also under autocast: float16 counts to 65504, a square of 256 pixels.
    """
    with torch.autocast(maps.device.type, enabled=False):
        masks = masks.float()
        weights = masks / masks.sum((1, 2), keepdim=True).clamp(min=1e-6)
        wide = maps.float().expand(len(masks), -1, -1, -1)
        return torch.einsum("rchw,rhw->rc", wide, weights).to(maps.dtype)


def _waves(size: int) -> Tensor:
    """(4 * frequencies, size, size): sine and cosine of x and of y at several wave lengths."""
    middles = (torch.arange(size) + 0.5) / size
    turns = middles * math.pi * 2.0 ** torch.arange(_FREQUENCIES)[:, None]  # (F, size)
    waves = torch.cat([turns.sin(), turns.cos()])
    across = waves[:, None, :].expand(-1, size, -1)
    return torch.cat([across, across.transpose(1, 2)])


def _picture(image: Image.Image, size: int) -> Tensor:
    small = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(small)).permute(2, 0, 1) / 127.5 - 1


def _resized(mask: np.ndarray, size: int) -> Tensor:
    """How much of each of size x size pixels a mask (H, W) covers."""
    shares = torch.from_numpy(mask).float()[None, None]
    return nn.functional.interpolate(shares, (size, size), mode="area")[0, 0]
