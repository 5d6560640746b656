"""Short answers in words against what was expected: the same, alike in words, alike in meaning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import ConfigError, InputError
from .matching import normalize_phrase

__all__ = ["SentenceEncoder", "normalize_answer", "semantic_similarity", "word_iou"]

SentenceEncoder = Callable[[list[str]], Any]
"""N texts to their embeddings (N, C), an array or a tensor."""


def normalize_answer(text: str) -> str:
    """As `normalize_phrase`, and without a full stop at the end."""
    return normalize_phrase(text.strip().rstrip("."))


def word_iou(first: str, second: str) -> float:
    """S-IoU: words that two answers share over all their words (Osprey, arXiv 2312.10032)."""
    one, other = (set(normalize_answer(text).split()) for text in (first, second))
    return len(one & other) / len(one | other) if one | other else 1.0


def semantic_similarity(
    found: Sequence[str], expected: Sequence[str], encoder: SentenceEncoder
) -> float:
    """The mean cosine of the embeddings of each answer and what was expected (Osprey).

    Args:
        found: N answers.
        expected: What each should have been.
        encoder: Of sentences; Osprey takes a Sentence-BERT.

    Raises:
        InputError: There are no answers.
        ConfigError: The encoder does not return one row for each text.
    """
    if not found or len(found) != len(expected):
        raise InputError(
            "Similarity needs an expected text for each answer, and one answer at least. "
            f"Received: {len(found)} answers, {len(expected)} expected texts"
        )
    rows = np.asarray(encoder([*found, *expected]), np.float64)
    if rows.ndim != 2 or len(rows) != 2 * len(found):
        raise ConfigError(
            f"An encoder gives (N, C) for N={2 * len(found)} texts. Received: shape {rows.shape}"
        )
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return float((rows[: len(found)] * rows[len(found) :]).sum(axis=1).mean())
