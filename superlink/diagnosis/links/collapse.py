"""Whether queries have become one another, and whether phrases still make a difference."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ...interfaces import LinkedQueries, Sample
from ...link import module_key
from ...linked import LinkedModel
from .bounds import BANK_COSINE, CONDITION_SPREAD
from .finding import Finding

__all__ = ["Conditions", "bank_findings", "mean_cosine"]

_MOST = 512
"""Conditions of a decoder that are compared with one another."""


def mean_cosine(vectors: Tensor) -> float:
    """The mean over all pairs of the cosine between rows (N, C), N at least 2."""
    unit = torch.nn.functional.normalize(vectors.detach().float(), dim=-1)
    pairs = torch.triu_indices(len(unit), len(unit), 1, device=unit.device)
    return float((unit @ unit.T)[pairs[0], pairs[1]].mean())


def bank_findings(model: LinkedModel) -> Iterator[Finding]:
    """One for each bank of several queries."""
    for name, size in model.vocabulary.banks.items():
        if size < 2:
            continue
        bank = model.queries.banks[module_key(name)]
        cosine = mean_cosine(bank)
        status = BANK_COSINE.judge(cosine)
        done = status == "ok"
        yield Finding(
            check="queries",
            subject=name,
            status=status,
            measured=f"mean cosine of {len(bank)} queries {cosine:.3f}",
            bound=str(BANK_COSINE),
            symptom="" if done else f"The {len(bank)} queries of {name} point one way.",
            advice=""
            if done
            else (
                "Begin again from a fresh bank with a lower rate of `queries`, or take fewer "
                "queries: model.decoders.N.num_queries."
            ),
            anchor="" if done else "the-queries-are-all-the-same",
            figures={"cosine": cosine, "queries": float(len(bank))},
        )


class Conditions:
    """Collects, over batches, what decoders are told of different phrases.

    Routes without a phrase are told apart by their question.

    Args:
        model: The linked model.
    """

    def __init__(self, model: LinkedModel) -> None:
        self._model = model
        self._found: dict[str, list[tuple[str, Tensor]]] = defaultdict(list)

    def add(
        self,
        links: Mapping[str, LinkedQueries],
        batch: Mapping[str, Any],
        samples: Sequence[Sample],
    ) -> None:
        """Take the conditions of a batch, and the samples of its rows."""
        routes = batch["routes"]
        for name, linked in links.items():
            calls = self._model.vocabulary.calls_of(name, batch["calls"], routes)
            mine = (routes[index] for call in calls for index in call.routes)
            states = linked.states.detach().float().flatten(1).cpu()  # (R, C) or (R, L * C)
            for route, state in zip(mine, states, strict=True):
                before = samples[route.row].messages[: route.turn]
                key = route.phrase or " ".join(message.text_with("") for message in before)
                if len(self._found[name]) < _MOST:
                    self._found[name].append((key, state))

    def findings(self) -> Iterator[Finding]:
        """One for each decoder that was told of several phrases."""
        for name, found in self._found.items():
            by_key: dict[str, list[Tensor]] = defaultdict(list)
            for key, state in found:
                by_key[key].append(state)
            if len(by_key) > 1:
                yield _finding(name, torch.stack([torch.stack(v).mean(0) for v in by_key.values()]))


def _finding(name: str, means: Tensor) -> Finding:
    """What the mean conditions (P, C) of different phrases say."""
    cosine = mean_cosine(means)
    size = float(means.norm(dim=1).mean())
    spread = float((means - means.mean(0)).norm(dim=1).mean()) / max(size, 1e-12)
    status = CONDITION_SPREAD.judge(spread)
    done, near = status == "ok", "nearly " if status == "warning" else ""
    return Finding(
        check="conditions",
        subject=name,
        status=status,
        measured=f"{spread:.1%} differs between {len(means)} phrases; mean cosine {cosine:.3f}",
        bound=f"{CONDITION_SPREAD} of it differs",
        symptom="" if done else f"{name} is told {near}the same whatever the phrase is.",
        advice=""
        if done
        else (
            "Begin with a stage of text alone that has a `link_loss`, and see whether its loss "
            "gets near 0."
        ),
        anchor="" if done else "the-queries-are-all-the-same",
        figures={"spread": spread, "cosine": cosine, "phrases": float(len(means))},
    )
