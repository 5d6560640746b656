"""Pictures by the pipelines of diffusers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import torch
from PIL import Image
from torch import nn

from .config import PictureConfig
from .family import Condition, Family
from .loading import load_class

__all__ = ["Artist", "run_pipeline"]


class Artist(Protocol):
    """Whatever holds the parts that pictures are made by: a `PictureDecoder`."""

    editing: ClassVar[bool]
    family: Family
    model: Any
    vae: Any
    scheduler: Any

    @property
    def config(self) -> PictureConfig:
        """Steps and guidance where nobody asks for others."""


def run_pipeline(
    decoder: Artist,
    told: Condition,
    null: Condition,
    seeds: Sequence[int],
    options: Any,
    arguments: Mapping[str, Any],
    model: nn.Module | None = None,
) -> list[Image.Image]:
    """A picture for each of R routes.

    Args:
        decoder: Whose parts make them.
        told: The condition of the routes.
        null: The one in its place that guidance moves away from.
        seeds: R of them.
        options: What the user asks for; what is left out is as the config has it.
        arguments: Further ones of the pipeline.
        model: What stands in the place of the decoder's.
    """
    config, family = decoder.config, decoder.family
    pipeline = make_pipeline(decoder, model or decoder.model)
    pipeline.set_progress_bar_config(disable=not options.progress)
    scale = options.guidance_scale or config.guidance_scale
    images: list[Image.Image] = pipeline(
        **family.arguments(told, null, scale, decoder.model.config),
        **arguments,
        num_inference_steps=options.num_inference_steps or config.num_inference_steps,
        # On the host: a device must not change a picture.
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
    ).images
    return images


def make_pipeline(decoder: Artist, model: nn.Module) -> Any:
    """The family's pipeline, with a scheduler that no other one counts in."""
    family = decoder.family
    name = family.editing_pipeline if decoder.editing else family.pipeline
    scheduler = type(decoder.scheduler).from_config(decoder.scheduler.config)
    return load_class(name or family.pipeline, "pipeline")(
        **dict.fromkeys(family.unused),
        **family.switches,
        **{family.part: model},
        vae=decoder.vae,
        scheduler=scheduler,
    )
