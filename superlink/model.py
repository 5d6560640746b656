"""SuperLinkModel: what users hold. It answers: text, routes, and the predictions of its calls."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from .errors import ConfigError, InputError, RoutingError
from .interfaces import (
    Call,
    Event,
    ImageFeatures,
    Message,
    Prediction,
    Region,
    Reply,
    Route,
    RouteFailure,
    Sample,
)
from .interfaces.images import ImageSource, open_images
from .link import GeneratedRow, GenerationOptions, decode, written_tokens
from .linked import LinkedModel, to_device
from .linked.likelihood import answer_likelihoods
from .linked.modes import evaluating
from .linked.options import NO_OPTIONS, DecoderOptions, read_options
from .replies import Answers, Told, build_reply, check_options, sample_from_prompt

__all__ = ["Routing", "SuperLinkModel"]

Routing = Literal["generated", "forced"]


class SuperLinkModel(LinkedModel):
    """A multimodal LLM linked to task decoders, with all that a reply takes."""

    def predict(
        self,
        prompt: str,
        image: ImageSource | Sequence[ImageSource] | None = None,
        *,
        regions: Region | Sequence[Region] = (),
        answer: str | None = None,
        allow_control: bool = False,
        **options: Any,
    ) -> Reply:
        """Answer one question.

        Args:
            prompt: What the user asks. Routing tokens in it are escaped, unless `allow_control`.
            image: A path, a picture, or several.
            regions: What each `<region>` in the prompt stands for, one or several in their order;
                on the last image where they name none.
            answer: Given, the LLM does not write: routes are forced as in this template.
            allow_control: Whether routing tokens in `prompt` are meant as such.
            options: Of `answer`, but for several replies.
        """
        check_options(options)
        sample = _question(prompt, image, regions, answer, allow_control)
        if options.get("num_return_sequences", 1) != 1:
            raise InputError(
                "`predict` gives one reply. Use `answer([sample], num_return_sequences=...)` for "
                f"several. Received: num_return_sequences={options['num_return_sequences']}"
            )
        routing: Routing = "generated" if answer is None else "forced"
        return self.answer([sample], routing, **options)[0]

    def answer(
        self,
        samples: Sequence[Sample],
        routing: Routing = "generated",
        *,
        max_new_tokens: int = 128,
        max_routes: int | None = None,
        forbidden: Collection[str] = (),
        num_return_sequences: int = 1,
        strict: bool = False,
        decoder_options: DecoderOptions = NO_OPTIONS,
        **settings: Any,
    ) -> list[Reply]:
        """Answer a batch of conversations.

        Args:
            samples: The conversations.
            routing: With `generated` the LLM writes. With `forced` the last message of each sample
                is the answer template, and one forward gives the states of its routes.
            max_new_tokens: Tokens that the LLM may write in each answer.
            max_routes: Routing tokens that it may write in each answer; 0 forbids them.
            forbidden: Routing tokens that it must not write.
            num_return_sequences: Replies to each sample; more than one is of use with `do_sample`.
            strict: Whether a call that cannot be served raises instead of being a failure.
            decoder_options: By name of a decoder, what is asked of it: for instance
                `{"diffusers.text_to_image": {"seed": 1}}`.
            settings: How the LLM picks tokens, as arguments of transformers' `generate`:
                `do_sample`, `temperature`, `stop_strings`, `logits_processor`, ...

        Returns:
            The replies to the first sample, then those to the second, and so on.

        Raises:
            ConfigError: An option names a decoder that the model lacks, or one that it does not
                take.
        """
        options = GenerationOptions(max_new_tokens, max_routes, settings=settings)
        if num_return_sequences < 1 or (routing == "forced" and settings):
            raise ConfigError(
                "num_return_sequences is at least 1, and forced routing picks no tokens. Received: "
                f"num_return_sequences={num_return_sequences}, routing={routing!r}, "
                f"settings={settings}"
            )
        asked = read_options(self.bound, decoder_options)
        samples = [_again(sample, i) for sample in samples for i in range(num_return_sequences)]
        if not samples:
            return []
        with self._evaluating():
            if routing == "generated":
                steps, features = self._decode(samples, options, forbidden)
                rows = {index: GeneratedRow() for index in range(len(samples))}
                for changed in steps:
                    rows |= changed
                answers = self._answers(samples, [rows[i] for i in range(len(samples))])
            else:
                answers, features = self._force(samples)
            return self._serve(samples, answers, features, strict, asked)

    def stream(
        self,
        prompt: str,
        image: ImageSource | Sequence[ImageSource] | None = None,
        *,
        regions: Region | Sequence[Region] = (),
        **options: Any,
    ) -> Iterator[Event]:
        """Answer one question, and tell what happens while it does; the arguments are those of
        `predict`, and of `stream_sample`, whose events come."""
        check_options(options)
        sample = _question(prompt, image, regions, None, allow_control=False)
        return self.stream_sample(sample, **options)

    def stream_sample(
        self,
        sample: Sample,
        *,
        max_new_tokens: int = 128,
        max_routes: int | None = None,
        forbidden: Collection[str] = (),
        decoder_options: DecoderOptions = NO_OPTIONS,
        **settings: Any,
    ) -> Iterator[Event]:
        """Answer a conversation, and tell what happens meanwhile; the arguments are those of
        `answer`.

        Yields:
            `TextEvent` for each piece of text, `RouteEvent` for each route when its states are
            there, and after the text a `ResultEvent` for each call that was served, and one
            `ReplyEvent` with all of it.
        """
        options = GenerationOptions(max_new_tokens, max_routes, settings=settings)
        asked = read_options(self.bound, decoder_options)
        told, row = Told(self.vocabulary, len(sample.messages)), GeneratedRow()
        with self._evaluating():
            steps, features = self._decode([sample], options, forbidden)
        changed: dict[int, GeneratedRow] | None = {}
        while changed is not None:
            with self._evaluating():  # never across a yield: what the caller does is the caller's
                changed = next(steps, None)
                row = (changed or {}).get(0, row)
                text = self.vocabulary.spell(row.ids, self.backbone.decode)
            yield from told.news(self.vocabulary.parse(text), len(row.states))
        with self._evaluating():
            answers = self._answers([sample], [row])
            (reply,) = self._serve([sample], answers, features, False, asked)
        yield from told.results(reply)

    def likelihoods(
        self, sample: Sample, answers: Sequence[str], *, batch_size: int = 16
    ) -> list[float]:
        """How likely the LLM would write each of some answers to a conversation, as logarithms;
        see `superlink.linked.likelihood.answer_likelihoods`."""
        with self._evaluating():
            return answer_likelihoods(self, sample, answers, batch_size=batch_size)

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """In evaluation mode and without gradients; then each module is what it was."""
        if not self.hooks.attached:
            raise RoutingError(
                "The link of this model was taken off by `detach()`, so that it calls no decoder. "
                "Attach the decoders again."
            )
        with evaluating(self):
            yield

    def _decode(
        self, samples: Sequence[Sample], options: GenerationOptions, forbidden: Collection[str]
    ) -> tuple[Iterator[dict[int, GeneratedRow]], ImageFeatures | None]:
        """Start to write; the language model has not run when this returns."""
        self.vocabulary.check_bound(forbidden)
        encoded = self.processor.encode(samples, padding_side="left", add_generation_prompt=True)
        self.processor.check_length(samples, encoded)
        inputs = to_device(encoded.inputs, self.device)
        features, values = self._looked_at(samples, inputs)
        never = frozenset(forbidden)
        blind = never | {t for t, b in self.vocabulary.bindings.items() if b.needs_image}
        steps = decode(
            self.backbone,
            inputs,
            self.vocabulary,
            options,
            image_features=features,
            forbidden=[never if s.images else blind for s in samples],
        )
        return self._filled(steps, values), features

    def _looked_at(
        self, samples: Sequence[Sample], inputs: dict[str, Tensor]
    ) -> tuple[ImageFeatures | None, Tensor | None]:
        """What the image encoder makes of a batch, and the values of its regions."""
        regions = to_device(self.processor.region_inputs(samples), self.device)
        features = self.image_features(inputs, list(self.bound), regions)
        return features, self.region_values(regions, features)

    def _filled(
        self, steps: Iterator[dict[int, GeneratedRow]], values: Tensor | None
    ) -> Iterator[dict[int, GeneratedRow]]:
        """The steps of a generation, each with the values of its regions; the first reads all."""
        checked = False
        while True:
            with self.hooks.filled(values, checked=checked):
                changed = next(steps, None)
            if changed is None:
                return
            checked = True
            yield changed

    def _answers(self, samples: Sequence[Sample], rows: Sequence[GeneratedRow]) -> Answers:
        """What the LLM wrote, taken apart."""
        answers = Answers()
        for row, (sample, written) in enumerate(zip(samples, rows, strict=True)):
            raw = self.vocabulary.spell(written.ids, self.backbone.decode)
            parsed = self.vocabulary.parse(raw)
            turn = len(sample.messages)
            answers.conversations.append([*sample.messages, Message("assistant", "")])
            answers.texts.append(parsed.text)
            answers.raws.append(raw)
            answers.states += written.states
            answers.complete.append(written.complete)
            answers.routes += [Route(row, turn, *route) for route in parsed.routes]
        return answers

    def _force(self, samples: Sequence[Sample]) -> tuple[Answers, ImageFeatures | None]:
        for sample in samples:
            roles = [message.role for message in sample.messages]
            if roles[-1:] != ["assistant"]:
                raise InputError(
                    "Forced routing needs the answer template as the last message. Received: "
                    f"roles={roles}, key={sample.key!r}"
                )
            self.vocabulary.check_bound(written_tokens(sample.messages[-1].text))
        encoded = self.processor.encode(samples)
        self.processor.check_length(samples, encoded)
        inputs = to_device(encoded.inputs, self.device)
        features, values = self._looked_at(samples, inputs)
        with self.hooks.filled(values):
            hidden = self.backbone(inputs, image_features=features).last_hidden_state
        answers = Answers()
        for sample in samples:
            answers.conversations.append(sample.messages)
            answers.raws.append(sample.messages[-1].text)
            answers.texts.append(self.vocabulary.parse(answers.raws[-1]).text)
            answers.complete.append(True)
        for route in encoded.routes:
            if route.turn == len(samples[route.row].messages) - 1:
                places = self.vocabulary.bindings[route.token].states_at(route.position)
                answers.routes.append(route)
                answers.states.append(hidden[route.row, [*places]])
        return answers, features

    def _serve(
        self,
        samples: Sequence[Sample],
        answers: Answers,
        features: ImageFeatures | None,
        strict: bool,
        options: Mapping[str, Any],
    ) -> list[Reply]:
        calls = self.vocabulary.group(answers.routes, answers.conversations)
        failures: list[RouteFailure] = []
        inputs = self.processor.decoder_inputs(
            samples,
            answers.routes,
            calls,
            training=False,
            on_failure=lambda call, error: failures.append(RouteFailure(call, str(error))),
        )
        if strict and failures:
            raise InputError(failures[0].reason)
        failed = [failure.call for failure in failures]
        possible = [call for call in calls if call not in failed]
        served: list[tuple[Call, Prediction]] = []
        for name, batch in inputs.items():
            mine = [call for call in possible if call.decoder == name]
            order = [index for call in mine for index in call.routes]
            states = torch.stack([answers.states[index] for index in order])
            routes = [[answers.routes[index] for index in call.routes] for call in mine]
            links = self.link(name, routes, states)
            batch = self.with_features(name, to_device(batch, self.device), features)
            batch["options"] = options[name]
            predictions = self.bound[name].decoder(links, batch, mode="predict")
            served += zip(mine, predictions, strict=True)
        served.sort(key=lambda pair: pair[0].routes)
        return [build_reply(row, answers, served, failures) for row in range(len(samples))]


def _again(sample: Sample, index: int) -> Sample:
    """One of several replies to a sample: decoders draw from the key, each time anew."""
    return sample if index == 0 else replace(sample, key=f"{sample.key}#{index}")


def _question(
    prompt: str,
    image: ImageSource | Sequence[ImageSource] | None,
    regions: Region | Sequence[Region],
    answer: str | None,
    allow_control: bool,
) -> Sample:
    return sample_from_prompt(
        prompt, open_images(image), regions=regions, answer=answer, allow_control=allow_control
    )
