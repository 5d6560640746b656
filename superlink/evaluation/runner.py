"""Let a model answer a set of samples, and measure the replies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import track

from ..errors import ConfigError, InputError
from ..interfaces import Reply, Sample
from ..tasks.chunks import Chunks, target_names
from ..tasks.phrasing import escape_controls
from .answering import Answering, Routing, Weighing
from .evaluator import Evaluator, Row
from .processes import Processes
from .samples import ReadSample, read_batches
from .store import RowStore

__all__ = ["Answering", "Evaluation", "ask", "evaluate", "question"]

_BROKEN, _CUT, _FAILED = "broken", "cut", "failed"
_LIKELIHOODS = "likelihoods"
_ROW_FORMAT = 2
"""Grows when rows of an older superlink can no longer be summed up."""


@dataclass(frozen=True)
class Evaluation:
    """What was measured."""

    metrics: dict[str, float]
    """Over all samples that could be read, by name."""
    rows: tuple[Row, ...]
    """What each sample added, in their order; `{"broken": reason}` for one that was left out.
    Beside what the evaluator measured, `cut` says that the answer ran into `max_new_tokens`,
    `failed` how many of its calls could not be served, and `likelihoods` how likely the model would
    write each of `Evaluator.candidates`, where there are some."""

    @property
    def broken(self) -> dict[int, str]:
        """Index of each sample that was left out, and why."""
        return {i: row[_BROKEN] for i, row in enumerate(self.rows) if _BROKEN in row}

    @property
    def measured(self) -> tuple[Row, ...]:
        """The rows of the samples that were not left out."""
        return tuple(row for row in self.rows if _BROKEN not in row)

    @property
    def num_cut(self) -> int:
        """How many answers ran into `max_new_tokens`."""
        return sum(row[_CUT] for row in self.measured)

    @property
    def num_failed(self) -> int:
        """How many calls could not be served."""
        return sum(row[_FAILED] for row in self.measured)


def evaluate(
    model: Answering,
    samples: Sequence[Sample],
    evaluator: Evaluator,
    routing: Routing,
    *,
    batch_size: int = 16,
    max_new_tokens: int = 256,
    chunks: Chunks | None = None,
    progress: bool = True,
    broken: Literal["error", "skip"] = "error",
    workers: int = 0,
    folder: Path | None = None,
    identity: Mapping[str, Any] | None = None,
    processes: Processes | None = None,
) -> Evaluation:
    """Measure a model.

    Batches are the same on any number of processes, and so is every number that comes out.

    Args:
        model: What answers.
        samples: With targets; each ends with the answer template. They are taken one batch at a
            time, so that a sequence may make them when it is asked.
        evaluator: What measures.
        routing: `generated` hides the answer template, and the LLM writes its own; `forced` gives
            it, so that the decoders are measured alone.
        batch_size: Samples answered together.
        max_new_tokens: Tokens that the LLM may write in an answer.
        chunks: How long lists of classes are asked for; None asks for each list in one question.
        progress: Whether to show a bar.
        broken: Whether a sample that cannot be made raises, or is left out and counted.
        workers: Processes that read samples ahead.
        folder: Where to keep what is done, so that an evaluation that was stopped goes on; several
            processes need one. It is the caller's to remove.
        identity: What else the replies depend on, in JSON types, for instance the model's path:
            `folder` goes on with an evaluation of the same identity alone.
        processes: Of `started_processes`; None is this one alone.

    Raises:
        ConfigError: `batch_size` is less than 1, or several processes have no folder.
        InputError: A sample has no answer to hide, cannot be made, or lists its classes in words
            that `chunks` cannot part; `folder` holds another evaluation.
        MissingDependencyError: The evaluator needs a package that is not installed.
    """
    evaluator.check()
    evaluator = evaluator.knowing(model)
    processes = processes or Processes()
    if batch_size < 1:
        raise ConfigError(f"batch_size must be at least 1. Received: {batch_size}")
    if processes.count > 1 and folder is None:
        raise ConfigError(
            f"{processes.count} processes share their results in a folder. Received: folder=None"
        )
    num_batches = -(-len(samples) // batch_size)
    settings = {
        **(identity or {}),
        **{"num_samples": len(samples), "batch_size": batch_size, "routing": routing},
        **{"max_new_tokens": max_new_tokens, "row_format": _ROW_FORMAT},
        **(asdict(chunks) if chunks else {}),
    }
    store = RowStore(folder, settings, processes) if folder is not None else None
    kept: list[Row] = []
    todo = store.left(num_batches) if store else list(range(num_batches))
    read = read_batches(samples, batch_size, todo, workers)

    def answer(some: Sequence[Sample]) -> list[Reply]:
        return ask(
            model,
            some,
            routing,
            max_new_tokens=max_new_tokens,
            chunks=chunks,
            batch_size=batch_size,
        )

    def weigh(sample: Sample) -> dict[str, float]:
        names = evaluator.candidates(sample) if routing == "forced" else ()
        if not names or not isinstance(model, Weighing):
            return {}
        texts = [escape_controls(name) for name in names]
        found = model.likelihoods(question(sample), texts, batch_size=batch_size)
        return dict(zip(names, found, strict=True))

    for index in _with_bar(todo, routing) if progress and processes.rank == 0 else todo:
        rows = _measure(answer, weigh, next(read), evaluator, broken == "skip")
        if store:
            store.add(index, rows)
        else:
            kept += rows
    rows = store.gather(num_batches) if store else kept
    metrics = evaluator.summarize([row for row in rows if _BROKEN not in row])
    return Evaluation(metrics, tuple(rows))


def ask(
    model: Answering,
    samples: Sequence[Sample],
    routing: Routing,
    *,
    max_new_tokens: int = 256,
    chunks: Chunks | None = None,
    batch_size: int = 16,
) -> list[Reply]:
    """The replies of a model to samples whose answers it may see with forced routing alone.

    See `evaluate` for the arguments; `batch_size` limits what is answered together in `chunks`.
    """
    asked = samples if routing == "forced" else [question(sample) for sample in samples]

    def answer(some: Sequence[Sample]) -> list[Reply]:
        return model.answer(some, routing, max_new_tokens=max_new_tokens)

    if not asked or chunks is None:
        return answer(asked) if asked else []
    return chunks.answer(answer, asked, [*map(target_names, samples)], batch_size=batch_size)


def question(sample: Sample) -> Sample:
    """The sample up to its last answer, without the targets.

    Raises:
        InputError: No message of it is an answer.
    """
    answers = [i for i, message in enumerate(sample.messages) if message.role == "assistant"]
    if not answers:
        raise InputError(
            "A sample to measure ends with the answer that is expected. Received: roles="
            f"{[message.role for message in sample.messages]}, key={sample.key!r}"
        )
    kept = sample.messages[: answers[-1]]
    images = sum(message.num_images for message in kept)
    regions = sample.regions[: sum(message.num_regions for message in kept)]
    return Sample(
        kept, sample.images[:images], sample.geometries[:images], key=sample.key, regions=regions
    )


def _with_bar(batches: Iterable[int], routing: Routing) -> Iterable[int]:
    return track(batches, f"evaluating, {routing} routing", console=Console(stderr=True))


def _measure(
    answer: Callable[[Sequence[Sample]], list[Reply]],
    weigh: Callable[[Sample], dict[str, float]],
    batch: Sequence[ReadSample],
    evaluator: Evaluator,
    skip: bool,
) -> list[Row]:
    whole = [sample for sample in batch if isinstance(sample, Sample)]
    if len(whole) < len(batch) and not skip:
        raise InputError(next(reason for reason in batch if isinstance(reason, str)))
    replies = iter(answer(whole))
    rows: list[Row] = []
    for sample in batch:
        if isinstance(sample, str):
            rows.append({_BROKEN: sample})
        else:
            rows.append(_row(evaluator, sample, next(replies), weigh(sample)))
    return rows


def _row(evaluator: Evaluator, sample: Sample, reply: Reply, likelihoods: dict[str, float]) -> Row:
    """What an evaluator says of a reply, as it comes back from a file: nothing depends on where it
    has been."""
    row: Any = evaluator.measure(sample, reply)
    try:
        found = {**row, _CUT: not reply.complete, _FAILED: len(reply.failures)}
        found |= {_LIKELIHOODS: likelihoods} if likelihoods else {}
        kept: Row = json.loads(json.dumps(found))
    except TypeError as error:
        raise ConfigError(
            f"{type(evaluator).__name__}.measure returns a mapping of text to JSON types: text, "
            f"numbers, lists, mappings. Received: {error}. Turn tensors into lists, .tolist()"
        ) from error
    return kept
