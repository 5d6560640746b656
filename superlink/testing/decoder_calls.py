"""Calls to check a task decoder with: drawn after its own dummy call, and seen in other ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..interfaces import CallInput, Geometry

__all__ = [
    "draw_call",
    "emptied",
    "has_instances",
    "mirrored_target",
    "reordered",
    "scaled_target",
    "views",
]


def draw_call(dummy: CallInput, token: str, num_routes: int, seed: int) -> CallInput:
    """A call with so many routes of `token`, like the dummy call of a decoder.

    With instance targets, each route gets one or three random instances, in a picture whose size
    depends on the seed. Any other target is used as it is, but for its tuples with an entry for
    each route of the dummy call: they get one for each route of this call, and other pictures.
    """
    phrases = tuple(f"thing {index}" for index in range(num_routes))
    call = replace(dummy, tokens=(token,) * num_routes, phrases=phrases, key=f"case {seed}")
    instances = has_instances(dummy.target)
    if not instances and dummy.target is not None:
        call = replace(call, target=_for_each_route(dummy, num_routes, seed))
    if dummy.image is None:
        return call
    size = _size(dummy.image.size, seed) if instances else dummy.image.size
    call = replace(call, image=_picture(size, seed))
    if not instances or dummy.target is None:
        return call
    target = _draw_target(dummy.target, size, num_routes, seed)
    return replace(call, geometry=Geometry.identity(size[::-1]), target=target)


def has_instances(target: Mapping[str, Any] | None) -> bool:
    """Whether a target holds instances: `labels`, and `bboxes` or `masks`."""
    return target is not None and "labels" in target and bool({"bboxes", "masks"} & set(target))


def emptied(call: CallInput) -> CallInput:
    """The call with none of its instances."""
    target = call.target or {}
    number = len(target["labels"])
    # A list of nothing has no shape: tensors are what the contract says.
    none = {key: _rows(value, number, torch.arange(0)) for key, value in target.items()}
    return replace(call, target=none)


def reordered(call: CallInput, order: list[int]) -> CallInput:
    """The call with its first routes in another order: the new route `i` is the old `order[i]`."""
    order = [*order, *range(len(order), len(call.tokens))]
    target = call.target
    if target is not None and has_instances(target):
        back = torch.tensor(order).argsort()
        target = {**target, "labels": back[torch.as_tensor(target["labels"])]}
    elif target is not None:
        mine = _route_keys(call)
        target = {k: tuple(v[i] for i in order) if k in mine else v for k, v in target.items()}
    tokens, phrases = (tuple(some[i] for i in order) for some in (call.tokens, call.phrases))
    return replace(call, tokens=tokens, phrases=phrases, target=target)


def views(call: CallInput) -> dict[str, CallInput]:
    """One image seen in several ways, each with the geometry that tells how."""
    image, geometry = call.image, call.geometry
    if image is None or geometry is None:
        return {}
    width, height = image.size
    small, large = (height * 3 // 4, width // 2), (height + height // 4, width + width // 2)
    box = (width // 4, height // 8, width, height)
    padded = Image.new(image.mode, large[::-1])
    padded.paste(image)
    seen = {
        "resized": (image.resize(small[::-1]), geometry.resized(small)),
        "padded": (padded, geometry.padded(large)),
        "cropped": (image.crop(box), geometry.cropped(box)),
        "mirrored": (ImageOps.mirror(image), geometry.mirrored()),
    }
    return {
        name: replace(call, image=picture, geometry=how) for name, (picture, how) in seen.items()
    }


def mirrored_target(target: Mapping[str, Any], width: int) -> dict[str, Any] | None:
    """Boxes and masks with left and right exchanged; None where there is more in the target."""
    if not has_instances(target) or set(target) - {"bboxes", "labels", "masks"}:
        return None
    moved = dict(target)
    if "bboxes" in target:
        x1, y1, x2, y2 = torch.as_tensor(target["bboxes"]).unbind(-1)
        moved["bboxes"] = torch.stack([width - x2, y1, width - x1, y2], dim=-1)
    if "masks" in target:
        moved["masks"] = torch.as_tensor(target["masks"]).flip(-1)
    return moved


def scaled_target(target: Mapping[str, Any], factor: int) -> dict[str, Any] | None:
    """Boxes in an image that is larger by `factor`; None where there is more in the target."""
    if set(target) != {"bboxes", "labels"}:
        return None
    return {**target, "bboxes": torch.as_tensor(target["bboxes"]) * factor}


def _route_keys(call: CallInput) -> set[str]:
    """The keys of a target whose tuples have an entry for each route."""
    target, number = call.target or {}, len(call.tokens)
    return {k for k, v in target.items() if isinstance(v, tuple) and len(v) == number}


def _for_each_route(dummy: CallInput, num_routes: int, seed: int) -> dict[str, Any]:
    """The target of a dummy call for another number of routes."""

    def entry(values: tuple[Any, ...], index: int) -> Any:
        value = values[index % len(values)]
        drawn = isinstance(value, Image.Image)
        return _picture(value.size, 100 * seed + index) if drawn else value

    mine = _route_keys(dummy)
    return {
        key: tuple(entry(value, i) for i in range(num_routes)) if key in mine else value
        for key, value in (dummy.target or {}).items()
    }


def _size(size: tuple[int, int], seed: int) -> tuple[int, int]:
    """Width and height near those of the dummy call."""
    width, height = (max(side, 16) for side in size)
    return width + width // 4 * (seed % 3), height + height // 8 * (seed % 4)


def _picture(size: tuple[int, int], seed: int) -> Image.Image:
    """Smooth spots of colour."""
    pixels = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def _draw_target(
    target: Mapping[str, Any], size: tuple[int, int], num_routes: int, seed: int
) -> dict[str, Any]:
    """Random instances with the keys of `target`; what is not known here is repeated."""
    random = torch.Generator().manual_seed(seed)
    # Odd numbers: signs of an L1 loss do not cancel out.
    counts = torch.tensor([1 + 2 * ((seed + route) % 2) for route in range(num_routes)])
    labels = torch.arange(num_routes).repeat_interleave(counts)
    labels = labels[torch.randperm(len(labels), generator=random)]  # (N,)
    centres, halves = torch.rand(2, len(labels), 2, generator=random)
    halves = 0.1 + 0.2 * halves
    centres = halves + centres * (1 - 2 * halves)
    bboxes = torch.cat([centres - halves, centres + halves], dim=-1) * torch.tensor([*size, *size])
    number = len(target["labels"])
    drawn = {
        key: _rows(value, number, torch.arange(len(labels)) % max(number, 1))
        for key, value in target.items()
    }
    known = {"labels": labels, "bboxes": bboxes, "masks": _masks(bboxes, size)}
    if "keypoints" in target:
        shape = torch.as_tensor(target["keypoints"]).shape[1:]  # (K, 2), or more beside x and y
        places = torch.rand(len(labels), shape[0], 2, generator=random)
        points = bboxes[:, None, :2] + places * (bboxes[:, None, 2:] - bboxes[:, None, :2])
        known["keypoints"] = torch.cat([points, torch.ones(*points.shape[:2], shape[1] - 2)], -1)
    return {key: known.get(key, value) for key, value in drawn.items()}


def _masks(bboxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks (N, H, W) of bool that fill the boxes (N, 4)."""
    x, y = torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5
    x1, y1, x2, y2 = (side[:, None] for side in bboxes.unbind(-1))
    across, down = (x >= x1) & (x < x2), (y >= y1) & (y < y2)
    return down[:, :, None] & across[:, None, :]


def _rows(value: Any, number: int, index: Tensor) -> Any:
    """The rows `index` of what has a row for each instance; all else as it is."""
    if isinstance(value, Tensor | np.ndarray):
        return value[index] if value.ndim and len(value) == number else value
    if isinstance(value, list | tuple) and len(value) == number:
        try:
            return torch.as_tensor(value)[index]
        except (TypeError, ValueError):  # names, or rows of different lengths
            return [value[i] for i in index.tolist()]
    return value
