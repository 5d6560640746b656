"""Conversations as files: JSON that people can read, and pictures beside it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from PIL import Image

from ..errors import InputError
from ..interfaces import IMAGE, REGION, Message, Part, Region, RegionPart, Sample
from ..interfaces.images import open_image
from ..interfaces.regions import RegionKind

__all__ = ["read_conversation", "write_conversation"]

_VERSION = 1


class _Mark(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An image or a region inside a message."""

    kind: Literal["image"] | RegionKind
    file: str = ""
    """Of an image, or of a mask, which is white inside; relative to the JSON."""
    points: tuple[tuple[float, float], ...] = ()
    radius: float | None = None
    image: int | None = None
    """Of a region: index of its image in the conversation."""


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    role: Literal["system", "user", "assistant"]
    content: str | tuple[str | _Mark, ...]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format_version: int
    messages: tuple[_Message, ...]


def write_conversation(said: Sample, path: Path) -> None:
    """Write a conversation to `path`, a .json, and its pictures into `NAME.images` beside it.

    Pictures are named by what they show, and the JSON is written last and replaced in one step: a
    write that is killed leaves an older conversation whole.

    Raises:
        InputError: The path has another suffix, or cannot be written to.
    """
    if path.suffix.lower() != ".json":
        raise InputError(f"A conversation is saved as a .json file. Received: {str(path)!r}")
    images, regions = iter(said.images), iter(said.regions)

    def marks(message: Message) -> Iterator[str | _Mark]:
        for part in message.parts:
            if isinstance(part, str):
                yield part
            elif isinstance(part, RegionPart):
                yield _region_mark(next(regions), path)
            else:
                yield _Mark("image", _write_picture(next(images), path))

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        messages = tuple(
            _Message(m.role, m.content if isinstance(m.content, str) else tuple(marks(m)))
            for m in said.messages
        )
        encoded = msgspec.json.encode(_File(_VERSION, messages))
        _write(path, msgspec.json.format(encoded, indent=2) + b"\n")
    except (OSError, ValueError) as error:  # the latter of a path with a zero in it
        raise InputError(f"The conversation {path} cannot be written: {error}") from error


def read_conversation(path: Path) -> Sample:
    """Read what `write_conversation` wrote.

    Raises:
        InputError: The file or one of its pictures is missing or something else; or questions and
            answers do not take turns.
    """
    try:
        saved = msgspec.json.decode(path.read_bytes(), type=_File)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"Expected a conversation that `Chat.save` wrote. Received: {path} ({error})"
        ) from error
    _check_turns(saved, path)
    images: list[Image.Image] = []
    regions: list[Region] = []

    def parts(message: _Message) -> Iterator[Part]:
        for part in message.content:
            if isinstance(part, str):
                yield part
            elif part.kind == "image":
                images.append(open_image(_beside(path, part.file)))
                yield IMAGE
            else:
                regions.append(_region(part.kind, part, path))
                yield REGION

    messages = tuple(
        Message(m.role, m.content if isinstance(m.content, str) else tuple(parts(m)))
        for m in saved.messages
    )
    return Sample(messages, tuple(images), key=path.name, regions=tuple(regions))


def _check_turns(saved: _File, path: Path) -> None:
    roles = [message.role for message in saved.messages]
    spoken = roles[1:] if roles[:1] == ["system"] else roles
    whole = spoken == ["user", "assistant"] * (len(spoken) // 2)
    plain = all(
        message.role == "user" or not any(isinstance(part, _Mark) for part in message.content)
        for message in saved.messages
    )
    if saved.format_version != _VERSION or not whole or not plain:
        raise InputError(
            f"Expected a conversation of format_version {_VERSION} in which questions and answers "
            "take turns, with images in questions alone. "
            f"Received: format_version {saved.format_version}, {roles} in {path}"
        )


def _region_mark(region: Region, path: Path) -> _Mark:
    file = "" if region.mask is None else _write_picture(Image.fromarray(region.mask), path)
    return _Mark(region.kind, file, region.points, region.radius, region.image)


def _region(kind: RegionKind, mark: _Mark, path: Path) -> Region:
    mask = None
    if kind == "mask":
        mask = np.asarray(open_image(_beside(path, mark.file)).convert("L")) > 127
    return Region(kind, mark.points, mark.radius, mask, mark.image)


def _beside(path: Path, name: str) -> Path:
    """The file of a picture; a conversation from elsewhere opens none outside of its folder."""
    if not name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise InputError(
            "A conversation names its pictures relative to itself, in its own folder. "
            f"Received: {name!r} in {path}"
        )
    return path.parent / name


def _write_picture(image: Image.Image, path: Path) -> str:
    """Write a picture where it is not there yet; its name relative to `path`."""
    known = hashlib.sha256(f"{image.mode} {image.size} ".encode() + image.tobytes())
    name = f"{path.stem}.images/{known.hexdigest()[:16]}.png"
    file = path.parent / name
    if not file.is_file():
        file.parent.mkdir(exist_ok=True)
        fresh = file.with_name(f".{file.name}.new")
        image.save(fresh, format="PNG")
        os.replace(fresh, file)
    return name


def _write(path: Path, text: bytes) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(text)
    os.replace(fresh, path)
