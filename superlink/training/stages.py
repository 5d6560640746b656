"""Run a recipe, stage after stage, and go on where an earlier run was stopped."""

from __future__ import annotations

import logging
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers.trainer_utils import set_seed
from transformers.utils.import_utils import is_accelerate_available

from ..build import build_model, restore
from ..checkpoint import save
from ..errors import MissingDependencyError, SuperLinkError
from ..model import SuperLinkModel
from ..registry import Registry, default_registry
from .arguments import stage_arguments
from .checkpoints import newest_whole, remove_after
from .dataset import Source, open_data
from .guard import chat_loss
from .mixture import stage_samples
from .parameters import freeze
from .processes import everywhere, first_does, from_first, is_cut, is_first, join, num_processes
from .recipe import ChatGuard, Recipe
from .reporting import check_loggers, set_log_folder
from .run_folder import RunFolder
from .starting import start_from
from .trainer import SuperLinkTrainer

__all__ = ["TrainingResult", "train"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """What a run gave."""

    model: SuperLinkModel
    """The trained model."""
    folder: Path
    """Its checkpoint."""
    history: tuple[Mapping[str, Any], ...]
    """What was logged, with the name of its stage."""
    cpu_minutes: float
    """Processor time of training, all threads together; what a kill threw away does not count."""
    chat_losses: Mapping[str, float]
    """What the recipe's `chat_guard` measured: `before` the first stage, then after each, by name;
    nats per token. Empty without one."""


def train(
    recipe: Recipe,
    output: str | Path,
    *,
    half: bool = False,
    registry: Registry | None = None,
    progress: bool = True,
    report_to: Sequence[str] = (),
) -> TrainingResult:
    """Train a recipe; the model ends up in `output`/model.

    A stage that was finished before is not run again, and one that was stopped goes on from its
    last whole checkpoint. All data sets are opened, and so checked, before anything is written.
    Under a launcher, as `accelerate launch`, every process calls this with the same arguments; the
    first one writes.

    Args:
        recipe: What to do.
        output: Folder of the run; made where it is missing.
        half: Whether the trained model is stored in 16 bits, see `superlink.checkpoint.save`.
        registry: Where names are looked up; None takes everything that is installed.
        progress: Whether to show a bar.
        report_to: Loggers of transformers beside the run's own log, as `tensorboard`.

    Raises:
        ConfigError: The samples of a step cannot be dealt to the processes, or there is no such
            logger.
        InputError: `output` holds the run of another recipe, or data cannot be used.
        MissingDependencyError: accelerate, or the package of a logger, is not installed.
        TrainingError: A loss or a gradient is no finite number, or another process trains in
            `output`.
    """
    if not is_accelerate_available():
        raise MissingDependencyError(
            "Training needs accelerate, which is not installed. Run: pip install 'superlink[train]'"
        )
    loggers = check_loggers(report_to)
    join()
    folder = RunFolder(Path(output), recipe)
    try:
        _claim(folder, make=False)
        model = _Run(folder, registry or default_registry(), progress, loggers).train()
        first_does(lambda: save(model, folder.model, half=half))
    finally:
        folder.lock.free()
    logs = folder.read_logs()
    stages = zip(recipe.stages, logs, strict=True)
    chat = {stage.name: log["chat_loss"] for stage, log in stages if "chat_loss" in log}
    if recipe.chat_guard is not None:
        chat = {"before": logs[0]["chat_loss_before"], **chat}
        _warn_of_rise(chat, recipe.chat_guard)
    return TrainingResult(
        model=model.eval(),
        folder=folder.model,
        history=tuple(entry for log in logs for entry in log["history"]),
        cpu_minutes=sum(log["cpu_minutes"] for log in logs),
        chat_losses=chat,
    )


def _warn_of_rise(losses: Mapping[str, float], guard: ChatGuard) -> None:
    before, *_, after = losses.values()
    if guard.max_rise is not None and after - before > guard.max_rise:
        _LOG.warning(
            "The loss on the text of %r rose from %.3f to %.3f nats per token; the recipe allows "
            "%.3f. The LLM forgets how to talk: mix text into the stages, or train less of it.",
            guard.data,
            before,
            after,
            guard.max_rise,
        )


def _claim(folder: RunFolder, *, make: bool = True) -> None:
    """Let the first process claim a folder; where it cannot, all raise."""
    problem: SuperLinkError | None = None
    if is_first():
        try:
            folder.claim(make=make)
        except SuperLinkError as error:
            problem = error
    if (problem := from_first(problem)) is not None:
        raise problem


def _clean_start(folder: Path) -> Path | None:
    """The checkpoint from which a stage goes on; what comes after it is of no use."""
    newest = newest_whole(folder)
    remove_after(folder, newest)
    return newest


class _Run:
    """One call of `train`."""

    def __init__(
        self, folder: RunFolder, registry: Registry, progress: bool, loggers: Sequence[str]
    ) -> None:
        self.folder, self.recipe, self.registry = folder, folder.recipe, registry
        self.progress, self.loggers = progress, loggers
        unfinished = [i for i, _ in enumerate(folder.stages) if not folder.is_finished(i)]
        self.left = from_first(unfinished)
        self.sources = self._open_sources()
        everywhere(None)  # all have looked at the folder before the first one writes

    def train(self) -> SuperLinkModel:
        """Run the stages that are left."""
        set_seed(self.recipe.seed)
        model = build_model(self.recipe.model, self.registry)
        start = self.recipe.start
        if start is not None and len(self.left) == len(self.folder.stages):
            start_from(model, start, self.recipe.start_parts, self.registry)
        _claim(self.folder)
        fixed = frozenset(name for name, p in model.named_parameters() if not p.requires_grad)
        for index, folder in enumerate(self.folder.stages):
            if index in self.left:
                model = self._run_stage(model, index, fixed)
            else:
                restore(model, folder / "model", self.registry)
        return model

    def _run_stage(
        self, model: SuperLinkModel, index: int, fixed: frozenset[str]
    ) -> SuperLinkModel:
        stage, folder = self.recipe.stages[index], self.folder.stages[index]
        seed = self.recipe.stage_seed(index)
        before = {} if index else self._chat_loss(model, "chat_loss_before")
        arguments = stage_arguments(stage, folder, seed, self.loggers)
        samples = stage_samples(self.sources, stage, seed, skip_bad=stage.max_bad_samples > 0)
        freeze(model, stage, fixed)
        model.backbone.checkpoint_activations(stage.gradient_checkpointing)
        model.stop_gradient, model.lm_weight = stage.stop_gradient, stage.lm_weight
        model.idle = num_processes() > 1
        trainer = SuperLinkTrainer(
            model, arguments, stage, samples, registry=self.registry, progress=self.progress
        )
        set_log_folder(trainer, self.folder.path / "logs" / folder.name)
        trainer.run(from_first(_clean_start(folder) if is_first() else None))
        if trainer.average is not None:
            trainer.average.apply()
        model.backbone.checkpoint_activations(False)
        model.stop_gradient, model.lm_weight, model.idle = False, 1.0, False
        if is_cut(model):
            model = self._made_whole(trainer, folder)
        log = {
            "history": [{**entry, "stage": stage.name} for entry in trainer.state.log_history],
            "cpu_minutes": trainer.cpu_seconds / 60,
            "dropped": trainer.num_dropped,
            "bad": trainer.num_bad,
            **before,
            **self._chat_loss(model, "chat_loss"),
        }
        first_does(lambda: self._finish(model, index, log))
        return model

    def _finish(self, model: SuperLinkModel, index: int, log: Mapping[str, Any]) -> None:
        """Write what a stage leaves."""
        self.folder.write_log(index, log)
        save(model, self.folder.stages[index] / "model")

    def _made_whole(self, trainer: SuperLinkTrainer, folder: Path) -> SuperLinkModel:
        """The model without the pieces of an engine."""
        whole = folder / ".whole"
        trainer.write_model(whole)
        everywhere(None)
        model = build_model(self.recipe.model, self.registry)
        restore(model, whole, self.registry)
        everywhere(None)
        if is_first():
            shutil.rmtree(whole)
        return model

    def _open_sources(self) -> dict[str, Source]:
        """The data sets of all stages that are not finished, and of the guard, each opened once."""
        names = [name for index in self.left for name in self.recipe.stages[index].names]
        if self.recipe.chat_guard is not None and self.left:
            names.append(self.recipe.chat_guard.data)
        data = self.recipe.data
        return {name: open_data(data[name], self.registry) for name in dict.fromkeys(names)}

    def _chat_loss(self, model: SuperLinkModel, key: str) -> dict[str, float]:
        """What the guard measures now, under a key; nothing without a guard."""
        guard = self.recipe.chat_guard
        if guard is None:
            return {}
        records, conversation = self.sources[guard.data]
        draws = (random.Random(f"{self.recipe.seed}-{i}") for i in range(guard.samples))
        samples = [
            conversation(records[i % len(records)], draw, False) for i, draw in enumerate(draws)
        ]
        return {key: from_first(chat_loss(model, samples) if is_first() else 0.0)}
