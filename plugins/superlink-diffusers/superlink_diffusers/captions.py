"""What the text encoders of a diffusion model make of captions, to compare a condition with."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from superlink.errors import CheckpointError, ConfigError

from .family import Family
from .loading import Place, load_class

__all__ = ["CaptionEncoder"]

_FAILURES = (OSError, ValueError, RuntimeError)


class CaptionEncoder(nn.Module):
    """The text encoders of a source, frozen.

    Args:
        place: The source.
        family: Its kind.

    Raises:
        CheckpointError: It has no text encoders.
    """

    def __init__(self, place: Place, family: Family) -> None:
        super().__init__()
        without = dict.fromkeys((family.part, "vae", "safety_checker"))
        cls = load_class(family.pipeline, "pipeline")
        without = {name: None for name in without if name in _arguments(cls.__init__)}
        try:
            self.pipeline = cls.from_pretrained(
                place.source,
                **without,
                revision=place.revision,
                variant=place.variant,
                dtype=place.dtype,
            )
        except _FAILURES as error:
            raise CheckpointError(
                f"caption_loss needs the text encoders of {place.source}, which cannot be read. "
                f"{place.cure}, or set caption_loss to 0. Received: {error}"
            ) from error
        found = {name: getattr(self.pipeline, name, None) for name in family.unused}
        modules = {name: one for name, one in found.items() if isinstance(one, nn.Module)}
        self.encoders = nn.ModuleDict(modules).requires_grad_(False).eval()

    @torch.no_grad()
    def forward(self, captions: Sequence[str]) -> Tensor:
        """(R, L, C) in float32 for R captions."""
        device = next(self.encoders.parameters()).device
        known = {
            "prompt": list(captions),
            "prompt_2": None,
            "prompt_3": None,
            "device": device,
            "num_images_per_prompt": 1,
            "do_classifier_free_guidance": False,
        }
        takes = _arguments(self.pipeline.encode_prompt)
        found: Tensor = self.pipeline.encode_prompt(
            **{name: value for name, value in known.items() if name in takes}
        )[0]
        return found.float()

    def null(self, length: int, width: int) -> Tensor:
        """(L, C) of an empty caption.

        Raises:
            ConfigError: The condition has another length or width.
        """
        empty: Tensor = self([""])[0]
        if empty.shape != (length, width):
            raise ConfigError(
                "caption_loss needs a condition of the text encoders' length and width: "
                f"{tuple(empty.shape)}. Received: {(length, width)}. Set condition_length to "
                f"{len(empty)}"
            )
        return empty


def _arguments(function: Any) -> set[str]:
    return {*inspect.signature(function).parameters}
