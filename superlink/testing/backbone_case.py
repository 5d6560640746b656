"""A backbone to be checked, with conversations, and with what it writes and reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..checkpoint import fingerprint
from ..interfaces import IMAGE, Backbone, Message, Sample
from ..link import GenerationOptions, generate
from ..link.generation import Feeding
from ..model import SuperLinkModel
from .backbones import Script
from .models import toy_model

__all__ = ["ANSWERS", "QUESTIONS", "BackboneCase", "States", "difference", "photo"]

QUESTIONS = ("find a big red dog and two cats", "hello", "what is this, tell me", "a car?")
ANSWERS = (
    "nothing of it is here",
    "I see <p>a dog</p>[BOX] and that is all",
    "<p>a cat</p>[SPOT] and <p>a car</p>[DOT] then [BOX]",
    "[SPOT]",
)
"""What rows write: no route, one, three of two decoders, and one at once."""

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
        """The backbone with toy decoders attached, whose numbers of queries differ."""
        _ = self.bare
        return toy_model(backbone=self.backbone)

    def samples(self, rows: Sequence[int] = range(4), *, answered: bool = True) -> list[Sample]:
        """Conversations about an image each."""
        samples = []
        for row in rows:
            messages = [Message("user", (IMAGE, QUESTIONS[row]))]
            if answered:
                messages.append(Message("assistant", ANSWERS[row]))
            samples.append(Sample(tuple(messages), (photo(row),), key=f"row {row}"))
        return samples

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
    def read(self, rows: Sequence[int] = range(4), side: str = "right") -> States:
        """States in one forward over finished conversations."""
        encoded = self.model.processor.encode(self.samples(rows), padding_side=side)  # type: ignore[arg-type]
        hidden = self.backbone(self.on_device(encoded.inputs)).last_hidden_state
        states: States = [[] for _ in rows]
        for route in encoded.routes:
            width = self.model.vocabulary.bindings[route.token].num_queries
            first = route.position + 1
            states[route.row].append(hidden[route.row, first : first + width])
        return states

    def write(self, rows: Sequence[int] = range(4), feeding: Feeding = "auto") -> States:
        """States while the answers are written, with a cache.

        Raises:
            AssertionError: A row did not write its answer.
        """
        encoded = self.model.processor.encode(
            self.samples(rows, answered=False), padding_side="left", add_generation_prompt=True
        )
        answers = [ANSWERS[row] for row in rows]
        options = GenerationOptions(64, feeding=feeding)
        with Script(self.backbone, answers):
            written = generate(
                self.backbone, self.on_device(encoded.inputs), self.model.vocabulary, options
            )
        texts = [self.backbone.decode(row.ids) for row in written]
        if texts != answers:
            raise AssertionError(f"Expected the rows to write {answers}. Received: {texts}")
        return [row.states for row in written]

    def on_device(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """`inputs` where the backbone is."""
        device = self.backbone.output_head().get_parameter("weight").device
        return {name: value.to(device) for name, value in inputs.items()}


def difference(left: States, right: States) -> float:
    """The largest difference of states, in units of their root mean square where that exceeds 1."""
    pairs = [pair for x, y in zip(left, right, strict=True) for pair in zip(x, y, strict=True)]
    gaps = [float((a - b).abs().max() / b.square().mean().sqrt().clamp(min=1)) for a, b in pairs]
    return float("nan") if any(gap != gap for gap in gaps) else max(gaps)
