"""The learning rates that a schedule gives, step by step."""

from __future__ import annotations

import pytest
import torch
from transformers import get_scheduler

from superlink.training import Stage
from superlink.training.schedule import scheduler_arguments


def rates(steps=20, **settings):
    """Share of the learning rate in each step, as the Trainer would set it."""
    stage = Stage(name="a", data="b", steps=steps, **settings)
    arguments = scheduler_arguments(stage)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = get_scheduler(
        arguments["lr_scheduler_type"],
        optimizer,
        num_warmup_steps=arguments["warmup_steps"],
        num_training_steps=steps,
        scheduler_specific_kwargs=arguments["lr_scheduler_kwargs"],
    )
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return [*found, schedule.get_last_lr()[0]]


@pytest.mark.parametrize("schedule", ["stable", "cosine", "linear", "constant"])
def test_all_rise_first(schedule):
    found = rates(schedule=schedule, warmup_steps=4)
    lowest = 0.02 if schedule == "stable" else 0
    assert found[:5] == pytest.approx([lowest + (1 - lowest) * part / 4 for part in range(5)])


def test_stable_stays_and_falls_to_a_fiftieth():
    found = rates(warmup_steps=4, decay_share=0.5)
    assert found[4:11] == [1.0] * 7
    assert found[15] == pytest.approx(0.51)
    assert found[-1] == pytest.approx(0.02)


def test_cosine_and_line_fall_to_nothing():
    cosine, line = (
        rates(schedule="cosine", warmup_steps=4),
        rates(schedule="linear", warmup_steps=4),
    )
    assert cosine[12] == pytest.approx(0.5) and line[12] == pytest.approx(0.5)
    assert cosine[8] == pytest.approx((1 + 0.5**0.5) / 2) and line[8] == pytest.approx(0.75)
    assert cosine[-1] == pytest.approx(0, abs=1e-9) and line[-1] == pytest.approx(0, abs=1e-9)


def test_constant_stays():
    assert rates(schedule="constant", warmup_steps=4)[4:] == [1.0] * 17


def test_warmup_takes_a_third_of_a_short_stage_at_most():
    assert rates(steps=6, schedule="constant", warmup_steps=40)[:3] == [0, 0.5, 1]
