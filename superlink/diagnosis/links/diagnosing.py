"""All checks of a linked model on a few samples, and of the run that it comes from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ...errors import InputError
from ...interfaces import Sample
from ...linked import to_device
from ...linked.columns import needed_columns
from ...linked.modes import evaluating
from ...model import SuperLinkModel
from .collapse import Conditions, bank_findings
from .finding import Finding, Status, worst
from .gradients import GradientNorms
from .history import chat_findings, log_findings
from .numbers import BrokenLosses, broken_weights
from .replies import reply_findings
from .rows import row_findings
from .run import Run
from .samples import broken_finding
from .switches import apply_switches, causes, untrained_findings
from .tokens import TokenChances

__all__ = ["LinkDiagnosis", "diagnose_links"]


@dataclass(frozen=True)
class LinkDiagnosis:
    """What was found."""

    num_samples: int
    """Samples that were looked at."""
    findings: tuple[Finding, ...]
    """In the order of the checks."""

    @property
    def status(self) -> Status:
        """The most serious of all."""
        return worst(finding.status for finding in self.findings)

    def with_findings(self, findings: Sequence[Finding]) -> LinkDiagnosis:
        """These findings, and then those of this diagnosis."""
        return replace(self, findings=(*findings, *self.findings))

    def to_json(self) -> dict[str, Any]:
        """The findings in plain JSON types."""
        return {
            "status": self.status,
            "samples": self.num_samples,
            "findings": [finding.to_json() for finding in self.findings],
        }


def diagnose_links(
    model: SuperLinkModel,
    samples: Sequence[Sample],
    *,
    run: Run | None = None,
    num_replies: int = 8,
    batch_size: int = 4,
    seed: int = 0,
    advance: Callable[[int], None] = lambda count: None,
) -> LinkDiagnosis:
    """Look at a linked model from the routing token to the gradient.

    Where weights or losses are no numbers, that leads, and what hangs on them is left out.

    Args:
        model: The model; its switches of training are set to those of the run.
        samples: Conversations with answers and targets, as in training.
        run: Where it comes from; its logs are looked at too.
        num_replies: Samples that it answers by itself.
        batch_size: Samples of a forward.
        seed: Of what decoders draw.
        advance: Told how many samples were done, of all `samples` and those that are answered.
    """
    if run is not None:
        apply_switches(model, run.recipe)
    found = broken_weights(model)
    if not found:
        looks = _Looks(model, causes(run.recipe) if run else ())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for first in range(0, len(samples), batch_size):
                some = samples[first : first + batch_size]
                looks.at(some)
                advance(len(some))
        found += looks.broken.findings()
        found += broken_finding(looks.unusable, len(samples) - len(looks.unusable))
        if not looks.broken.everywhere:
            found += looks.chances.findings()
        if not looks.broken.names:
            found += reply_findings(model, samples[:num_replies], batch_size, advance)
        found += looks.gradients.findings()
        found += bank_findings(model)
        found += looks.conditions.findings()
        found += row_findings(model, None if run is None else run.first_rows())
    if run is not None:
        found += untrained_findings(model, run.recipe)
        logs = [*run.logs()]
        found += [finding for log in logs for finding in log_findings(log)]
        found += chat_findings(logs, run.recipe.chat_guard)
    return LinkDiagnosis(len(samples), tuple(found))


class _Looks:
    """What one forward of each batch shows."""

    def __init__(self, model: SuperLinkModel, reasons: Sequence[str]) -> None:
        self._model = model
        self.chances = TokenChances(model, reasons)
        self.gradients = GradientNorms(model)
        self.conditions = Conditions(model)
        self.broken = BrokenLosses()
        self.unusable: list[str] = []

    def at(self, samples: Sequence[Sample]) -> None:
        """Run a batch; samples that the model cannot take are left out."""
        try:
            batch: dict[str, Any] = {**self._model.processor(samples)}
        except InputError as error:
            if len(samples) > 1:
                for sample in samples:
                    self.at([sample])
            else:
                self.unusable.append(str(error))
            return
        dropped = {*batch.pop("dropped")}
        self.unusable += [f"{key} is longer than max_length" for key in dropped]
        self._run(batch, [sample for sample in samples if sample.key not in dropped])

    def _run(self, batch: dict[str, Any], samples: Sequence[Sample]) -> None:
        """With gradients and without dropout."""
        model = self._model
        batch = to_device(batch, model.device)
        columns = needed_columns(batch["labels"], batch["routes"], model.vocabulary)
        with evaluating(model, gradients=True):
            out = model(**batch)
            if self.broken.add(out.losses, samples):
                return
            self.gradients.add(out.losses)
        self.chances.add(out.logits, columns, batch["labels"])
        self.conditions.add(out.links, batch, samples)
