"""How far the rows of control tokens have moved, and how long they are beside those of words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from ...linked import LinkedModel
from .bounds import ROW_NORM
from .finding import Finding

__all__ = ["row_findings"]

_TABLES = {"tokens": "input rows", "token_outputs": "output rows"}


def row_findings(
    model: LinkedModel, start: Mapping[str, Tensor] | None = None
) -> Iterator[Finding]:
    """One for each table of rows.

    Args:
        model: The linked model.
        start: `tokens` and `token_outputs` as they were in the first checkpoint of the run; without
            them rows are compared with the mean row of the words, near which they begin.
    """
    words = {
        "tokens": model.backbone.embedding_modules()[0],
        "token_outputs": model.backbone.output_head(),
    }
    for key, name in _TABLES.items():
        rows = getattr(model.queries, key)
        if rows is not None:
            first = None if start is None else start.get(key)
            yield _finding(model, name, rows.detach().float(), _table(words[key]), first)


def _table(module: nn.Module) -> Tensor:
    return module.get_parameter("weight").detach()


def _finding(
    model: LinkedModel, name: str, rows: Tensor, words: Tensor, start: Tensor | None
) -> Finding:
    size = float(torch.linalg.vector_norm(words, dim=1, dtype=torch.float32).mean())
    lengths = rows.norm(dim=1) / size  # (c,)
    known = start is not None and start.shape == rows.shape
    origin = start.to(rows) if known and start is not None else words.mean(0, dtype=torch.float32)
    drift = (rows - origin).norm(dim=1) / size
    longest = int(lengths.argmax())
    token = model.vocabulary.controls[longest]
    status = ROW_NORM.judge(float(lengths[longest]))
    symptom, advice = "", ""
    if status != "ok":
        times = float(lengths[longest])
        symptom = f"The row of {token} is {times:.1f} times as long as a word's."
        if not math.isfinite(times):
            symptom = "The rows, or those of words, are too long to be measured."
        advice = "Lower the rate of `queries`, lengthen the warm-up, and begin again."
    elif known and float(drift.max()) == 0:
        status, symptom = "warning", "No row has moved since the first checkpoint."
        advice = "The rate of `queries.tokens` is 0: see `learning_rates`."
    since = "the first checkpoint" if known else "the mean word"
    return Finding(
        check="token rows",
        subject=name,
        status=status,
        measured=(
            f"length {float(lengths.mean()):.2f} of a word's, longest {token} "
            f"{float(lengths[longest]):.2f}; {float(drift.mean()):.2g} from {since}"
        ),
        bound=f"length {ROW_NORM}",
        symptom=symptom,
        advice=advice,
        anchor="" if status == "ok" else "the-rows-of-the-tokens-run-away",
        figures={
            "length": float(lengths.mean()),
            "longest": float(lengths[longest]),
            "drift": float(drift.mean()),
            "drift_from_first_checkpoint": float(known),
        },
    )
