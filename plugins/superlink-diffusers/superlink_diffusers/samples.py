"""What a call says of the pictures that its routes stand for."""

from __future__ import annotations

from typing import Any

from PIL import Image

from superlink.errors import InputError
from superlink.interfaces import CallInput

__all__ = ["target_captions", "target_images"]


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
