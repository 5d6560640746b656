"""In-context samples of whatever detection reads, as a format of their own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal

from ...errors import ConfigError
from ...registry import load_object
from ...tasks.specs import DETECTION
from ..in_context import InContextDataset
from ..problems import BrokenPolicy
from ..schema import AnnotatedImage

__all__ = ["read_mask_examples", "read_text_examples"]


def read_mask_examples(
    reader: str,
    *,
    min_examples: int = 1,
    max_examples: int = 5,
    draws: int = 1,
    draw_seed: int = 0,
    broken: BrokenPolicy = "error",
    **options: Any,
) -> InContextDataset:
    """In-context samples for masks from any reader of detection, as format `annotated`.

    Args:
        reader: Name of a reader of detection, as `coco` or `scenes`, or `package.module:callable`.
        min_examples: The fewest examples of a sample.
        max_examples: The most examples of a sample.
        draws: How many samples each image is the query of.
        draw_seed: Of which class is asked for, and of which examples are taken.
        broken: What the reader does with items that cannot be used, where it has a choice.
        options: What else the reader takes. It is asked for masks, unless these say otherwise.

    Raises:
        ConfigError: There is no such reader, or it does not take such options.
        InputError: The reader refuses its files, or no class is shown by enough images.
    """
    return InContextDataset(
        _open(reader, broken, options),
        "masks",
        min_examples=min_examples,
        max_examples=max_examples,
        draws=draws,
        seed=draw_seed,
    )


def read_text_examples(
    reader: str,
    *,
    answers: Literal["names", "captions"] = "names",
    min_examples: int = 1,
    max_examples: int = 5,
    draws: int = 1,
    draw_seed: int = 0,
    broken: BrokenPolicy = "error",
    **options: Any,
) -> InContextDataset:
    """In-context samples for text from any reader of detection, as format `annotated`.

    Args:
        reader: Name of a reader of detection, or `package.module:callable`.
        answers: What each image is answered with: the `names` of objects, or its `captions`.
        min_examples: The fewest examples of a sample.
        max_examples: The most examples of a sample.
        draws: How many samples each image is the query of.
        draw_seed: Of which examples are taken.
        broken: What the reader does with items that cannot be used, where it has a choice.
        options: What else the reader takes. It is asked for masks, unless these say otherwise.

    Raises:
        ConfigError: There is no such reader, or it does not take such options.
        InputError: The reader refuses its files, or too few images have what answers are made of.
    """
    if answers not in ("names", "captions"):
        raise ConfigError(f"answers is 'names' or 'captions'. Received: {answers!r}")
    return InContextDataset(
        _open(reader, broken, options),
        answers,
        min_examples=min_examples,
        max_examples=max_examples,
        draws=draws,
        seed=draw_seed,
    )


def _open(reader: str, broken: BrokenPolicy, options: dict[str, Any]) -> Sequence[AnnotatedImage]:
    """The annotated images that a reader of detection finds."""
    if ":" not in reader and reader not in DETECTION.readers:
        raise ConfigError(
            f"Examples are taken from what detection reads: {sorted(DETECTION.readers)}, or "
            f"package.module:callable. Received: reader={reader!r}"
        )
    path = reader if ":" in reader else DETECTION.readers[reader]
    function: Callable[..., Sequence[AnnotatedImage]] = load_object(path, f"reader {reader!r}")
    signature = inspect.signature(function)
    defaults = {"masks": True, "broken": broken}
    added = {key: value for key, value in defaults.items() if key in signature.parameters}
    try:
        signature.bind(**{**added, **options})
    except TypeError as error:
        raise ConfigError(
            f"The reader {reader!r} cannot take these options: {error}. Received: {options}. "
            f"Choose from {sorted(signature.parameters)}"
        ) from error
    return function(**{**added, **options})
