"""A block that leaves no trace in buffers, whatever they are."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from superlink.linked.modes import untouched

CPU = torch.device("cpu")


def holding(**buffers):
    module = nn.Module()
    for name, buffer in buffers.items():
        module.register_buffer(name, buffer)
    return module


def made_in_inference():
    with torch.inference_mode():
        return torch.zeros(3)


@pytest.mark.parametrize("make", [made_in_inference, lambda: torch.zeros(1).expand(3)])
def test_buffers_that_cannot_be_written_to_are_kept(make):
    model = holding(steps=make())
    buffer = model.steps
    with untouched(model, CPU):
        pass
    assert model.steps is buffer
    with untouched(model, CPU), torch.inference_mode():
        (buffer if buffer.is_inference() else buffer._base).add_(1)
    assert model.steps.tolist() == [0, 0, 0]


def test_only_what_changed_is_written():
    model = holding(same=torch.zeros(2), changed=torch.zeros(2), rebound=torch.zeros(2))
    before = dict(model.named_buffers())
    versions = {name: buffer._version for name, buffer in before.items()}
    with untouched(model, CPU):
        model.changed.add_(1)
        model.rebound = model.rebound + 1
    after = dict(model.named_buffers())
    assert all(after[name] is before[name] and not after[name].any() for name in before)
    assert after["same"]._version == versions["same"]
    assert after["rebound"]._version == versions["rebound"]


def test_buffers_that_were_none_or_not_there_are_so_again():
    model = holding(cache=None)
    with untouched(model, CPU):
        model.cache = torch.ones(1)
        model.register_buffer("made", torch.ones(1), persistent=False)
    assert model.cache is None
    assert not hasattr(model, "made")
    model.register_buffer("made", torch.ones(1))  # persistent, as if nothing had been
    assert "made" in model.state_dict()
