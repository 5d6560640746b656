"""A task decoder in a tiny linked model, beside a companion, and conversations that call it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ..interfaces import IMAGE, CallInput, DecoderSpec, Message, Sample, TaskDecoder
from ..linked import BoundDecoder, Origin
from ..model import SuperLinkModel
from ..registry import Registry
from ..registry.discovery import Plugin
from .plain_backbone import PLAIN_BACKBONE, PlainBackbone
from .toy_decoder import TOY_BOX, ToyBoxConfig, ToyBoxDecoder

__all__ = ["COMPANION", "link_alone", "registry_of", "sample_of", "seeded"]

COMPANION = replace(TOY_BOX, name="companion.box", routing_tokens=("[COMPANION]",))
"""A second decoder beside the one that is checked: it must notice nothing."""


def registry_of(*specs: DecoderSpec) -> Registry:
    """A registry of these decoders alone, and of the backbone that they are linked to."""
    return Registry([Plugin("case", "superlink.testing", "", (*specs, PLAIN_BACKBONE))])


def link_alone(
    spec: DecoderSpec,
    decoder: TaskDecoder,
    config: Mapping[str, Any],
    tokens: Sequence[str] | None = None,
) -> SuperLinkModel:
    """A tiny random model with a decoder, called by `tokens` or by all that it declares, and the
    companion."""
    tokens = spec.routing_tokens if tokens is None else tuple(tokens)
    with seeded(0):
        companion = ToyBoxDecoder(ToyBoxConfig())
        bound = [
            BoundDecoder(spec, decoder, tokens, spec.num_queries, config),
            BoundDecoder(COMPANION, companion, COMPANION.routing_tokens, COMPANION.num_queries),
        ]
        origin = Origin(PLAIN_BACKBONE.name, {}, fingerprint="")
        return SuperLinkModel(PlainBackbone(), bound, origin=origin).eval()


def sample_of(call: CallInput | None, image: Any = None) -> Sample:
    """A conversation whose answer makes this call; None makes none, about `image`."""
    answer = "nothing of it is here"
    if call is not None:
        image = call.image
        pairs = zip(call.tokens, call.phrases, strict=True)
        answer = " and ".join(f"<p>{phrase}</p>{token}" for token, phrase in pairs)
    question = Message("user", "what is there" if image is None else (IMAGE, "what is there"))
    return Sample(
        messages=(question, Message("assistant", answer)),
        images=() if image is None else (image,),
        geometries=() if call is None or call.geometry is None else (call.geometry,),
        targets=() if call is None else (call.target,),
        key="no call" if call is None else call.key,
    )


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The same random draws inside, whoever makes them, and no trace of it outside."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
