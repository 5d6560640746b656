"""The parts that diffusers gives: a diffusion model, an autoencoder and a scheduler."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from superlink.errors import ConfigError

from .config import PictureConfig
from .family import Family
from .loading import Place, load_class, load_part
from .pixel_space import PixelSpace
from .widening import widen

__all__ = ["Parts", "make_parts", "place_of"]

_SUITABLE = {"clip_sample": False, "steps_offset": 1}
"""What the pipelines of diffusers set in a scheduler with a warning where it is otherwise."""
_OF_VAES = ("source", "folder", "revision", "variant")


@dataclass(frozen=True)
class Parts:
    """What the pipelines of diffusers are made of, but for text encoders."""

    model: nn.Module
    """The diffusion model."""
    vae: nn.Module
    """The autoencoder, frozen."""
    scheduler: Any
    """What makes the steps."""
    widened: bool
    """Whether the model's input was widened for a source image."""


def place_of(config: PictureConfig) -> Place | None:
    """Where the weights of a config lie, if it says so."""
    if config.source is None:
        return None
    return Place(config.source, getattr(torch, config.dtype), config.revision, config.variant)


def make_parts(config: PictureConfig, family: Family, *, editing: bool) -> Parts:
    """Load the parts from `source`, or make them of their settings.

    Raises:
        ConfigError: Settings that diffusers refuses, or parts that do not fit each other.
        CheckpointError: The source lacks a part.
    """
    place = place_of(config)
    vae = _make_vae(config, place)
    if vae.config.get("shift_factor", 0.0) is None:
        vae.register_to_config(shift_factor=0.0)  # which some pipelines add as it is
    for name in ("tiling", "slicing"):
        if getattr(config, f"vae_{name}"):
            getattr(vae, f"enable_{name}")()
    family.check_vae(vae.config, config.dtype)
    latents = int(vae.config.latent_channels)
    if place is None:
        side = config.image_size[0] // family.latent_factor(vae)
        settings = family.settings(latents, editing, side)
        settings["in_channels"] += config.further_inputs
        settings["out_channels"] += config.further_outputs(family.latent_factor(vae))
        settings |= config.model
        model = _make(family.model_class, settings, "model", config.dtype)
    else:
        model = load_part(place, family.part, family.model_class)
    family.check(model.config)
    _check_channels(model, family, vae, editing, config)
    widened = editing and widen(model, family, latents, config.further_inputs)
    if widened and config.dtype == "float16":
        raise ConfigError(
            "A model that is to learn to edit has an input layer that is trained, which float16 "
            "does not allow. Received: dtype='float16'. Choose bfloat16"
        )
    scheduler = _make_scheduler(config, family, place)
    return Parts(model, vae.requires_grad_(False).eval(), scheduler, widened)


def _make_vae(config: PictureConfig, place: Place | None) -> Any:
    """The autoencoder, which may have a source of its own."""
    if place is not None:
        return load_part(place, "vae")
    settings = dict(config.vae) or {"type": "pixels"}
    if "source" in settings:
        _refuse_others(settings, _OF_VAES, "A trained autoencoder", "vae")
        folder = settings.pop("folder", None)
        return load_part(Place(dtype=getattr(torch, config.dtype), **settings), folder)
    kind = settings.pop("type", None)
    if kind == "pixels":
        _refuse_others(
            settings, ("patch", "channels", "scaling_factor"), "A space of pixels", "vae"
        )
        return _called(PixelSpace, settings, "vae").to(getattr(torch, config.dtype))
    made = _make(kind, settings, "vae", config.dtype)
    if not {"latent_channels", "scaling_factor"} <= made.config.keys():
        raise ConfigError(
            f"An autoencoder has latent_channels and a scaling_factor. Received: {kind}. Choose "
            "AutoencoderKL, AutoencoderDC or the like"
        )
    return made


def _make_scheduler(config: PictureConfig, family: Family, place: Place | None) -> Any:
    """That of the source, or of the family, with what the config changes."""
    asked = dict(config.scheduler)
    kind = asked.pop("type", None)
    if place is None:
        base = _SUITABLE | dict(family.scheduler)
        own = base.pop("type")
    else:
        loaded = load_part(place, "scheduler")
        base, own = dict(loaded.config), type(loaded).__name__
    cls = load_class(kind or own, "scheduler")
    known = _arguments(cls)
    _refuse_others(asked, known, cls.__name__, "scheduler")
    made = _called(cls, {k: v for k, v in (base | asked).items() if k in known}, "scheduler")
    family.check_scheduler(made)
    return made


def _make(kind: Any, settings: Mapping[str, Any], what: str, dtype: str) -> Any:
    """A model of diffusers with random weights.

    Raises:
        ConfigError: There is no such class, or it refuses its settings.
    """
    cls = load_class(kind, what)
    _refuse_others(settings, _arguments(cls), cls.__name__, what)
    made = _called(cls, settings, what)
    # The method of diffusers would warn of parts that it keeps in float32, of which there are none.
    return nn.Module.to(made, getattr(torch, dtype))


def _called(cls: Any, settings: Mapping[str, Any], what: str) -> Any:
    """What a class makes of its settings.

    Raises:
        ConfigError: It refuses them.
    """
    try:
        return cls(**settings)
    except (TypeError, ValueError, LookupError, RuntimeError) as error:
        raise ConfigError(
            f"{cls.__name__} refuses its settings: {error}. Received: {what}={dict(settings)}"
        ) from error


def _refuse_others(given: Mapping[str, Any], known: Any, whose: str, what: str) -> None:
    if unknown := sorted(given.keys() - {*known}):
        raise ConfigError(
            f"{whose} has no setting {unknown[0]!r}. Received: {what}={dict(given)}. "
            f"Choose from {', '.join(known)}"
        )


def _arguments(cls: type) -> tuple[str, ...]:
    return tuple(name for name in inspect.signature(cls).parameters if name != "kwargs")


def _check_channels(
    model: Any, family: Family, vae: Any, editing: bool, config: PictureConfig
) -> None:
    latents = int(vae.config.latent_channels)
    cells = latents * family.packing**2
    fitting = [cells, 2 * cells] if editing else [cells]
    if config.further_inputs:
        fitting.append(2 * cells + config.further_inputs)
    more = config.further_outputs(family.latent_factor(vae))
    if more and model.config.out_channels != cells + more:
        raise ConfigError(
            f"A model that blends predicts {cells + more} channels: latents, and which pixels "
            f"change. Received: out_channels={model.config.out_channels}. Leave "
            "out_channels out of model; a model of a source cannot blend"
        )
    if model.config.in_channels not in fitting:
        kind = "edits pictures" if editing else "makes pictures of words"
        raise ConfigError(
            f"A model that {kind}, on an autoencoder with {latents} channels, takes in_channels of "
            f"{' or '.join(map(str, fitting))}. Received: {model.config.in_channels}. Choose model "
            "and autoencoder of one kind"
        )
