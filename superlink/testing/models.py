"""Tiny linked models: a random backbone with toy decoders of different tokens and query counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint
from typing import Any

import torch

from ..interfaces import Backbone, DecoderSpec
from ..linked import BoundDecoder, Origin
from ..model import SuperLinkModel
from ..registry import Registry, hookimpl
from .backbones import Architecture, tiny_backbone
from .toy_decoder import TOY_BOX, ToyBoxConfig, ToyBoxDecoder

__all__ = ["TOY_SPOT", "toy_model", "toy_registry"]

TOY_SPOT = replace(
    TOY_BOX,
    name="toy.spot",
    routing_tokens=("[SPOT]", "[DOT]"),
    num_queries=3,
    banks={"[DOT]": "toy.dots"},
)
"""A toy decoder with two tokens, each with queries of its own."""


@hookimpl
def superlink_decoders() -> Iterator[DecoderSpec]:
    """The toy decoders, as a plugin would offer them."""
    yield from (TOY_BOX, TOY_SPOT)


def toy_registry() -> Registry:
    """A registry with what superlink offers itself and the toy decoders."""
    return Registry.discover([EntryPoint("toy", __name__, "superlink")])


def toy_model(
    architecture: Architecture = "llava",
    specs: Sequence[DecoderSpec] = (TOY_BOX, TOY_SPOT),
    *,
    backbone: Backbone | None = None,
    seed: int = 0,
    **options: Any,
) -> SuperLinkModel:
    """A random model that predicts a box for each route; ready in a tenth of a second.

    Args:
        architecture: Of the backbone.
        specs: The decoders; each is a `ToyBoxDecoder`.
        backbone: One that is there already, in place of the architecture.
        seed: Of all weights.
        options: Of `SuperLinkModel`.
    """
    backbone = tiny_backbone(architecture, seed=seed) if backbone is None else backbone
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        bound = [
            BoundDecoder(s, ToyBoxDecoder(ToyBoxConfig()), s.routing_tokens, s.num_queries)
            for s in specs
        ]
        origin = Origin("transformers", {}, fingerprint="")
        return SuperLinkModel(backbone, bound, origin=origin, **options).eval()
