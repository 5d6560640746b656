"""Run an experiment: every variant with every seed, then one card."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..errors import ConfigError
from ..evaluation.cards import ResultCard
from ..registry import Registry, default_registry
from ..registry.suggestions import suggest
from .experiment import Experiment
from .plotting import check_plotting
from .reporting import spreads_of, write_card
from .runs import Run, RunResult, claim_folder, plan, prepare

__all__ = ["ablate"]


def ablate(
    experiment: Experiment,
    output: str | Path,
    *,
    only: str | None = None,
    command: str = "",
    registry: Registry | None = None,
    progress: bool = True,
) -> ResultCard:
    """Train and measure all variants with all seeds, and write the card of what is finished.

    A run that was finished before is not run again, and one that was stopped goes on.

    Args:
        experiment: What to do.
        output: Folder of the experiment; made where it is missing.
        only: A variant to run alone; the card has finished runs of the others as well.
        command: What rebuilds the card.
        registry: Where names are looked up; None takes everything that is installed.
        progress: Whether to show a bar over the runs.

    Raises:
        ConfigError: There is no variant `only`; a recipe or a measurement cannot be used; several
            processes were started.
        InputError: `output` holds another experiment, or runs of this one before it was changed.
        MissingDependencyError: Something that training, measuring or plotting needs is missing.
    """
    if only is not None and only not in experiment.variants:
        raise ConfigError(
            f"The experiment has no variant {only!r}. {suggest(only, experiment.variants)}"
        )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "Ablations run in one process. Start superlink without a launcher; to share the work, "
            "start it once for each variant, with --only."
        )
    check_plotting()
    output = Path(output)
    registry = registry or default_registry()
    runs = plan(experiment, output)
    for run in runs:
        run.check()
    measurings = prepare(experiment, registry)
    claim_folder(output, experiment.name)
    todo = [run for run in runs if only in (None, run.variant) and run.result() is None]
    with RunBar(len(todo), shown=progress) as bar:
        for run in todo:
            bar.begin(run, "training")
            run.train(registry)
            bar.begin(run, "measuring")
            run.measure(measurings, registry)
            bar.end(run)
            # A metric that is not there shows after the first run, not after the last.
            spreads_of(experiment, _finished(runs))
    results = _finished(runs)
    return write_card(experiment, results, spreads_of(experiment, results), output, command)


def _finished(runs: Sequence[Run]) -> list[tuple[Run, RunResult]]:
    return [(run, result) for run in runs if (result := run.result()) is not None]


class RunBar:
    """A bar over runs; on a pipe it prints a line for each.

    Args:
        total: How many runs there are to do.
        shown: Whether to show anything.
    """

    def __init__(self, total: int, *, shown: bool) -> None:
        self.total, self.shown = total, shown
        self.console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
            disable=not (shown and self.console.is_terminal),
        )
        self.task = self.bar.add_task("ablation", total=total)
        self.done = 0

    def __enter__(self) -> RunBar:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def begin(self, run: Run, doing: str) -> None:
        """Say what is done."""
        self.bar.update(self.task, description=f"{run.name}: {doing}")

    def end(self, run: Run) -> None:
        """Count a run."""
        self.done += 1
        self.bar.update(self.task, completed=self.done)
        if self.shown and self.bar.disable:
            self.console.print(f"{self.done}/{self.total} {run.name}", highlight=False)
