"""Pictures that models make, and what is asked of the decoders that make them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, InputError, SuperLinkError
from ..interfaces import ImagePrediction, Reply
from ..interfaces.pictures import made_images
from .key_values import parse_option
from .output import stderr

if TYPE_CHECKING:
    from ..model import SuperLinkModel

__all__ = ["check_outputs", "no_picture", "options_by_decoder", "picture_lines", "write_made"]

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def check_outputs(picture: Path | None, made: Path | None) -> None:
    """Raise `InputError` before a model runs where its pictures could not be written."""
    if picture is not None and picture.suffix.lower() not in _SUFFIXES:
        raise InputError(
            f"--picture writes {', '.join(_SUFFIXES)}. Received: {picture.name!r} with the suffix "
            f"{picture.suffix!r}"
        )
    if made is not None and made.is_file():
        raise InputError(f"--made names a folder. Received: the file {made}")


def options_by_decoder(
    model: SuperLinkModel,
    texts: Sequence[str],
    *,
    flag: str = "--option",
    progress: bool = False,
) -> dict[str, dict[str, Any]]:
    """What `--option KEY=VALUE` asks of each decoder of a model.

    Args:
        model: Whose decoders there are.
        texts: `key=value` goes to each decoder that takes it, `decoder.key=value` to this one.
        flag: How the command calls it, for errors.
        progress: Whether decoders that have a progress bar show it on a terminal.

    Raises:
        ConfigError: A text is none of these, or no decoder takes it.
    """
    options: dict[str, dict[str, Any]] = {name: {} for name in model.bound}
    if progress and stderr.is_terminal:
        _give(model, options, "progress", True)
    for text in texts:
        key, value = parse_option(text, flag, "seed=1")
        decoder, _, name = key.rpartition(".")
        if decoder and decoder not in options:
            raise ConfigError(
                f"{flag} names a decoder of the model, which are {', '.join(options)}. "
                f"Received: {text!r}"
            )
        refused = _give(model, options, name, value, decoder)
        if len(refused) == len([decoder] if decoder else options):
            raise ConfigError(f"No decoder takes {flag} {text}. {_reasons(refused)}")
    return options


def no_picture(model: SuperLinkModel) -> str:
    """Why a reply of a model made no picture."""
    tokens = [token for token in ("[GEN]", "[EDIT]") if token in model.vocabulary.bindings]
    if tokens:
        return "No picture was made: the reply calls no decoder that makes one."
    return "No picture was made: this model has no decoder for [GEN] or [EDIT]."


def picture_lines(prediction: ImagePrediction) -> list[str]:
    """A line for each picture that was made, with its seed."""
    rows = zip(prediction.images, prediction.seeds, strict=True)
    return [
        f"made a picture of {image.width} x {image.height}, seed {seed}" for image, seed in rows
    ]


def write_made(reply: Reply, folder: Path) -> list[Path]:
    """Write the pictures that a reply made, numbered on from those in the folder.

    Raises:
        InputError: The folder cannot be written to.
    """
    pictures = made_images(reply)
    if not pictures:
        return []
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = [int(path.stem) for path in folder.glob("*.png") if path.stem.isdecimal()]
        for number, picture in enumerate(pictures, start=max(there, default=0) + 1):
            paths.append(folder / f"{number:03}.png")
            picture.save(paths[-1])
    except OSError as error:
        raise InputError(f"The pictures cannot be written to {folder}: {error}") from error
    return paths


def _reasons(refused: Sequence[SuperLinkError]) -> str:
    """Each reason once; of those that differ in what there is to choose from, the longest."""
    told: dict[str, str] = {}
    for text in (f"{str(error).rstrip('.')}." for error in refused):
        head = text.partition("Choose from")[0]
        told[head] = max(told.get(head, ""), text, key=len)
    return " ".join(told.values())


def _give(
    model: SuperLinkModel,
    options: dict[str, dict[str, Any]],
    name: str,
    value: Any,
    decoder: str = "",
) -> list[SuperLinkError]:
    """Add an option to the decoders that take it, or to one; why the others do not."""
    refused: list[SuperLinkError] = []
    for one in [decoder] if decoder else options:
        asked = {**options[one], name: value}
        try:
            model.bound[one].decoder.read_options(asked)
        except SuperLinkError as error:
            refused.append(error)
        else:
            options[one] = asked
    return refused
