"""Region question answering: is it the right letter, for the answer, for its reason, for both?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from string import ascii_uppercase

import numpy as np

from ..errors import InputError
from ..interfaces import Reply, Sample
from .evaluator import Evaluator, Row
from .routing import needed_targets

__all__ = ["RegionQaEvaluator"]

_ALONE = re.compile(r"[\W_]*([A-Z])(?:[\W_]*|[.:)\]].*)", re.DOTALL | re.IGNORECASE)
_SAID = re.compile(r"\b(?i:answer|reason|choice|option)(?:\s+is|:)?\s*\(?([A-Z])(?=\W*$|[.,:;)])")
_METRICS = {"answer": "Q->A", "rationale": "QA->R"}


class RegionQaEvaluator(Evaluator):
    """Reads the letter that a reply chooses, and counts those that are right.

    A reply without a letter of the choices counts as wrong. A reason is asked for beside the right
    answer, whatever was answered before (Zellers et al., arXiv 1811.10830). With forced routing the
    answer is given, so that generated routing alone measures anything.
    """

    def measure(self, sample: Sample, reply: Reply) -> Row:
        """The letter that was expected and the one that was chosen, the step and the question.

        Raises:
            InputError: The sample has no target with `names`, `choices`, `step` and `group`.
        """
        keys = ("names", "choices", "step", "group")
        (target,) = needed_targets(sample, keys, "Region question answering", most=1)
        return {
            "expected": target["names"][0],
            "chosen": _letter(reply.text, target["choices"]),
            "step": target["step"],
            "group": target["group"],
        }

    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """How many choices are right.

        Returns:
            `Q->A`, the share of answers that are right; `QA->R`, that of the reasons; `Q->AR`, the
            share of the questions with both steps in which both are right. Those of which there
            is nothing are left out.

        Raises:
            InputError: There are no answers.
        """
        if not rows:
            raise InputError("Region question answering needs at least one answer. Received: none")
        metrics = {}
        for step, name in _METRICS.items():
            if right := [_is_right(row) for row in rows if row["step"] == step]:
                metrics[name] = float(np.mean(right))
        if pairs := [*_pairs(rows)]:
            metrics["Q->AR"] = float(np.mean(pairs))
        return metrics

    def quality(self, row: Row) -> float:
        """1 where the choice is right, else 0."""
        return float(_is_right(row))

    def remarks(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """How many replies choose nothing, and how many questions have one step alone."""
        silent = sum(not row["chosen"] for row in rows)
        said = f"{silent} of {len(rows)} replies name no letter of the choices; they are wrong."
        steps = {row["step"] for row in rows}
        alone = len(rows) - 2 * len([*_pairs(rows)]) if len(steps) > 1 else 0
        left = f"{alone} questions were asked for one of their steps alone; Q->AR leaves them out."
        return (*((said,) if silent else ()), *((left,) if alone else ()))


def _letter(text: str, choices: int) -> str:
    """The letter of a choice that a reply names, first or after a word like `answer`; or none."""
    found = _ALONE.fullmatch(text) or _SAID.search(text)
    letter = found.group(1).upper() if found else ""
    return letter if letter in {*ascii_uppercase[:choices]} else ""


def _is_right(row: Row) -> bool:
    return bool(row["chosen"] == row["expected"])


def _pairs(rows: Sequence[Row]) -> Iterator[bool]:
    """For each question with both steps, whether both are right."""
    right = {(row["group"], row["step"]): _is_right(row) for row in rows if row["group"]}
    for (group, step), answered in right.items():
        if step == "answer" and (group, "rationale") in right:
            yield answered and right[group, "rationale"]
