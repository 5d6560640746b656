"""The moving average of weights, against a plain loop."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import TrainerControl, TrainerState

from superlink.training.averaging import MovingAverage


def walk(average, model, num_steps, start=0):
    """Move the weights at random, and tell the average; gives the weights of each step."""
    weights = []
    for step in range(start + 1, start + num_steps + 1):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        average.on_step_end(None, TrainerState(global_step=step), TrainerControl())
        weights.append(model.weight.detach().clone())
    return weights


def test_average_equals_a_plain_loop():
    model = nn.Linear(3, 2)
    expected = model.weight.detach().clone()
    average = MovingAverage(model, 0.9)
    for step, weight in enumerate(walk(average, model, 100), start=1):
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weight
    torch.testing.assert_close(average.average["weight"], expected)


def test_average_is_applied_to_trained_weights_alone():
    model = nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    average = MovingAverage(model, 0.9)
    walk(average, model, 5)
    bias = model.bias.detach().clone()
    assert not model.weight.equal(average.average["weight"])
    average.apply()
    assert model.weight.equal(average.average["weight"])
    assert model.bias.equal(bias)
    assert average.state_dict().keys() == {"weight"}


def test_average_goes_on_from_a_saved_one():
    torch.manual_seed(1)
    straight_model = nn.Linear(3, 2)
    straight = MovingAverage(straight_model, 0.9)
    model = nn.Linear(3, 2)
    model.load_state_dict(straight_model.state_dict())
    first = MovingAverage(model, 0.9)
    torch.manual_seed(2)
    walk(straight, straight_model, 8)
    torch.manual_seed(2)
    walk(first, model, 4)
    second = MovingAverage(model, 0.9)
    second.load_state_dict(first.state_dict())
    walk(second, model, 4, start=4)
    assert second.average["weight"].equal(straight.average["weight"])


def test_saved_average_of_other_weights_is_refused():
    average = MovingAverage(nn.Linear(3, 2), 0.9)
    with pytest.raises(KeyError, match="bias"):
        average.load_state_dict({"weight": torch.zeros(2, 3)})
