"""Checks of regions on a backbone: where they lie on its images, and where their values enter."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from ..interfaces import IMAGE, REGION_MARK, Message
from .backbone_case import REGIONS, BackboneCase, check_close, largest_gap
from .checks import NotApplicable, expect

__all__ = ["check_region_batch", "check_region_block", "check_region_cells", "check_region_place"]

_SIZE = (72, 150)
_COLORS = ((0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255))
_LEAST_RATIO = 1.1
"""So much more the cells of a region move than others, where each is painted in turn."""


def check_region_cells(case: BackboneCase) -> str:
    """Stops cells that lie elsewhere on an image than a region says."""
    _needs_cells(case)
    pixels = np.random.default_rng(0).integers(90, 160, (*_SIZE, 3), dtype=np.uint8)
    masks = _parts()
    *shares, full = case.backbone.region_shares(
        Image.fromarray(pixels), [*masks, np.ones(_SIZE, bool)]
    )
    parts = torch.stack(shares)  # (R, P)
    (cells,) = _cells(case, [pixels])
    expect(
        cells.shape == (len(full), case.backbone.grid_width),
        f"{len(full)} cells of width {case.backbone.grid_width}, as `region_shares` has them",
        tuple(cells.shape),
    )
    gap = largest_gap(parts.sum(0), full)
    expect(gap <= 0.02, "shares of parts that add up to those of the whole", f"{gap:.2f} apart")
    covered = float(full.max())
    expect(covered > 0.5, "cells that the whole image covers", f"{covered:.2f} at most")
    if len(cells) == 1:
        return "one cell"
    moved = _moved(case, pixels, masks)
    inside, outside = parts >= 0.5 * parts.amax(1, keepdim=True).clamp(min=0.25), parts < 0.01
    both = inside.any(1) & (outside & (full > 0.5)).any(1)
    if not both.any():
        return f"{len(cells)} cells, all in each region"
    ratio = float(moved[inside & both[:, None]].mean())
    ratio /= float(moved[outside & (full > 0.5) & both[:, None]].mean())
    expect(ratio >= _LEAST_RATIO, "cells that move most where their region is painted", ratio)
    return f"{len(cells)} cells, {ratio:.1f} x"


@torch.no_grad()
def check_region_place(case: BackboneCase) -> str:
    """Stops values of regions that are lost, or that reach other places than their own."""
    _needs_cells(case)
    samples = case.samples(regions=True)
    inputs = case.on_device(case.model.processor.encode(samples).inputs)
    features, values = case.seen(samples, inputs)
    if values is None:
        raise AssertionError("Expected values of regions. Received: none")
    embedded, states = [], []
    for change in (0.0, 1.0):
        looked_up: list[Tensor] = []
        tables = case.backbone.embedding_modules()
        handles = [
            table.register_forward_hook(lambda *call, kept=looked_up: kept.append(call[-1]))
            for table in tables
        ]
        try:
            with case.model.hooks.filled(values + change):
                out = case.backbone(inputs, image_features=features)
        finally:
            for handle in handles:
                handle.remove()
        embedded.append([vectors for vectors in looked_up if vectors.dim() == 3])
        states.append(out.last_hidden_state)
    places = inputs["input_ids"] == case.model.vocabulary.ids[REGION_MARK]  # (B, T)
    changes = [after - before for before, after in zip(*embedded, strict=True)]
    moved = [change.abs().amax(-1) > 0 for change in changes]
    filled = sum(int((change - 1).abs().amax(-1).le(1e-2).sum()) for change in changes)
    other = sum(int(change.sum()) for change in moved) - filled
    expected = sum(map(len, REGIONS))
    expect((filled, other) == (expected, 0), f"{expected} places, no other", (filled, other))
    right = any(m.shape == places.shape and torch.equal(m, places) for m in moved)
    expect(right, "the places of region tokens", "others")
    gap = largest_gap(*states)
    expect(gap > 1e-6, "states that change with a region", f"{gap:.1e} of a difference")
    return f"{filled} places"


def check_region_batch(case: BackboneCase) -> str:
    """Stops regions that reach another row, or another place where a row is padded on the left."""
    _needs_cells(case)
    alone = [case.read([row], regions=True)[0] for row in range(4)]
    check_close(case.read(side="left", regions=True), alone)
    return check_close(case.read(regions=True), alone)


def check_region_block(case: BackboneCase) -> str:
    """Stops a cached generation that does not see the regions that one forward sees."""
    _needs_cells(case)
    return check_close(case.write(regions=True), case.read(regions=True))


def _needs_cells(case: BackboneCase) -> None:
    if case.backbone.grid_width is None:
        raise NotApplicable("the backbone tells no grid of its image encoder")
    if case.model.regions is None:
        raise NotApplicable("the model has no region encoder")


def _parts() -> list[npt.NDArray[np.bool_]]:
    """The image cut into 2 x 4 masks."""
    rows, columns = (np.arange(side) * n // side for side, n in zip(_SIZE, (2, 4), strict=True))
    return [(rows[:, None] == r) & (columns[None] == c) for r in range(2) for c in range(4)]


@torch.no_grad()
def _cells(case: BackboneCase, images: list[npt.NDArray[np.uint8]]) -> tuple[Tensor, ...]:
    """What the image encoder makes of the cells of each image, (P, C)."""
    text = case.backbone.render([Message("user", (IMAGE,))])
    pictures = [[Image.fromarray(pixels)] for pixels in images]
    inputs = case.on_device(case.backbone.encode([text] * len(pictures), pictures))
    features = case.backbone.image_features(inputs)
    if features is None or len(features.grids) != len(images):
        raise AssertionError(
            f"Expected `ImageFeatures.grids` of {len(images)} images, as `grid_width` is set. "
            f"Received: {None if features is None else len(features.grids)}"
        )
    return tuple(cells.float().cpu() for cells in features.grids)


def _moved(
    case: BackboneCase,
    pixels: npt.NDArray[np.uint8],
    masks: list[npt.NDArray[np.bool_]],
) -> Tensor:
    """(R, P) how far each cell moves where one region after the other is painted, as a share of
    what moves it at all."""
    (before,) = _cells(case, [pixels])
    moved = torch.zeros(len(masks), len(before))
    for color in _COLORS:
        painted = [np.where(m[..., None], np.array(color, np.uint8), pixels) for m in masks]
        lengths = (torch.stack(_cells(case, painted)) - before).norm(dim=-1)
        moved += lengths / lengths.mean(0).clamp(min=1e-9)
    return moved
