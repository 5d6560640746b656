"""What a call says of the pictures that its routes stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from superlink.errors import InputError
from superlink.interfaces import CallInput

from .images import resized

__all__ = ["target_captions", "target_changes", "target_images"]


def target_images(call: CallInput) -> tuple[Image.Image, ...]:
    """The picture of each of a call's routes.

    Raises:
        InputError: There are more or fewer, or they are no pictures.
    """
    target, number = call.target or {}, len(call.tokens)
    images: tuple[Any, ...] = tuple(target.get("images", ()))
    if len(images) != number or not all(isinstance(one, Image.Image) for one in images):
        raise InputError(
            "A target needs images, one PIL picture for each of the call's routes: "
            f"{number}. Received: {len(images)} in {sorted(target)}, key={call.key!r}"
        )
    return images


def target_captions(call: CallInput) -> tuple[str, ...]:
    """The words for each of these pictures.

    Raises:
        InputError: There are more or fewer.
    """
    captions = tuple((call.target or {}).get("captions", ()))
    if len(captions) != len(call.tokens):
        raise InputError(
            f"With caption_loss a target needs captions, one for each of {len(call.tokens)} "
            f"routes. Received: {len(captions)}, key={call.key!r}"
        )
    return captions


def target_changes(call: CallInput, size: tuple[int, int]) -> Tensor:
    """(routes, *size) what each edit may change, in a picture of `size` (height, width): 1 there, 0
    elsewhere, and -1 everywhere if nobody knows it.

    Raises:
        InputError: There are more or fewer than routes, or they are no masks.
    """
    images = target_images(call)
    changes = (call.target or {}).get("changed", (None,) * len(images))
    fitting = isinstance(changes, Sequence) and len(changes) == len(images)
    if not fitting or not all(map(_fits, changes, images)):
        raise InputError(
            "What edits may change is told by one boolean mask, of the size (height, width) of the "
            f"wanted picture, or None, for each of {len(images)} routes. Received: {changes!r:.200}"
            f", key={call.key!r}"
        )
    unknown = torch.full(size, -1.0)
    return torch.stack([unknown if one is None else resized(one, size) for one in changes])


def _fits(mask: Any, image: Image.Image) -> bool:
    if mask is None:
        return True
    return (
        isinstance(mask, np.ndarray)
        and mask.dtype == np.bool_
        and mask.shape == (image.height, image.width)
    )
