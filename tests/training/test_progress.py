"""The bar of a stage: losses by task, and the pace."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from superlink.training.progress import StageProgress, task_losses

LOGS = {
    "loss": 3.0,
    "grad_norm": 1.0,
    "loss/lm": 0.5,
    "loss/link": 0.25,
    "loss/mmdet.dino/cls": 1.0,
    "loss/mmdet.dino/box": 0.5,
    "loss/mmdet.dino/idle": 9.0,
    "loss/regions/idle": 0.0,
    "samples_per_second": 12.34,
}


def test_losses_of_a_decoder_are_one_task():
    shown = {"loss": 3.0, "lm": 0.5, "link": 0.25, "dino": 1.5}
    assert task_losses(LOGS) == pytest.approx(shown)


def test_decoders_of_one_last_name_keep_both_names():
    assert set(task_losses({"loss/a.box/x": 1, "loss/b.box/x": 1})) == {"a.box", "b.box"}


def shown_by(*, terminal):
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=120, height=20)
    progress = StageProgress("joint", console)
    state = SimpleNamespace(max_steps=20, global_step=0)
    progress.on_train_begin(None, state, None)
    for step in range(1, 5):
        state.global_step = step
        progress.on_step_end(None, state, None)
        if step == 1:
            progress.on_log(None, state, None, logs=dict(LOGS))
    progress.on_log(None, state, None, logs={"train_runtime": 3.0})
    progress.on_train_end(None, state, None)
    return file.getvalue()


def test_pipe_gets_a_line_at_each_tenth():
    news = "loss 3.000  lm 0.500  link 0.250  dino 1.500  12.3 samples/s"
    assert shown_by(terminal=False).splitlines() == [f"joint 2/20 {news}", f"joint 4/20 {news}"]


def test_terminal_gets_a_bar_with_tasks_and_pace():
    shown = shown_by(terminal=True)
    assert "joint" in shown and "dino 1.500" in shown and "12.3 samples/s" in shown
