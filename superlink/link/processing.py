"""Processor: samples -> inputs of the backbone, label spans, routes, and inputs of decoders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypedDict

import torch
from torch import Tensor

from ..errors import InputError
from ..interfaces import (
    REGION_MARK,
    Backbone,
    Call,
    CallInput,
    DecoderInputs,
    Message,
    Part,
    RegionPart,
    Route,
    Sample,
    TaskDecoder,
)
from .answers import Conversation, answer_spans
from .regions import RegionConfig, region_inputs
from .routing import RoutingVocabulary, written_tokens

__all__ = ["IGNORE", "Batch", "Encoded", "Fill", "Processor"]

IGNORE = -100
"""Label of a position that carries no language loss."""
Fill = Callable[[Sequence[Sample]], Sequence[Sample]]
"""Tells the rows that a batch of samples needs beside them."""


class Batch(TypedDict):
    """What a training step gets."""

    inputs: dict[str, Tensor]
    labels: Tensor
    routes: list[Route]
    calls: list[Call]
    decoder_inputs: dict[str, DecoderInputs]
    regions: dict[str, Tensor] | None
    dropped: list[str]


@dataclass(frozen=True)
class Encoded:
    """Conversations as inputs of the backbone."""

    inputs: dict[str, Tensor]
    """`input_ids` (B, T), `attention_mask` (B, T), and what the backbone needs beside them."""
    routes: list[Route]
    """The routes in the text, with their positions."""
    conversations: list[list[Message]]
    """The messages of each sample, with slots and escapes."""


class Processor:
    """Owns the text of one model; the backbone's own processor does the rest.

    Args:
        backbone: Renders, tokenises and processes images.
        vocabulary: The control tokens of the model.
        decoders: By name; they prepare their own image streams.
        max_length: Samples with more tokens are dropped, never cut. None: no limit.
        regions: Of the model's region encoder; None: it has none.
    """

    def __init__(
        self,
        backbone: Backbone,
        vocabulary: RoutingVocabulary,
        decoders: Mapping[str, TaskDecoder],
        max_length: int | None = None,
        regions: RegionConfig | None = None,
    ) -> None:
        self.regions = regions
        self.backbone = backbone
        self.vocabulary = vocabulary
        self.decoders = decoders
        self.max_length = max_length

    def __call__(
        self, samples: Sequence[Sample], *, run_decoders: bool = True, fill: Fill | None = None
    ) -> Batch:
        """Make a training batch.

        Without `run_decoders` nothing is prepared for them: the language model and the links are
        trained alone, and calls need neither image nor target. So it is with a call of a sample
        without targets, where the decoder needs an image and there is none: a lesson in words.

        Args:
            samples: The conversations; those with more than `max_length` tokens are left out.
            run_decoders: Whether decoders get inputs.
            fill: Gets the samples that are left, and gives rows that stand behind them.
        """
        self._check_answers(samples)
        rows = [*samples, *(fill(samples) if fill else ())]
        encoded = self.encode(rows)
        lengths = encoded.inputs["attention_mask"].sum(1).tolist()[: len(samples)]
        if self.max_length is not None and max(lengths, default=0) > self.max_length:
            return self._without_long(samples, lengths, self.max_length, run_decoders, fill)
        samples = rows
        self.check_length(samples, encoded)
        calls = self.vocabulary.group(encoded.routes, [s.messages for s in samples])
        routes = encoded.routes
        run = [
            call
            for call in calls
            if run_decoders
            and (samples[call.row].targets or not self.vocabulary.lacks_image(call, routes))
        ]
        return Batch(
            inputs=encoded.inputs,
            labels=self.labels(samples, encoded),
            routes=routes,
            calls=calls,
            decoder_inputs=self.decoder_inputs(samples, routes, run, training=True),
            regions=self.region_inputs(samples),
            dropped=[],
        )

    def _without_long(
        self,
        samples: Sequence[Sample],
        lengths: list[int],
        limit: int,
        run_decoders: bool,
        fill: Fill | None,
    ) -> Batch:
        kept = [s for s, length in zip(samples, lengths, strict=True) if length <= limit]
        long = [s.key for s, length in zip(samples, lengths, strict=True) if length > limit]
        if not kept and fill is None:
            raise InputError(
                f"Every sample of a batch is longer than max_length={limit} tokens: {long}, with "
                f"{lengths}. Ask for fewer classes in a question, use smaller images, or raise it."
            )
        batch = self(kept, run_decoders=run_decoders, fill=fill)
        batch["dropped"] = long
        return batch

    def _check_answers(self, samples: Sequence[Sample]) -> None:
        for sample, message in ((s, m) for s in samples for m in s.messages):
            if message.role != "assistant":
                continue
            self.vocabulary.check_bound(written_tokens(message.text))
            if special := self.vocabulary.special_in_phrases(message.text):
                raise InputError(
                    "A phrase, as the name of a class, cannot hold a special token of the LLM. "
                    f"Received: {special!r}, key={sample.key!r}. Write it in words."
                )

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
        return Encoded(inputs, routes, conversations)

    def check_length(self, samples: Sequence[Sample], encoded: Encoded) -> None:
        """Raise `InputError` where a conversation is longer than the backbone can read."""
        limit = self.backbone.context_length
        lengths = self.backbone.used_positions(encoded.inputs).tolist()
        if limit is not None and max(lengths) > limit:
            worst = lengths.index(max(lengths))
            raise InputError(
                f"The backbone reads {limit} tokens at most. Received: {lengths[worst]} tokens, "
                f"key={samples[worst].key[:80]!r}. Ask less in one question, use smaller or fewer "
                "images, or shorten a conversation with `undo()` or `clear()`; in training, "
                "max_length drops such samples and counts them."
            )

    def _controlled(self, sample: Sample) -> list[Message]:
        """The messages with slots where control strings are meant, and escapes elsewhere."""
        if not sample.messages or sample.messages[0].role == "assistant":
            raise InputError(
                "A sample needs messages, and the first one must not be an answer. Received: "
                f"{[message.role for message in sample.messages]}, key={sample.key!r}"
            )
        controlled = []
        for message in sample.messages:
            trusted = self.vocabulary.is_trusted(message)
            treat = self.vocabulary.expand if trusted else self.vocabulary.escape
            parts = (treat(p) if isinstance(p, str) else p for p in _joined(message.parts))
            marked = (REGION_MARK if isinstance(part, RegionPart) else part for part in parts)
            controlled.append(replace(message, content=tuple(_joined(marked))))
        return controlled

    def region_inputs(self, samples: Sequence[Sample]) -> dict[str, Tensor] | None:
        """What the region encoder needs of a batch; see `superlink.link.regions`."""
        return region_inputs(samples, self.backbone, self.regions)

    def labels(self, samples: Sequence[Sample], encoded: Encoded) -> Tensor:
        """Labels (B, T): the assistant's messages are supervised, their slots and regions are not.

        The routing token is supervised, and the token after the slots, which the last slot
        predicts.

        Raises:
            InputError: The chat template changes earlier text when a message is added.
        """
        ids, lengths = encoded.inputs["input_ids"], encoded.inputs["attention_mask"].sum(1)
        labels = torch.full_like(ids, IGNORE)
        for row, sample in enumerate(samples):
            messages = encoded.conversations[row]
            conversation = Conversation(
                messages, sample.images, ids[row, : lengths[row]], sample.key
            )
            for start, end in answer_spans(self.backbone, conversation):
                labels[row, start:end] = ids[row, start:end]
        for route in encoded.routes:
            binding = self.vocabulary.bindings[route.token]
            first = route.position + 1
            labels[route.row, first : first + binding.num_slots] = IGNORE
        for token in self.vocabulary.region_token:
            labels[ids == self.vocabulary.ids[token]] = IGNORE
        return labels

    def decoder_inputs(
        self,
        samples: Sequence[Sample],
        routes: Sequence[Route],
        calls: Sequence[Call],
        *,
        training: bool,
        on_failure: Callable[[Call, InputError], None] | None = None,
    ) -> dict[str, DecoderInputs]:
        """What each decoder that is called gets, its calls in the order of `calls`.

        The core adds `image_index`, (calls,) among all images of the batch, -1 for a call without.

        Args:
            samples: The conversations.
            routes: The routes of all of them.
            calls: The calls of these routes.
            training: Whether there are targets.
            on_failure: Told of each call that cannot be prepared, which is then left out. Without
                it the error is raised.
        """
        first_image = [0]
        for sample in samples:
            first_image.append(first_image[-1] + len(sample.images))
        targets = _targets(samples, calls) if training else [None] * len(calls)
        items: dict[str, list[dict[str, Any]]] = {}
        images: dict[str, list[int]] = {}
        for call, target in zip(calls, targets, strict=True):
            try:
                call_input = self._call_input(samples[call.row], routes, call, target)
                item = self.decoders[call.decoder].prepare(call_input, training=training)
            except InputError as error:
                if on_failure is None:
                    raise
                on_failure(call, error)
                continue
            image = -1 if call.image is None else first_image[call.row] + call.image
            items.setdefault(call.decoder, []).append(item)
            images.setdefault(call.decoder, []).append(image)
        batches = {name: self.decoders[name].collate(some) for name, some in items.items()}
        for name, batch in batches.items():
            batch["image_index"] = torch.tensor(images[name])
        return batches

    def _call_input(
        self,
        sample: Sample,
        routes: Sequence[Route],
        call: Call,
        target: Mapping[str, Any] | None,
    ) -> CallInput:
        token = routes[call.routes[0]].token
        if self.vocabulary.lacks_image(call, routes):
            phrase = routes[call.routes[0]].phrase
            named = self.vocabulary.bindings[token].names_image and phrase
            raise InputError(
                f"{token} needs an image, and no message up to turn {call.turn} has "
                f"{f'the one that it names: {phrase!r}' if named else 'one'}. "
                f"Received: key={sample.key!r}"
            )
        if self.vocabulary.bindings[token].link == "text":
            _check_phrases([routes[i] for i in call.routes], call.decoder, sample.key)
        if self.vocabulary.lacks_leader(call, routes):
            leader = self.vocabulary.bindings[token].follows
            raise InputError(
                f"{token} completes the run of {leader} just before it, and there is none in turn "
                f"{call.turn}. Received: phrase={routes[call.routes[0]].phrase!r}, "
                f"key={sample.key!r}. Write what it belongs to first: <p>...</p>{leader}"
            )
        return CallInput(
            image=None if call.image is None else sample.images[call.image],
            geometry=None if call.image is None else sample.geometries[call.image],
            target=target,
            tokens=tuple(routes[i].token for i in call.routes),
            phrases=tuple(routes[i].phrase for i in call.routes),
            key=sample.key,
        )


def _check_phrases(routes: Sequence[Route], decoder: str, key: str) -> None:
    """Raise `InputError` where a route has no words for a decoder that is told nothing else."""
    if bare := [route.token for route in routes if not route.phrase]:
        raise InputError(
            f"The decoder {decoder!r} is linked by text: it is told the phrase before a token, and "
            f"nothing else. Received: {bare[0]} without a phrase, key={key!r}. Write "
            f"<p>...</p>{bare[0]}, or link it by queries."
        )


def _targets(samples: Sequence[Sample], calls: Sequence[Call]) -> list[Mapping[str, Any]]:
    """The target of each call; calls of one sample are in the order of its targets."""
    left = {call.row: list(samples[call.row].targets) for call in calls}
    for row, targets in left.items():
        expected = sum(call.row == row for call in calls)
        if len(targets) != expected or None in targets:
            raise InputError(
                "A training sample needs one target for each call of its text. "
                f"Expected {expected}. Received: {sum(t is not None for t in targets)} of "
                f"{len(targets)} targets, key={samples[row].key!r}"
            )
    return [target for call in calls if (target := left[call.row].pop(0)) is not None]


def _joined(parts: Iterable[Part]) -> list[Part]:
    """Parts of a message, neighbouring texts as one: a control string may lie across them."""
    joined: list[Part] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return joined
