"""One run of an experiment: a variant, trained with a seed and measured; resumable."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..build import load
from ..errors import InputError
from ..evaluation.cards import versions
from ..evaluation.evaluator import Evaluator
from ..evaluation.identity import folder_digest
from ..evaluation.making import make_evaluator
from ..evaluation.samples import TaskSamples
from ..evaluation.session import Session
from ..registry import Registry
from ..tasks.chunks import Chunks
from ..training import Recipe, train
from ..training.dataset import open_data
from .experiment import Experiment, Measurement

__all__ = ["CHAT", "MINUTES", "Measuring", "Run", "RunResult", "claim_folder", "plan", "prepare"]

MINUTES = "training/CPU_minutes"
"""What stands beside the metrics of a run."""
CHAT = "training/chat_loss_rise"
"""And this, where the recipe has a `chat_guard`: nats per token, from before the first stage on."""


@dataclass(frozen=True)
class Measuring:
    """A measurement with its samples read and its evaluator made, for all runs."""

    asked: Measurement
    """What the experiment says."""
    samples: TaskSamples
    """The samples."""
    evaluator: Evaluator
    """What measures."""

    def session(self, model: Any, name: str) -> Session:
        """The measurement of one model."""
        asked = self.asked
        many = asked.classes_per_reply
        return Session(
            model,
            name,
            asked,
            self.samples,
            self.evaluator,
            measure_options=asked.measure,
            decoder_options=asked.decoder,
            seed=asked.seed,
            batch_size=asked.batch_size,
            max_new_tokens=asked.max_new_tokens,
            chunks=Chunks(many, asked.max_per_image) if many else None,
            progress=False,
        )


@dataclass(frozen=True)
class RunResult:
    """What a run gave."""

    metrics: Mapping[str, float]
    """`MEASUREMENT/METRIC/ROUTING` to value; `MINUTES`, and `CHAT` where there is one."""
    notes: tuple[str, ...]
    """What a reader of the metrics must know."""
    samples: Mapping[str, int]
    """By measurement, how many samples were measured."""


@dataclass(frozen=True)
class Run:
    """A variant with a seed."""

    variant: str
    """Name of the variant."""
    recipe: Recipe
    """What is trained; its seed is that of the run."""
    folder: Path
    """Where all of it lies."""
    identity: Mapping[str, Any]
    """What its result depends on, in JSON types."""

    @property
    def name(self) -> str:
        """The run as bars call it."""
        return f"{self.variant}, seed {self.recipe.seed}"

    def check(self) -> None:
        """Raise where the folder holds a run of something else.

        Raises:
            InputError: It does.
        """
        found = _read(self.folder / "run.json")
        if found is not None and found != self.identity:
            changed = [k for k, v in self.identity.items() if found.get(k) != v]
            raise InputError(
                f"{self.folder} holds a run with other {' and '.join(changed)}: the experiment, or "
                "what is installed, has changed since. Choose another --output, or remove this "
                "folder to run it anew."
            )

    def result(self) -> RunResult | None:
        """What a finished run gave; None where it is not finished."""
        found = _read(self.folder / "result.json")
        if found is None:
            return None
        return RunResult(found["metrics"], tuple(found["notes"]), found["samples"])

    def train(self, registry: Registry) -> None:
        """Train the variant, or go on with it."""
        _write(self.folder / "run.json", self.identity)
        if not (self.folder / "trained.json").is_file():
            done = train(self.recipe, self.folder / "training", registry=registry, progress=False)
            told = {MINUTES: done.cpu_minutes}
            if guarded := [*done.chat_losses.values()]:
                told[CHAT] = guarded[-1] - guarded[0]
            _write(self.folder / "trained.json", told)

    def measure(self, measurings: Mapping[str, Measuring], registry: Registry) -> None:
        """Measure what was trained, or go on with it."""
        source = self.folder / "training" / "model"
        digest = folder_digest(source)
        model = load(source, registry, device="cuda" if torch.cuda.is_available() else "cpu")
        rows = self.folder / "measuring"
        metrics: dict[str, float] = {}
        notes: list[str] = []
        samples: dict[str, int] = {}
        for name, measuring in measurings.items():
            session = measuring.session(model, self.name)
            found = session.measure(measuring.asked.routings, rows / name, digest)
            for routing, evaluation in found.items():
                metrics |= {f"{name}/{k}/{routing}": v for k, v in evaluation.metrics.items()}
                samples[name] = len(evaluation.measured)
            notes += [f"{name}, {note}" for note in session.notes(found)]
        metrics |= _read(self.folder / "trained.json")
        content = {"metrics": metrics, "notes": notes, "samples": samples}
        _write(self.folder / "result.json", content)
        shutil.rmtree(rows)


def plan(experiment: Experiment, output: Path) -> list[Run]:
    """All runs, seed by seed: a first comparison of all variants is there early."""
    measured = {
        name: asked.model_dump(mode="json", exclude={"metrics"})
        for name, asked in experiment.measurements.items()
    }
    surroundings = versions()
    runs = []
    for seed in experiment.seeds:
        for variant in experiment.variants:
            recipe = experiment.recipe_of(variant, seed)
            identity = {
                "recipe": recipe.model_dump(mode="json"),
                "measurements": measured,
                "versions": surroundings,
            }
            folder = output / "runs" / variant / f"seed-{seed}"
            runs.append(Run(variant, recipe, folder, identity))
    return runs


def prepare(experiment: Experiment, registry: Registry) -> dict[str, Measuring]:
    """Open all data that is measured on: mistakes in them show before anything is trained."""
    measurings = {}
    for name, asked in experiment.measurements.items():
        evaluator = make_evaluator(asked.task, asked.measure, registry)
        evaluator.check()
        samples = TaskSamples(
            *open_data(asked, registry), asked.limit, asked.seed, shuffled=asked.shuffled
        )
        measurings[name] = Measuring(asked, samples, evaluator)
    return measurings


def claim_folder(output: Path, name: str) -> None:
    """Write into a new folder whose it is.

    Raises:
        InputError: It is another experiment's, or cannot be written to.
    """
    path = output / "experiment.json"
    found = _read(path)
    if found is not None and found != {"name": name}:
        raise InputError(
            f"{output} holds the experiment {found.get('name')!r}. Received: {name!r}. Choose "
            "another --output, or remove the folder."
        )
    if found is None and output.is_dir() and any(output.iterdir()):
        raise InputError(
            f"{output} holds something that is no experiment. Choose another --output."
        )
    _write(path, {"name": name})


def _read(path: Path) -> Any:
    """The content of a JSON file; None where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"Expected a JSON file. Received: {path} ({error})") from error


def _write(path: Path, content: Any) -> None:
    """Write a JSON file, whole or not at all."""
    fresh = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(content, indent=1), encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise InputError(
            f"Expected a folder that can be written to. Received: {path.parent} ({error.strerror})"
        ) from error
