"""The samples that a diagnosis looks at: a few of each data set, as training makes them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...errors import InputError
from ...interfaces import Sample
from ...training.dataset import Conversation
from .finding import Finding

__all__ = ["broken_finding", "draw_samples"]


def draw_samples(
    sources: Sequence[tuple[Sequence[Any], Conversation]], count: int, seed: int
) -> tuple[list[Sample], list[Finding]]:
    """So many samples, by turns from each data set, with what they ask drawn as in training.

    Args:
        sources: Records, and what makes a sample of one.
        count: How many samples at most.
        seed: Of which records, and of what conversations draw.

    Returns:
        The samples, and a finding where records cannot be used.

    Raises:
        InputError: There is no sample at all.
    """
    orders = [_order(records, seed) for records, _ in sources]
    samples, reasons = [], []
    for index in range(min(count, sum(map(len, orders)))):
        turn, source = divmod(index, len(sources))
        records, converse = sources[source]
        number = orders[source][turn % len(orders[source])]
        try:
            sample = converse(records[number], random.Random(f"diagnosis-{seed}-{index}"), True)
        except InputError as error:
            reasons.append(f"Record {number}: {error}")
            continue
        samples.append(replace(sample, key=f"{sample.key}#{index}"))
    if not samples:
        why = reasons[0] if reasons else "a reader that found no records"
        raise InputError(f"A diagnosis needs samples. Received: {why}")
    return samples, broken_finding(reasons, len(samples))


def _order(records: Sequence[Any], seed: int) -> Sequence[int]:
    if not len(records):
        raise InputError("A diagnosis needs data. Received: a reader that found no records")
    return random.Random(f"diagnosis-{seed}").sample(range(len(records)), min(len(records), 4096))


def broken_finding(reasons: Sequence[str], made: int) -> list[Finding]:
    """One finding where samples cannot be used, and none where all can.

    Args:
        reasons: Why, for each of them.
        made: How many others there are.
    """
    if not reasons:
        return []
    return [
        Finding(
            check="samples",
            subject="of the diagnosis",
            status="warning",
            measured=f"{len(reasons)} of {len(reasons) + made} cannot be used",
            bound="none",
            symptom=reasons[0],
            advice="`superlink data validate` lists what is broken.",
            anchor="samples-are-missing",
            figures={"broken": float(len(reasons))},
        )
    ]
