"""Chat: question after question, each answered with all that was said before it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from ..errors import InputError
from ..interfaces import Event, Message, Region, Reply, ReplyEvent, Sample
from ..interfaces.images import ImageSource, open_images
from ..model import SuperLinkModel
from ..replies import check_options, check_prompt, sample_from_prompt
from .files import read_conversation, write_conversation

__all__ = ["Chat"]

Images = ImageSource | Sequence[ImageSource] | None


class Chat:
    """A conversation with one model.

    The history holds each answer as the LLM wrote it, so that the LLM sees its own routes; those of
    the new answer alone are served, and they speak of the last image. A question that fails leaves
    the conversation as it was. What users type never calls a decoder.

    Args:
        model: Who answers; it is left as it was.
        system: What the model is told before the first question.
    """

    def __init__(self, model: SuperLinkModel, *, system: str | None = None) -> None:
        if not isinstance(model, SuperLinkModel):
            raise InputError(f"Expected a model; use superlink.load(...). Received: {model!r:.200}")
        if system is not None:
            check_prompt(system)
        self.model = model
        self._said = Sample(() if system is None else (Message("system", system),))

    @property
    def messages(self) -> tuple[Message, ...]:
        """All that was said: questions and answers in turns, the system's message before them."""
        return self._said.messages

    @property
    def images(self) -> tuple[Image.Image, ...]:
        """The images, in the order in which they were shown."""
        return self._said.images

    @property
    def regions(self) -> tuple[Region, ...]:
        """The regions in the order of their marks; each knows the index of its image."""
        return self._said.regions

    def ask(
        self,
        prompt: str,
        image: Images = None,
        *,
        regions: Region | Sequence[Region] = (),
        **options: Any,
    ) -> Reply:
        """Ask the next question.

        Args:
            prompt: What the user asks.
            image: A path, a picture, or several, that are shown before the question.
            regions: What each `<region>` in the prompt stands for, one or several, on the last
                image or the one that it names. Without any, `<region>` is text.
            options: Of `SuperLinkModel.stream_sample`: `max_new_tokens`, `do_sample`, ...

        Raises:
            InputError: Something of it cannot be used, or the conversation is longer than what the
                backbone can read.
        """
        reply = Reply("", "")
        for event in self.stream(prompt, image, regions=regions, **options):
            reply = event.reply if isinstance(event, ReplyEvent) else reply
        return reply

    def stream(
        self,
        prompt: str,
        image: Images = None,
        *,
        regions: Region | Sequence[Region] = (),
        **options: Any,
    ) -> Iterator[Event]:
        """Ask the next question and tell what happens, as `SuperLinkModel.stream` does.

        Question and answer join the conversation with the last event; leave earlier, and nothing
        was said.
        """
        check_options(options)
        asked = sample_from_prompt(prompt, open_images(image), regions=regions, before=self._said)
        return self._told(asked, self._said, options)

    def undo(self) -> None:
        """Take back the last question with its answer, its images and its regions."""
        if self.messages[-1:] == () or self.messages[-1].role == "system":
            raise InputError("There is no question to take back: nobody has asked one.")
        *before, asked, _ = self.messages
        self._said = Sample(
            tuple(before),
            self.images[: len(self.images) - asked.num_images],
            regions=self.regions[: len(self.regions) - asked.num_regions],
        )

    def clear(self) -> None:
        """Begin anew; the system's message stays."""
        self._said = Sample(tuple(m for m in self.messages if m.role == "system"))

    def save(self, path: str | Path) -> None:
        """Write the conversation as JSON, and its images into the folder `NAME.images` beside it.

        An older file is replaced as a whole or not at all.
        """
        write_conversation(self._said, Path(path))

    @classmethod
    def load(cls, path: str | Path, model: SuperLinkModel) -> Chat:
        """Go on with a conversation that `save` wrote, with the same model or another one."""
        chat = cls(model)
        chat._said = read_conversation(Path(path))
        return chat

    def _told(self, asked: Sample, before: Sample, options: dict[str, Any]) -> Iterator[Event]:
        for event in self.model.stream_sample(asked, **options):
            if isinstance(event, ReplyEvent):
                self._keep(asked, before, event.reply)
            yield event

    def _keep(self, asked: Sample, before: Sample, reply: Reply) -> None:
        if self._said is not before:
            raise InputError(
                "A conversation takes one question at a time. Received: another one, or `undo` or "
                "`clear`, while an answer was streamed, which is not kept. Ask it again."
            )
        if not (reply.raw or reply.complete):
            raise InputError(
                "The conversation leaves the model no room for an answer. Shorten it with `undo()` "
                "or `clear()`, use smaller or fewer images, or raise max_new_tokens if it is 0. "
                f"Received: {len(asked.messages)} messages with {len(asked.images)} images"
            )
        answer = Message("assistant", self._readable(reply.raw))
        self._said = replace(asked, messages=(*asked.messages, answer), key="")

    def _readable(self, raw: str) -> str:
        """An answer without special tokens of the backbone, which a user does not see either: a
        placeholder of an image that is none would not be understood in the next turn."""
        own = set(self.model.vocabulary.tokens)
        special = {token for token in self.model.backbone.special_tokens() if token not in own}
        longest_first = sorted(special, key=len, reverse=True)
        return re.sub("|".join(map(re.escape, longest_first)) or "(?!)", "", raw)
