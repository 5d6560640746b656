"""Weights of losses: where they go, and what changes nothing: splits, stops, absent groups."""

from __future__ import annotations

import math
import os
import random

import pytest
import torch
from torch import multiprocessing

from superlink.build import build_model
from superlink.errors import ConfigError
from superlink.link import StateTap
from superlink.training.dataset import open_data
from superlink.training.weighting import (
    GradNormWeighting,
    UncertaintyWeighting,
    build_weighting,
)

NAMES = ("lm", "box", "mask")
SCALES = torch.tensor([1.0, 20.0, 0.05])


def step(weighting, shared, scales=SCALES, names=NAMES, pieces=1):
    """One step on losses that pull `shared` (N, C) towards zero, each with its own force."""
    for rows in shared.chunk(pieces):
        losses = {
            name: scale * rows.square().sum() / len(shared)
            for name, scale in zip(NAMES, scales, strict=True)
            if name in names
        }
        weighting(losses, rows)
    weighting.update()


def fresh(kind):
    return build_weighting(kind, NAMES)


def states():
    return torch.randn(8, 4, generator=torch.manual_seed(0)).requires_grad_()


def test_fixed_weights_need_no_module():
    assert fresh("fixed") is None


@pytest.mark.parametrize("kind", ["uncertainty", "gradnorm"])
def test_first_step_is_the_plain_sum(kind):
    losses = {"lm": torch.tensor(2.0), "mask": torch.tensor(3.0)}
    assert fresh(kind)(losses).item() == 5.0


def test_gradnorm_makes_gradients_equal():
    weighting, shared = GradNormWeighting(NAMES, alpha=0.0), states()
    for _ in range(400):
        step(weighting, shared)
    norms = weighting.weights * SCALES
    assert torch.allclose(norms, norms.mean().expand(3), rtol=0.08)
    assert weighting.weights.sum().item() == pytest.approx(3.0, rel=1e-4)


def test_gradnorm_favours_the_group_that_trains_slowly():
    weighting, shared = GradNormWeighting(("fast", "slow"), alpha=1.0), states()
    for left in torch.linspace(1, 0.1, 300):
        # The values of losses fall at two rates, their gradients are the same.
        pull = shared.sum() - shared.detach().sum()
        weighting({"fast": left + pull, "slow": torch.tensor(1.0) + pull}, shared)
        weighting.update()
    fast, slow = weighting.weights.tolist()
    assert slow / fast == pytest.approx(1 / 0.1, rel=0.2)


def test_gradnorm_does_not_touch_gradients():
    weighting, shared = GradNormWeighting(NAMES), states()
    losses = {"lm": shared.square().sum(), "box": 3 * shared.sum()}
    weighting(losses, shared).backward()
    assert torch.equal(shared.grad, 2 * shared.detach() + 3)


def test_uncertainty_divides_each_loss_by_its_size():
    weighting = UncertaintyWeighting(NAMES)
    values = torch.tensor([2.0, 10.0, 0.1])
    for _ in range(600):
        weighting(dict(zip(NAMES, values, strict=True)))
        weighting.update()
    assert torch.allclose(weighting.weights, 1 / values, rtol=1e-2)


@pytest.mark.parametrize("value", [0.0, -5.0, 1e9, math.nan, math.inf])
def test_uncertainty_stays_within_bounds(value):
    weighting = UncertaintyWeighting(("lm",), limit=2.0)
    for _ in range(300):
        weighting({"lm": torch.tensor(value)})
        weighting.update()
    assert math.exp(-2.001) <= weighting.by_name()["lm"] <= math.exp(2.001)


@pytest.mark.parametrize("kind", ["uncertainty", "gradnorm"])
def test_absent_group_keeps_its_weight(kind):
    weighting, shared = fresh(kind), states()
    step(weighting, shared)
    before = weighting.by_name()
    for _ in range(5):
        step(weighting, shared, names=("lm", "box"))
    after = weighting.by_name()
    assert after["mask"] == before["mask"]
    assert after["box"] < before["box"]
    if kind == "gradnorm":
        assert sum(after.values()) == pytest.approx(3.0, rel=1e-5)


def test_group_whose_gradient_does_not_arrive_keeps_its_weight():
    weighting, shared = GradNormWeighting(NAMES), states()
    apart = torch.ones(3, requires_grad=True)
    for _ in range(5):
        pull = shared.square().sum()
        weighting({"lm": pull, "box": 9 * pull, "mask": 4 * apart.sum()}, shared)
        weighting.update()
    assert weighting.by_name()["mask"] == 1.0
    assert weighting.by_name()["lm"] > 1.0


@pytest.mark.parametrize("losses", [{}, {"lm": torch.tensor(1.0)}, {"lm": torch.tensor(math.nan)}])
@pytest.mark.parametrize("shared", [None, torch.zeros(2, 4)])
def test_gradnorm_waits_where_there_is_nothing_to_balance(losses, shared):
    weighting = GradNormWeighting(NAMES)
    weighting(losses, shared)
    weighting.update()
    assert weighting.by_name() == dict.fromkeys(NAMES, 1.0)


@pytest.mark.parametrize("kind", ["uncertainty", "gradnorm"])
def test_split_of_a_step_changes_nothing(kind):
    whole, split = fresh(kind), fresh(kind)
    shared = states()
    for _ in range(10):
        step(whole, shared)
        step(split, shared, pieces=4)
    assert torch.allclose(whole.weights, split.weights, rtol=1e-5)
    assert not torch.equal(whole.weights, torch.ones(3))


@pytest.mark.parametrize("kind", ["uncertainty", "gradnorm"])
def test_resume_is_bit_equal(kind):
    straight, shared = fresh(kind), states()
    for number in range(20):
        if number == 9:
            resumed = fresh(kind)
            resumed.load_state_dict(straight.state_dict())
        if number >= 9:
            step(resumed, shared / (number + 1))
        step(straight, shared / (number + 1))
    assert torch.equal(straight.weights, resumed.weights)


def test_evaluation_teaches_nothing():
    weighting = UncertaintyWeighting(NAMES)
    with torch.no_grad():
        weighting({"lm": torch.tensor(50.0)})
    weighting.update()
    assert weighting.by_name()["lm"] == 1.0


def test_states_at_the_head_see_language_and_decoders(registry, recipe):
    raw = recipe()
    model = build_model(raw.model, registry)
    records, conversation = open_data(raw.data["scenes"], registry)
    samples = [conversation(records[i], random.Random(i), True) for i in range(2)]
    with StateTap().on(model.backbone.output_head()) as tap:
        out = model(**model.processor(samples))
    weighting = GradNormWeighting(("lm", "toy.detection"))
    losses = {name.split("/")[0]: value / float(n) for name, (value, n) in out.losses.items()}
    weighting(losses, tap.states).backward()
    weighting.update()
    assert not weighting.first_losses.isnan().any()
    assert weighting.by_name()["lm"] != 1.0


def test_unknown_group():
    with pytest.raises(ConfigError, match="Did you mean 'mask'"):
        GradNormWeighting(NAMES)({"masks": torch.tensor(1.0)})


def weigh_half(rank, meeting, kind, results):
    """One of two processes, which has half of the rows; only the second has the group `mask`."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    weighting, shared = fresh(kind), states()
    rows = shared.chunk(2)[rank]
    for _ in range(10):
        scales = SCALES[: 2 + rank]
        parts = {n: s * rows.square().sum() / len(shared) for n, s in zip(NAMES, scales)}  # noqa: B905
        weighting(parts, rows)
        weighting.update()
    results[rank] = weighting.weights
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("kind", ["uncertainty", "gradnorm"])
def test_processes_agree_with_one(kind, tmp_path):
    results = torch.zeros(2, len(NAMES)).share_memory_()
    multiprocessing.start_processes(
        weigh_half,
        (f"file://{tmp_path}/meeting", kind, results),
        nprocs=2,
        start_method="fork",
    )
    assert torch.equal(results[0], results[1])
    alone, shared = fresh(kind), states()
    first, second = shared.chunk(2)
    for _ in range(10):
        for rows, names in ((first, NAMES[:2]), (second, NAMES)):
            pairs = zip(NAMES, SCALES, strict=True)
            alone({n: s * rows.square().sum() / len(shared) for n, s in pairs if n in names}, rows)
        alone.update()
    assert torch.allclose(alone.weights, results[0], rtol=1e-5)
    assert not torch.equal(results[0], torch.ones(3))
