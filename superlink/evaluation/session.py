"""One evaluation from a checkpoint to a result card, in one process or in several."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..errors import InputError
from ..training import DataChoice
from .cards import ResultCard, compare, draw_cases, extreme_cases, versions
from .evaluator import Evaluator
from .processes import Processes
from .runner import Answering, Evaluation, Routing, evaluate
from .samples import TaskSamples

__all__ = ["Session", "folder_digest"]

_NUM_CASES = 4
_NUM_PROMPTS = 3


@dataclass(frozen=True)
class Session:
    """A model and a task that it is measured on."""

    model: Answering
    """What answers."""
    model_name: str
    """How cards call it."""
    choice: DataChoice
    """The data, as a recipe would name them."""
    samples: TaskSamples
    """Their samples."""
    evaluator: Evaluator
    """What measures."""
    seed: int = 0
    """Of the samples."""
    batch_size: int = 16
    """Samples answered together."""
    max_new_tokens: int = 256
    """Tokens that the LLM may write in an answer."""
    broken: Literal["error", "skip"] = "error"
    """Whether a sample that cannot be made raises, or is left out and counted."""
    workers: int = 0
    """Processes that read samples ahead."""
    progress: bool = True
    """Whether to show bars."""
    processes: Processes = field(default_factory=Processes)
    """What runs this together."""

    def measure(
        self, routings: Sequence[Routing], folder: Path | None = None, digest: str = ""
    ) -> dict[Routing, Evaluation]:
        """Measure with each kind of routing.

        Args:
            routings: Kinds of routing, one after the other.
            folder: Where what is done is kept, so that the same call goes on after a kill.
            digest: Of the model's files: a folder with replies of other weights is refused.
        """
        identity = {
            **{"model": digest, "data": self.choice.model_dump(mode="json")},
            **{"seed": self.seed, "versions": versions()},
        }
        return {
            routing: evaluate(
                self.model,
                self.samples,
                self.evaluator,
                routing,
                batch_size=self.batch_size,
                max_new_tokens=self.max_new_tokens,
                progress=self.progress,
                broken=self.broken,
                workers=self.workers,
                folder=None if folder is None else _progress(folder) / routing,
                identity=identity,
                processes=self.processes,
            )
            for routing in routings
        }

    def metrics(self, found: Mapping[Routing, Evaluation]) -> dict[str, float]:
        """`task/metric/routing` to value."""
        return {
            f"{self.choice.task}/{name}/{routing}": value
            for routing, evaluation in found.items()
            for name, value in evaluation.metrics.items()
        }

    def write_card(
        self,
        found: Mapping[Routing, Evaluation],
        folder: Path,
        command: str,
        *,
        name: str | None = None,
        benchmark: str | None = None,
    ) -> Path:
        """Write the card and its pictures; then remove what an interrupted run would go on from.

        Args:
            found: What was measured.
            folder: Gets `card.json`, `card.md` and the pictures.
            command: What rebuilds the card.
            name: What the card calls itself; None takes task and model.
            benchmark: A set of `benchmark_names()` whose figures of the paper stand beside.
        """
        metrics = self.metrics(found)
        pictures: dict[str, str] = {}
        for routing, evaluation in found.items():
            cases = extreme_cases(evaluation, self.evaluator, _NUM_CASES)
            pictures |= draw_cases(
                self.model,
                self.samples,
                cases,
                routing,
                folder,
                max_new_tokens=self.max_new_tokens,
            )
        card = ResultCard(
            name=name or f"{self.choice.task} of {self.model_name}",
            command=command,
            seed=self.seed,
            cpu_minutes=None,
            metrics=metrics,
            notes=self._notes(found),
            data=self._data(found),
            prompts=self._prompts(found),
            paper=self._paper(benchmark, metrics),
            pictures=pictures,
        )
        path = card.write(folder)
        shutil.rmtree(_progress(folder), ignore_errors=True)
        return path

    def _data(self, found: Mapping[Routing, Evaluation]) -> dict[str, Any]:
        first = next(iter(found.values()))
        return {
            "task": self.choice.task,
            "format": self.choice.format,
            "options": {k: str(v) for k, v in self.choice.options.items()},
            "conversation": dict(self.choice.conversation),
            "samples": len(self.samples),
            "left out": len(first.broken),
            "records": len(self.samples.records),
            "batch size": self.batch_size,
        }

    def _notes(self, found: Mapping[Routing, Evaluation]) -> tuple[str, ...]:
        notes = [
            f"{routing} routing: {remark}"
            for routing, evaluation in found.items()
            for remark in self.evaluator.remarks(
                [row for i, row in enumerate(evaluation.rows) if i not in evaluation.broken]
            )
        ]
        problems = getattr(self.samples.records, "problems", ())
        reasons = problems.reasons() if problems else {}
        notes += [f"{count} items of the data were left out: {r}" for r, count in reasons.items()]
        broken = next(iter(found.values())).broken
        notes += [f"sample {index} was left out: {reason}" for index, reason in broken.items()]
        return tuple(notes)

    def _prompts(self, found: Mapping[Routing, Evaluation]) -> tuple[tuple[str, str], ...]:
        broken = next(iter(found.values())).broken
        whole = [i for i in range(len(self.samples)) if i not in broken][:_NUM_PROMPTS]
        asked = [self.samples[index].messages for index in whole]
        return tuple((messages[-2].text, messages[-1].text) for messages in asked)

    def _paper(self, benchmark: str | None, metrics: Mapping[str, float]) -> Any:
        if benchmark is None:
            return ()
        return compare(
            benchmark,
            metrics,
            num_samples=len(self.samples),
            absent_classes=self.choice.conversation.get("absent_classes", 3)
            if self.choice.task == "detection"
            else None,
        )


def folder_digest(folder: Path) -> str:
    """A digest that changes when a file of a folder does: of names, sizes and times.

    Raises:
        InputError: There is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"Expected the folder of a model. Received: {str(folder)!r}")
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        stat = path.stat()
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _progress(folder: Path) -> Path:
    return folder / "progress"
