"""One evaluation from a checkpoint to a result card, in one process or in several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..errors import InputError, RoutingError
from ..interfaces import Sample
from ..link import written_tokens
from ..linked.options import NO_OPTIONS, DecoderOptions
from ..tasks.chunks import Chunks, target_names
from ..training import DataChoice
from .answering import Answering, Asking, Routing
from .cards import (
    PaperFigure,
    ResultCard,
    compare,
    draw_cases,
    extreme_cases,
    first_cases,
    versions,
)
from .evaluator import Evaluator
from .identity import file_states
from .notes import notes_of
from .processes import Processes
from .runner import Evaluation, evaluate
from .samples import TaskSamples, read_batches
from .store import RowStore

__all__ = ["Session"]

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
    measure_options: Mapping[str, Any] = field(default_factory=dict)
    """What the evaluator was made with."""
    decoder_options: DecoderOptions = field(default_factory=lambda: NO_OPTIONS)
    """What decoders are asked for, by their names; a `SuperLinkModel` alone takes any."""
    seed: int = 0
    """Of the samples."""
    batch_size: int = 16
    """Samples answered together."""
    max_new_tokens: int = 256
    """Tokens that the LLM may write in an answer."""
    chunks: Chunks | None = None
    """How long lists of classes are asked for; None asks for each list in one question."""
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
            **{"measure": dict(self.measure_options), "seed": self.seed},
            "files": file_states((self.choice.options, self.measure_options)),
            "versions": versions(),
            **self._asked_for(),
        }
        self.check()
        # Forced routing first: it is quick, and shows mistakes that would end the other one too.
        order = sorted(routings, key=lambda routing: routing != "forced")
        found = {
            routing: evaluate(
                self._answering(),
                self.samples,
                self.evaluator,
                routing,
                batch_size=self.batch_size,
                max_new_tokens=self.max_new_tokens,
                chunks=self.chunks,
                progress=self.progress,
                broken=self.broken,
                workers=self.workers,
                folder=None if folder is None else _progress(folder) / routing,
                identity=identity,
                processes=self.processes,
            )
            for routing in order
        }
        return {routing: found[routing] for routing in routings}

    def check(self) -> None:
        """Raise where the model cannot give the answers that are expected.

        Raises:
            RoutingError: No decoder of the model answers to a token of the first answer.
        """
        vocabulary = getattr(self.model, "vocabulary", None)
        first = next((s for s in read_batches(self.samples, 1, [0], 0)), [])
        if vocabulary is None or not first or isinstance(first[0], str):
            return
        try:
            vocabulary.check_bound(written_tokens(first[0].messages[-1].text))
        except RoutingError as error:
            raise RoutingError(
                f"{error} Answers of the task {self.choice.task!r} use it: measure a model that "
                "has such a decoder, or give another token, as --conversation token=[DET]."
            ) from error

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
        folder.mkdir(parents=True, exist_ok=True)
        for routing, evaluation in found.items():
            cases = first_cases(evaluation, self.evaluator)
            cases |= extreme_cases(evaluation, self.evaluator, _NUM_CASES)
            pictures |= draw_cases(
                self._answering(),
                self.samples,
                cases,
                routing,
                folder,
                max_new_tokens=self.max_new_tokens,
                chunks=self.chunks,
            )
        card = ResultCard(
            name=name or f"{self.choice.task} of {self.model_name}",
            command=command,
            seed=self.seed,
            cpu_minutes=None,
            metrics=metrics,
            notes=self.notes(found),
            data=self._data(found),
            prompts=self._prompts(found),
            paper=self.paper(benchmark, found),
            pictures=pictures,
        )
        old = _pictures_of(folder)
        path = card.write(folder)
        for file in old - set(pictures.values()):
            (folder / file).unlink(missing_ok=True)
        for routing in found:
            RowStore.remove_from(_progress(folder) / routing)
        return path

    def _data(self, found: Mapping[Routing, Evaluation]) -> dict[str, Any]:
        first = next(iter(found.values()))
        return {
            "task": self.choice.task,
            "format": self.choice.format,
            "options": {k: str(v) for k, v in self.choice.options.items()},
            "conversation": dict(self.choice.conversation),
            "evaluator": dict(self.measure_options),
            "samples": len(first.measured),
            "samples left out": len(first.broken),
            "records": len(self.samples.records),
            "batch size": self.batch_size,
            **(asdict(self.chunks) if self.chunks else {}),
            **self._asked_for(),
        }

    def _answering(self) -> Answering:
        asked = any(self.decoder_options.values())
        return Asking(self.model, self.decoder_options) if asked else self.model

    def _asked_for(self) -> dict[str, Any]:
        """What replies depend on beside model and data, where it is not as usual."""
        options = {name: dict(given) for name, given in self.decoder_options.items() if given}
        found: dict[str, Any] = {"decoder options": options} if options else {}
        return found | ({"shuffled": True} if self.samples.shuffled else {})

    def notes(self, found: Mapping[Routing, Evaluation]) -> tuple[str, ...]:
        """What a reader of the metrics must know beside them."""
        return tuple(notes_of(self.samples, self.evaluator, found, self.max_new_tokens))

    def _prompts(self, found: Mapping[Routing, Evaluation]) -> tuple[tuple[str, str], ...]:
        broken = next(iter(found.values())).broken
        whole = [i for i in range(len(self.samples)) if i not in broken][:_NUM_PROMPTS]
        samples: list[Sample] = [self.samples[index] for index in whole]
        if self.chunks:
            samples = [p for s in samples for p in self.chunks.split(s, target_names(s))]
        return tuple(
            (s.messages[-2].text_with(""), s.messages[-1].text) for s in samples[:_NUM_PROMPTS]
        )

    def paper(
        self, benchmark: str | None, found: Mapping[Routing, Evaluation]
    ) -> tuple[PaperFigure, ...]:
        """The paper's figures on a set beside the measured ones; none without a set."""
        if benchmark is None:
            return ()
        first = next(iter(found.values()))
        return compare(
            benchmark,
            self.metrics(found),
            num_samples=len(first.measured),
            num_left_out=len(first.broken),
            absent_classes=self._absent_classes(),
        )

    def _absent_classes(self) -> int | str | None:
        """How many absent classes were asked for, where that is not all of them anyway."""
        if self.choice.task not in ("detection", "semantic_segmentation"):
            return None
        asked = self.choice.conversation.get("absent_classes", 3)
        categories = getattr(self.samples.records, "categories", ())
        return None if categories and asked != "all" and len(categories) <= 1 else asked


def _progress(folder: Path) -> Path:
    return folder / "progress"


def _pictures_of(folder: Path) -> set[str]:
    """The pictures of the card that a folder holds already."""
    try:
        return set(ResultCard.read(folder / "card.json").pictures.values())
    except InputError:
        return set()
