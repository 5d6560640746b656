"""What a line of a chat does: a question, or a command that begins with a slash."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from ..chat import Chat
from ..errors import InputError, SuperLinkError
from ..interfaces import REGION_MARK, ImagePrediction, Region, Reply, ReplyEvent
from ..interfaces.images import open_image
from ..replies import check_pixels
from .making import write_made
from .predict import draw_picture
from .regions import read_region
from .transcript import Transcript

__all__ = ["COMMANDS", "Conversation"]

COMMANDS = {
    "/image FILE": "Show a picture with the next question; several are possible.",
    "/region WHERE": f"What the next {REGION_MARK} in a question stands for, on the last picture: "
    "point:120,80 or box:x1,y1,x2,y2 or scribble:, circle:, polygon: or mask:FILE.png.",
    "/undo": "Take back the picture or region that waits, or else the last question.",
    "/clear": "Begin anew.",
    "/save FILE": "Write the conversation as .json, its pictures beside it.",
    "/help": "Show this list.",
    "/quit": "End; so does the end of the input.",
}
"""The commands and what they do. A question that begins with a slash has a blank before it."""


class Conversation:
    """A chat with what waits for its next question.

    Args:
        chat: The chat.
        transcript: Is told what happens.
        output: Folder for the pictures of replies, which go on from the numbers that are there.
        threshold: Lowest score of what is drawn.
        options: Of each answer.
    """

    def __init__(
        self,
        chat: Chat,
        transcript: Transcript,
        output: Path,
        threshold: float,
        options: Mapping[str, Any],
    ) -> None:
        self.chat, self.transcript = chat, transcript
        self.images: list[Image.Image] = []
        self.regions: list[Region] = []
        self._output, self._threshold, self._options = output, threshold, options
        self._number = max(
            (int(p.stem) for p in output.glob("*.png") if p.stem.isdecimal()), default=0
        )
        self._commands: dict[str, Callable[[str], None]] = {
            "/image": self._image,
            "/region": self._region,
            "/undo": self._undo,
            "/clear": self._clear,
            "/save": self._save,
            "/help": self._help,
        }

    def take(self, line: str) -> bool:
        """Do what a line says, and tell what is wrong with it; whether the chat goes on."""
        if not line.strip():
            return True
        self.transcript.line(line)
        name, _, rest = line.rstrip().partition(" ")
        if name == "/quit":
            return False
        try:
            if name.startswith("/"):
                self._command(name)(rest.strip())
            else:
                self._ask(line.strip())
        except SuperLinkError as error:
            self.transcript.error(str(error))
        except KeyboardInterrupt:
            self.transcript.error("stopped, and nothing of it is kept")
        return True

    def _command(self, name: str) -> Callable[[str], None]:
        if name not in self._commands:
            known = ", ".join(command.split()[0] for command in COMMANDS)
            raise InputError(
                f"No such command: {name}. There are {known}. A question that begins with a slash "
                "needs a blank before it."
            )
        return self._commands[name]

    def _ask(self, question: str) -> None:
        used = self.regions[: question.count(REGION_MARK)]
        if REGION_MARK in question and not used:
            self.transcript.note("hint", f"{REGION_MARK} is text here, as no /region was given.")
        for event in self.chat.stream(question, self.images, regions=used, **self._options):
            if isinstance(event, ReplyEvent):  # kept by now, whatever becomes of its picture
                self.images, self.regions = [], self.regions[len(used) :]
            self.transcript.event(event)
            if isinstance(event, ReplyEvent):
                self._draw(event.reply)

    def _draw(self, reply: Reply) -> None:
        for path in write_made(reply, self._output):
            self._number += 1
            self.transcript.note("picture", f"picture {path}", file=str(path))
        shown = [
            call.image
            for call, prediction in zip(reply.calls, reply.predictions, strict=True)
            if call.image is not None and not isinstance(prediction, ImagePrediction)
        ]
        if not shown:
            return
        path = self._output / f"{self._number + 1:03}.png"
        regions = [region for region in self.chat.regions if region.image == shown[-1]]
        draw_picture(self.chat.images[shown[-1]], reply, self._threshold, path, regions)
        self._number += 1
        self.transcript.note("picture", f"picture {path}", file=str(path))

    def _image(self, name: str) -> None:
        image = open_image(_file(name, "/image photo.jpg"))
        self.images.append(image)
        size = [image.width, image.height]
        self.transcript.note("image", f"image of {size[0]} x {size[1]} pixels", size=size)

    def _region(self, text: str) -> None:
        images = [*self.chat.images, *self.images]
        if not images:
            raise InputError("A region lies on a picture. Show one first: /image photo.jpg")
        region = read_region(text).on(len(images) - 1)
        size = (images[-1].height, images[-1].width)
        check_pixels(region, size)
        num_pixels = int(region.raster(size).sum())
        self.regions.append(region)
        self.transcript.note(
            "region",
            f"region of {num_pixels} pixels, for the next {REGION_MARK}",
            shape=region.kind,
            num_pixels=num_pixels,
        )

    def _undo(self, _: str) -> None:
        if self.regions:
            self.regions.pop()
            what = "region"
        elif self.images:
            self.images.pop()
            what = "image"
        else:
            self.chat.undo()
            what = "question"
        self.transcript.note("undone", f"took back the last {what}", what=what)

    def _clear(self, _: str) -> None:
        self.chat.clear()
        self.images, self.regions = [], []
        self.transcript.note("cleared", "a new conversation")

    def _save(self, name: str) -> None:
        path = _file(name, "/save talk.json")
        self.chat.save(path)
        self.transcript.note("saved", f"saved {path}", file=str(path))

    def _help(self, _: str) -> None:
        width = max(map(len, COMMANDS)) + 2
        lines = (f"{command:<{width}}{text}" for command, text in COMMANDS.items())
        self.transcript.note("help", "\n".join(lines), commands=COMMANDS)


def _file(name: str, example: str) -> Path:
    """The path that stands behind a command, with quotes around it or without."""
    if len(name) > 1 and name[0] == name[-1] and name[0] in "'\"":
        name = name[1:-1]
    if not name:
        raise InputError(f"Expected a file, as {example}. Received: none")
    return Path(name).expanduser()
