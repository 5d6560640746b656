"""A bar for a stage, with the losses that matter beside it."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

__all__ = ["StageProgress"]


class StageProgress(TrainerCallback):
    """Shows how far a stage is; on a pipe it prints a line at each tenth.

    Args:
        name: Name of the stage.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.losses = ""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the bar."""
        self.task = self.bar.add_task(self.name, total=state.max_steps, losses="")
        self.bar.start()

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take the newest losses."""
        logs = kwargs.get("logs", {})
        shown = {"loss": logs.get("loss"), "lm": logs.get("loss/lm")}
        self.losses = "  ".join(f"{k} {float(v):.3f}" for k, v in shown.items() if v is not None)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Move the bar."""
        self.bar.update(self.task, completed=state.global_step, losses=self.losses)
        tenth = max(1, state.max_steps // 10)
        if self.bar.disable and state.global_step % tenth == 0:
            line = f"{self.name} {state.global_step}/{state.max_steps} {self.losses}"
            self.console.print(line, highlight=False)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End the bar."""
        self.close()

    def close(self) -> None:
        """Give the terminal back, also where training was interrupted."""
        self.bar.stop()
