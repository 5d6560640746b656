"""A bar for a stage, with the losses of its tasks and its pace beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from .monitor import RATES

__all__ = ["StageProgress", "task_losses"]


def task_losses(logs: Mapping[str, Any]) -> dict[str, float]:
    """The losses of a log by task: `loss`, `lm`, `link`, and the sum of each decoder's parts.

    A decoder is called by the last part of its name, where no other one has the same.
    """
    sums: dict[str, float] = {}
    for key, value in logs.items():
        path = key.split("/")
        if path[0] == "loss" and path[-1] != "idle":
            name = path[min(1, len(path) - 1)]
            sums[name] = sums.get(name, 0.0) + float(value)
    short = _short_names(sums)
    return {short[name]: value for name, value in sums.items()}


def _short_names(names: Iterable[str]) -> dict[str, str]:
    last = {name: name.rpartition(".")[2] for name in names}
    counts = Counter(last.values())
    return {name: short if counts[short] == 1 else name for name, short in last.items()}


class StageProgress(TrainerCallback):
    """Shows how far a stage is; on a pipe it prints a line at each tenth.

    Args:
        name: Name of the stage.
        console: Where to show it; None takes the standard error.
    """

    def __init__(self, name: str, console: Console | None = None) -> None:
        self.name = name
        self.console = console or Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[news]}", markup=False),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.news = ""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the bar."""
        self.task = self.bar.add_task(self.name, total=state.max_steps, news="")
        self.bar.start()

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take the newest losses, and the pace."""
        logs = kwargs.get("logs", {})
        losses = task_losses(logs)
        if not losses:
            return  # the last log of the Trainer, a summary
        shown = [f"{name} {value:.3f}" for name, value in losses.items()]
        if (pace := logs.get(RATES[0])) is not None:
            shown.append(f"{pace:.1f} samples/s" if pace < 100 else f"{pace:.0f} samples/s")
        self.news = "  ".join(shown)
        self.bar.update(self.task, news=self.news)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Move the bar."""
        self.bar.update(self.task, completed=state.global_step, news=self.news)
        tenth = max(1, state.max_steps // 10)
        if self.bar.disable and state.global_step % tenth == 0:
            line = f"{self.name} {state.global_step}/{state.max_steps} {self.news}"
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End the bar."""
        self.close()

    def close(self) -> None:
        """Give the terminal back, also where training was interrupted."""
        self.bar.stop()
