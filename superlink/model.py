"""SuperLinkModel: what users hold. It answers: text, routes, and the predictions of its calls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from PIL import Image

from .errors import InputError
from .interfaces import (
    Call,
    ImageFeatures,
    Message,
    Prediction,
    Reply,
    Route,
    RouteFailure,
    Sample,
)
from .interfaces.images import open_image
from .link import generate
from .linked import LinkedModel, to_device
from .replies import Answers, build_reply, sample_from_prompt

__all__ = ["Routing", "SuperLinkModel"]

Routing = Literal["generated", "forced"]


class SuperLinkModel(LinkedModel):
    """A multimodal LLM linked to task decoders, with all that a reply takes."""

    @torch.no_grad()
    def predict(
        self,
        prompt: str,
        image: str | Path | Image.Image | Sequence[str | Path | Image.Image] | None = None,
        *,
        answer: str | None = None,
        max_new_tokens: int = 128,
        strict: bool = False,
        allow_control: bool = False,
    ) -> Reply:
        """Answer one question.

        Args:
            prompt: What the user asks. Routing tokens in it are escaped, unless `allow_control`.
            image: A path, a picture, or several.
            answer: Given, the LLM does not write: routes are forced as in this template.
            max_new_tokens: Tokens that the LLM may write.
            strict: Whether a call that cannot be served raises instead of being a failure.
            allow_control: Whether routing tokens in `prompt` are meant as such.
        """
        if image is None:
            image = ()
        elif isinstance(image, str | Path | Image.Image):
            image = (image,)
        images = [open_image(source) for source in image]
        sample = sample_from_prompt(prompt, images, answer=answer, allow_control=allow_control)
        routing: Routing = "generated" if answer is None else "forced"
        return self.answer([sample], routing, max_new_tokens=max_new_tokens, strict=strict)[0]

    @torch.no_grad()
    def answer(
        self,
        samples: Sequence[Sample],
        routing: Routing = "generated",
        *,
        max_new_tokens: int = 128,
        strict: bool = False,
    ) -> list[Reply]:
        """Answer a batch of conversations, one reply each.

        With `generated` routing the LLM writes; with `forced` routing the last message of each
        sample is the answer template, and one forward gives the states of its routes.
        """
        if not samples:
            return []
        training, _ = self.training, self.eval()
        try:
            if routing == "generated":
                answers, features = self._generate(samples, max_new_tokens)
                asked = [[*s.messages, Message("assistant", "")] for s in samples]
            else:
                answers, features = self._force(samples)
                asked = [list(s.messages) for s in samples]
            calls = self.vocabulary.group(answers.routes, asked)
            return self._serve(samples, answers, calls, features, strict)
        finally:
            self.train(training)

    def _generate(
        self, samples: Sequence[Sample], max_new_tokens: int
    ) -> tuple[Answers, ImageFeatures | None]:
        encoded = self.processor.encode(samples, padding_side="left", add_generation_prompt=True)
        inputs = to_device(encoded.inputs, self.device)
        features = self.image_features(inputs, list(self.bound))
        image_tokens = frozenset(t for t, b in self.vocabulary.bindings.items() if b.needs_image)
        rows = generate(
            self.backbone,
            inputs,
            self.vocabulary,
            max_new_tokens=max_new_tokens,
            image_features=features,
            forbidden=[frozenset() if s.images else image_tokens for s in samples],
        )
        answers = Answers()
        for row, (sample, written) in enumerate(zip(samples, rows, strict=True)):
            raw = self.vocabulary.spell(written.ids, self.backbone.decode)
            parsed = self.vocabulary.parse(raw)
            answers.texts.append(parsed.text)
            answers.raws.append(raw)
            answers.states += written.states
            answers.complete.append(written.complete)
            turn = len(sample.messages)
            answers.routes += [Route(row, turn, *route) for route in parsed.routes]
        return answers, features

    def _force(self, samples: Sequence[Sample]) -> tuple[Answers, ImageFeatures | None]:
        for sample in samples:
            roles = [message.role for message in sample.messages]
            if roles[-1:] != ["assistant"]:
                raise InputError(
                    "Forced routing needs the answer template as the last message. Received: "
                    f"roles={roles}, key={sample.key!r}"
                )
        encoded = self.processor.encode(samples)
        inputs = to_device(encoded.inputs, self.device)
        features = self.image_features(inputs, list(self.bound))
        hidden = self.backbone(inputs, image_features=features).last_hidden_state
        answers = Answers()
        for sample in samples:
            answers.raws.append(sample.messages[-1].text)
            answers.texts.append(self.vocabulary.parse(answers.raws[-1]).text)
            answers.complete.append(True)
        for route in encoded.routes:
            if route.turn == len(samples[route.row].messages) - 1:
                width = self.vocabulary.bindings[route.token].num_queries
                first = route.position + 1
                answers.routes.append(route)
                answers.states.append(hidden[route.row, first : first + width])
        return answers, features

    def _serve(
        self,
        samples: Sequence[Sample],
        answers: Answers,
        calls: Sequence[Call],
        features: ImageFeatures | None,
        strict: bool,
    ) -> list[Reply]:
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
            links = self.link(name, [answers.routes[index] for index in order], states)
            batch = self.with_features(name, to_device(batch, self.device), features)
            predictions = self.bound[name].decoder(links, batch, mode="predict")
            served += zip(mine, predictions, strict=True)
        served.sort(key=lambda pair: pair[0].routes)
        return [build_reply(row, answers, served, failures) for row in range(len(samples))]
