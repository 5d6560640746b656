"""A backbone to be checked, with conversations, and with what it writes and reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..checkpoint import fingerprint
from ..interfaces import IMAGE, REGION, Backbone, ImageFeatures, Message, Region, Sample
from ..link import GenerationOptions, RegionConfig, generate
from ..link.generation import Feeding
from ..model import SuperLinkModel
from .backbones import Script
from .checks import NotApplicable, expect
from .models import toy_model

__all__ = [
    "ANSWERS",
    "QUESTIONS",
    "REGIONS",
    "TOLERANCE",
    "BackboneCase",
    "States",
    "check_close",
    "largest_gap",
    "photo",
]

TOLERANCE = 1e-4
"""Largest difference of states in float32."""

QUESTIONS = ("find a big red dog and two cats", "hello", "what is this, tell me", "a car?")
ANSWERS = (
    "nothing of it is here",
    "I see <p>a dog</p>[BOX] and that is all",
    "<p>a cat</p>[SPOT] and <p>a car</p>[DOT] then [BOX]",
    "[SPOT]",
)
"""What rows write: no route, one, three of two decoders, and one at once."""

REGIONS = (
    (Region.box(8, 8, 40, 40),),
    (Region.point((80, 20)), Region.box(4, 50, 60, 84)),
    (),
    (Region.circle((48, 60), 20),),
)
"""What rows mark in their images where regions are asked for."""

States = list[list[Tensor]]
"""For each row the states (Q, C) of its routes."""


def photo(seed: int) -> Image.Image:
    """Noise, of a size that depends on the seed."""
    pixels = np.random.default_rng(seed).integers(0, 255, (80 + 8 * seed, 96, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@dataclass
class BackboneCase:
    """A backbone that is built when the first check asks for it.

    Everything is float32 and on the device of the backbone.
    """

    build: Callable[[], Backbone]
    """Makes it, fresh and without a link."""
    reload: Callable[[Path], Backbone] | None = None
    """Makes it again from a folder that `Backbone.save` wrote."""
    name: str = ""
    """For reports."""

    @cached_property
    def backbone(self) -> Backbone:
        """The backbone; bare until `model` is asked for."""
        return self.build().eval()

    @cached_property
    def bare(self) -> tuple[str, Tensor]:
        """A digest of the weights, and logits (B, T, V) without a link."""
        digest = fingerprint(self.backbone.base_state_dict())
        return digest, self.plain_logits()

    @cached_property
    def model(self) -> SuperLinkModel:
        """The backbone with toy decoders attached, whose numbers of queries differ, and with a
        small region encoder."""
        _ = self.bare
        regions = RegionConfig(image_size=32, dims=16)
        return toy_model(backbone=self.backbone, regions=regions)

    def samples(
        self, rows: Sequence[int] = range(4), *, answered: bool = True, regions: bool = False
    ) -> list[Sample]:
        """Conversations about an image each, with `regions` about some of its parts."""
        samples = []
        for row in rows:
            marked = REGIONS[row] if regions else ()
            parts = (part for _ in marked for part in (" ", REGION))
            messages = [Message("user", (IMAGE, QUESTIONS[row], *parts))]
            if answered:
                messages.append(Message("assistant", ANSWERS[row]))
            samples.append(Sample(tuple(messages), (photo(row),), key=f"row {row}", regions=marked))
        return samples

    def seen(
        self, samples: Sequence[Sample], inputs: dict[str, Tensor]
    ) -> tuple[ImageFeatures | None, Tensor | None]:
        """What the image encoder makes of samples with regions, and the values of these; nothing
        of samples without."""
        regions = self.model.processor.region_inputs(samples)
        marked = None if regions is None else self.on_device(regions)
        features = self.model.image_features(inputs, (), marked)
        return features, self.model.region_values(marked, features)

    def plain_inputs(self, seed: int = 0) -> dict[str, Tensor]:
        """A question without any token of a link; `seed` draws its image."""
        messages = [Message("user", (IMAGE, QUESTIONS[0]))]
        text = self.backbone.render(messages, add_generation_prompt=True)
        return self.on_device(self.backbone.encode([text], [[photo(seed)]]))

    @torch.no_grad()
    def plain_logits(self, seed: int = 0) -> Tensor:
        """Logits of `plain_inputs`."""
        logits: Tensor = self.backbone(self.plain_inputs(seed)).logits
        return logits

    @torch.no_grad()
    def read(
        self,
        rows: Sequence[int] = range(4),
        side: Literal["left", "right"] = "right",
        *,
        regions: bool = False,
    ) -> States:
        """States in one forward over finished conversations."""
        samples = self.samples(rows, regions=regions)
        encoded = self.model.processor.encode(samples, padding_side=side)
        inputs = self.on_device(encoded.inputs)
        features, values = self.seen(samples, inputs)
        with self.model.hooks.filled(values):
            hidden = self.backbone(inputs, image_features=features).last_hidden_state
        states: States = [[] for _ in rows]
        for route in encoded.routes:
            places = self.model.vocabulary.bindings[route.token].states_at(route.position)
            states[route.row].append(hidden[route.row, [*places]])
        return states

    @torch.no_grad()
    def write(
        self,
        rows: Sequence[int] = range(4),
        feeding: Feeding = "auto",
        *,
        regions: bool = False,
    ) -> States:
        """States while the answers are written, with a cache.

        Raises:
            AssertionError: A row did not write its answer.
        """
        samples = self.samples(rows, answered=False, regions=regions)
        encoded = self.model.processor.encode(
            samples, padding_side="left", add_generation_prompt=True
        )
        inputs = self.on_device(encoded.inputs)
        features, values = self.seen(samples, inputs)
        answers = [ANSWERS[row] for row in rows]
        options = GenerationOptions(64, feeding=feeding)
        with Script(self.backbone, answers), self.model.hooks.filled(values):
            written = generate(
                self.backbone, inputs, self.model.vocabulary, options, image_features=features
            )
        texts = [self.backbone.decode(row.ids) for row in written]
        if texts != answers:
            raise AssertionError(f"Expected the rows to write {answers}. Received: {texts}")
        return [row.states for row in written]

    def on_device(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """`inputs` where the backbone is."""
        device = self.backbone.output_head().get_parameter("weight").device
        return {name: value.to(device) for name, value in inputs.items()}


def check_close(left: States, right: States) -> str:
    """Compare states; the largest difference, in units of their root mean square where that
    exceeds 1.

    Raises:
        AssertionError: They differ by more than `TOLERANCE`.
        NotApplicable: They are in half precision.
    """
    if left[0] and left[0][0].dtype != torch.float32:
        raise NotApplicable("exactness is a matter of float32; load the model in it")
    pairs = [pair for x, y in zip(left, right, strict=True) for pair in zip(x, y, strict=True)]
    gaps = [float((a - b).abs().max() / b.square().mean().sqrt().clamp(min=1)) for a, b in pairs]
    gap = float("nan") if any(gap != gap for gap in gaps) else max(gaps)
    expect(gap <= TOLERANCE, f"{TOLERANCE} at most between states", f"{gap:.1e}")
    return f"{gap:.1e}"


def largest_gap(left: Tensor, right: Tensor) -> float:
    """The largest difference of two tensors."""
    return float((left.float() - right.float()).abs().max())
