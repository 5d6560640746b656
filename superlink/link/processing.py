"""Processor: samples -> inputs of the backbone, label spans, routes, and inputs of decoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypedDict

import torch
from torch import Tensor

from ..errors import InputError
from ..interfaces import (
    Backbone,
    Call,
    CallInput,
    DecoderInputs,
    Message,
    Route,
    Sample,
    TaskDecoder,
)
from .routing import RoutingVocabulary

__all__ = ["IGNORE", "Batch", "Encoded", "Processor"]

IGNORE = -100
"""Label of a position that carries no language loss."""


class Batch(TypedDict):
    """What a training step gets."""

    inputs: dict[str, Tensor]
    labels: Tensor
    routes: list[Route]
    calls: list[Call]
    decoder_inputs: dict[str, DecoderInputs]
    dropped: list[str]


@dataclass(frozen=True)
class Encoded:
    """Conversations as inputs of the backbone."""

    inputs: dict[str, Tensor]
    """`input_ids` (B, T), `attention_mask` (B, T), and what the backbone needs beside them."""
    routes: list[Route]
    """The routes in the text, with their positions."""


class Processor:
    """Owns the text of one model; the backbone's own processor does the rest.

    Args:
        backbone: Renders, tokenises and processes images.
        vocabulary: The control tokens of the model.
        decoders: By name; they prepare their own image streams.
        max_length: Samples with more tokens are dropped, never cut. None: no limit.
    """

    def __init__(
        self,
        backbone: Backbone,
        vocabulary: RoutingVocabulary,
        decoders: Mapping[str, TaskDecoder],
        max_length: int | None = None,
    ) -> None:
        self.backbone = backbone
        self.vocabulary = vocabulary
        self.decoders = decoders
        self.max_length = max_length

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """Make a training batch; it is the loader's collate function."""
        encoded = self.encode(samples)
        lengths = encoded.inputs["attention_mask"].sum(1).tolist()
        if self.max_length is not None and max(lengths) > self.max_length:
            return self._without_long(samples, lengths, self.max_length)
        calls = self.vocabulary.group(encoded.routes, [s.messages for s in samples])
        return Batch(
            inputs=encoded.inputs,
            labels=self.labels(samples, encoded),
            routes=encoded.routes,
            calls=calls,
            decoder_inputs=self.decoder_inputs(samples, encoded.routes, calls, training=True),
            dropped=[],
        )

    def _without_long(self, samples: Sequence[Sample], lengths: list[int], limit: int) -> Batch:
        kept = [s for s, length in zip(samples, lengths, strict=True) if length <= limit]
        long = [s.key for s, length in zip(samples, lengths, strict=True) if length > limit]
        if not kept:
            raise InputError(
                f"Every sample of a batch is longer than max_length={limit} tokens: {long}, with "
                f"{lengths}. Ask for fewer classes in a question, use smaller images, or raise it."
            )
        batch = self(kept)
        batch["dropped"] = long
        return batch

    def encode(
        self,
        samples: Sequence[Sample],
        *,
        padding_side: Literal["left", "right"] = "right",
        add_generation_prompt: bool = False,
    ) -> Encoded:
        """Escape, expand, render and tokenise conversations."""
        conversations = [self._controlled(sample) for sample in samples]
        texts = [
            self.backbone.render(c, add_generation_prompt=add_generation_prompt)
            for c in conversations
        ]
        inputs = self.backbone.encode(
            texts, [sample.images for sample in samples], padding_side=padding_side
        )
        routes = []
        for row, (sample, ids) in enumerate(zip(samples, inputs["input_ids"], strict=True)):
            routes += self.vocabulary.locate(row, sample.messages, ids)
        return Encoded(inputs, routes)

    def _controlled(self, sample: Sample) -> list[Message]:
        """The messages with slots where control strings are meant, and escapes elsewhere."""
        if not sample.messages or not sample.messages[0].parts:
            raise InputError(f"A sample needs at least one message. Received: key={sample.key!r}")
        return [
            replace(
                message,
                content=tuple(
                    part
                    if not isinstance(part, str)
                    else self.vocabulary.expand(part)
                    if self.vocabulary.is_trusted(message)
                    else self.vocabulary.escape(part)
                    for part in message.parts
                ),
            )
            for message in sample.messages
        ]

    def labels(self, samples: Sequence[Sample], encoded: Encoded) -> Tensor:
        """Labels (B, T): the assistant's messages are supervised, their slots are not.

        The routing token is supervised, and the token after the slots, which the last slot
        predicts. Where an answer begins and ends is found by rendering the conversation up to it.

        Raises:
            InputError: The chat template changes earlier text when a message is added.
        """
        ids = encoded.inputs["input_ids"]
        labels = torch.full_like(ids, IGNORE)
        for row, start, end in self._assistant_spans(samples, ids):
            labels[row, start:end] = ids[row, start:end]
        for route in encoded.routes:
            binding = self.vocabulary.bindings[route.token]
            first = route.position + 1
            labels[route.row, first : first + binding.num_queries] = IGNORE
        return labels

    def _assistant_spans(
        self, samples: Sequence[Sample], ids: Tensor
    ) -> list[tuple[int, int, int]]:
        """(row, first, last + 1) token of each assistant message."""
        cuts: list[tuple[int, int, bool]] = []  # (row, messages kept, with generation prompt)
        for row, sample in enumerate(samples):
            for turn, message in enumerate(sample.messages):
                if message.role == "assistant":
                    cuts += [(row, turn, True), (row, turn + 1, False)]
        if not cuts:
            return []
        rendered = [self._controlled(sample) for sample in samples]
        texts = [
            self.backbone.render(rendered[row][:kept], add_generation_prompt=prompt)
            for row, kept, prompt in cuts
        ]
        images = [
            samples[row].images[: sum(m.num_images for m in samples[row].messages[:kept])]
            for row, kept, _ in cuts
        ]
        prefixes = self.backbone.encode(texts, images)
        lengths = prefixes["attention_mask"].sum(1).tolist()
        for (row, kept, _), prefix, length in zip(
            cuts, prefixes["input_ids"], lengths, strict=True
        ):
            if not torch.equal(prefix[:length], ids[row, :length]):
                raise InputError(
                    "The chat template changes earlier text when a message is added, so that the "
                    "tokens of an answer cannot be told. Use a template that only appends. "
                    f"Received: key={samples[row].key!r}, message {kept}"
                )
        pairs = zip(cuts[::2], lengths[::2], lengths[1::2], strict=True)
        return [(row, start, end) for (row, _, _), start, end in pairs]

    def decoder_inputs(
        self,
        samples: Sequence[Sample],
        routes: Sequence[Route],
        calls: Sequence[Call],
        *,
        training: bool,
    ) -> dict[str, DecoderInputs]:
        """What each decoder that is called gets, its calls in the order of `calls`."""
        first_image = [0]
        for sample in samples:
            first_image.append(first_image[-1] + len(sample.images))
        call_inputs = self._call_inputs(samples, routes, calls, training=training)
        batches = {}
        for name in dict.fromkeys(call.decoder for call in calls):
            mine = [i for i, call in enumerate(calls) if call.decoder == name]
            decoder = self.decoders[name]
            prepared = [decoder.prepare(call_inputs[i], training=training) for i in mine]
            batches[name] = decoder.collate(prepared)
            batches[name]["image_index"] = torch.tensor(
                [first_image[calls[i].row] + (calls[i].image or 0) for i in mine]
            )
        return batches

    def _call_inputs(
        self,
        samples: Sequence[Sample],
        routes: Sequence[Route],
        calls: Sequence[Call],
        *,
        training: bool,
    ) -> list[CallInput]:
        seen = [0] * len(samples)
        inputs = []
        for call in calls:
            sample = samples[call.row]
            first = routes[call.routes[0]]
            if call.image is None and self.vocabulary.bindings[first.token].needs_image:
                raise InputError(
                    f"{first.token} needs an image, and no message up to turn {call.turn} has "
                    f"one. Received: key={sample.key!r}"
                )
            target = None
            if training:
                if seen[call.row] >= len(sample.targets):
                    raise InputError(
                        "A training sample needs one target for each call of its text. Received: "
                        f"{len(sample.targets)} targets, key={sample.key!r}"
                    )
                target = sample.targets[seen[call.row]]
                seen[call.row] += 1
            inputs.append(
                CallInput(
                    image=None if call.image is None else sample.images[call.image],
                    geometry=None if call.image is None else sample.geometries[call.image],
                    target=target,
                    tokens=tuple(routes[i].token for i in call.routes),
                    phrases=tuple(routes[i].phrase for i in call.routes),
                    key=sample.key,
                )
            )
        return inputs
