"""A decoder that fails: its own error is told, unless NaN came first."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from superlink.errors import InputError
from superlink.interfaces import LinkedQueries
from superlink.linked.decoder_losses import decoder_losses
from superlink.testing.toy_decoder import ToyBoxConfig, ToyBoxDecoder


class Fixed(nn.Module):
    """Gives one value, whatever enters.

    Args:
        value: It.
    """

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, states):
        return torch.full((2, 2), self.value)


class Failing(ToyBoxDecoder):
    """Fails after a module of it gave a value.

    Args:
        value: Of the module.
        error: What is raised.
    """

    def __init__(self, value, error):
        super().__init__(ToyBoxConfig())
        self.costs = Fixed(value)
        self.error = error

    def loss(self, links, inputs):
        self.costs(links.states)
        raise self.error


def links(value=0.0):
    states = torch.full((1, 2, 8), value)
    return LinkedQueries(states, torch.tensor([0]), ("[BOX]",), ("dog",), 1)


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), 1.0])
def test_infinite_costs_do_not_hide_an_error(value):
    with pytest.raises(ValueError, match="a defect"):
        decoder_losses(Failing(value, ValueError("a defect")), links(), {})


def test_error_that_tells_what_is_wrong_is_always_raised():
    with pytest.raises(InputError, match="sample 17"):
        decoder_losses(Failing(float("nan"), InputError("sample 17 is wrong")), links(), {})


def test_error_after_nan_is_logged_and_named(caplog):
    with caplog.at_level(logging.WARNING):
        losses = decoder_losses(Failing(float("nan"), ValueError("a defect")), links(), {})
    assert losses["output of costs"][0].isnan()
    assert "ValueError: a defect" in caplog.text


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), float("nan")])
def test_condition_that_is_not_finite_is_told(value):
    losses = decoder_losses(Failing(1.0, ValueError("a defect")), links(value), {})
    assert losses["condition"][0].isnan()
