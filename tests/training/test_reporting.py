"""Reporting to TensorBoard: real files, in one folder, under the names of the log."""

from __future__ import annotations

import pytest
from transformers import TrainingArguments
from transformers.integrations import integration_utils

from superlink.errors import ConfigError, MissingDependencyError
from superlink.training.reporting import check_loggers, set_log_folder

LOGS = {"loss": 1.0, "loss/toy.detection/l1": 0.5, "grad_norm/decoder toy.detection": 2.0}


def report(folder, step):
    """A Trainer that logs once, as ours does."""
    from torch import nn
    from transformers import Trainer

    arguments = TrainingArguments(
        output_dir=str(folder / "stage"), report_to=check_loggers(["tensorboard"]), use_cpu=True
    )
    trainer = Trainer(nn.Linear(1, 1), arguments)
    set_log_folder(trainer, folder / "tensorboard")
    trainer.state.is_world_process_zero = True
    trainer.state.global_step = step
    handler = trainer.callback_handler
    handler.on_train_begin(arguments, trainer.state, trainer.control)
    trainer.log(dict(LOGS))
    handler.on_train_end(arguments, trainer.state, trainer.control)


def test_tensorboard_of_a_stage_that_goes_on_is_one_folder(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    report(tmp_path, 1)
    report(tmp_path, 2)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert set(events.Tags()["scalars"]) >= {f"train/{name}" for name in LOGS}
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2]
    assert not list((tmp_path / "stage").rglob("events*"))


def test_folder_of_the_environment_comes_first(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "other"))
    report(tmp_path, 1)
    assert list((tmp_path / "other").glob("events*"))
    assert not (tmp_path / "tensorboard").exists()


def test_unknown_logger_gets_a_hint():
    with pytest.raises(ConfigError, match="Did you mean 'tensorboard'"):
        check_loggers(["tensorbord"])


def test_missing_logger_names_the_cure(monkeypatch):
    monkeypatch.setattr(integration_utils, "is_tensorboard_available", lambda: False)
    with pytest.raises(MissingDependencyError, match=r"pip install 'superlink\[log\]'"):
        check_loggers(["tensorboard"])


def test_no_logger_is_fine():
    assert check_loggers([]) == []
