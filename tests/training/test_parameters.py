"""Learning rates by module path: the longest path wins, and a path is never a part of a name."""

from __future__ import annotations

import pytest
from torch import nn

from superlink.errors import ConfigError
from superlink.training import Stage
from superlink.training.parameters import freeze, learning_rate_of, parameter_groups


def stage(rate=1e-3, **rates):
    named = {path.replace("__", "."): value for path, value in rates.items()}
    return Stage(name="s", data="d", steps=1, learning_rate=rate, learning_rates=named)


@pytest.fixture
def model():
    return nn.ModuleDict(
        {
            "backbone": nn.ModuleDict({"vision": nn.Linear(2, 2), "text": nn.Linear(2, 2)}),
            "backbone2": nn.Linear(2, 2),
        }
    )


def test_longest_path_wins_in_any_order():
    for rates in (
        {"backbone": 1, "backbone__vision": 2, "backbone__vision__bias": 3},
        {"backbone__vision__bias": 3, "backbone__vision": 2, "backbone": 1},
    ):
        names = ("vision.bias", "vision.weight", "text.bias")
        found = [learning_rate_of(f"backbone.{name}", stage(**rates)) for name in names]
        assert found == [3, 2, 1]


def test_path_is_never_a_part_of_a_name():
    assert learning_rate_of("backbone2.weight", stage(1e-3, backbone=0)) == 1e-3
    assert learning_rate_of("old.backbone.weight", stage(1e-3, backbone=0)) == 1e-3
    assert learning_rate_of("backbone", stage(1e-3, backbone=0)) == 0


def trained(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_rate_of_0_freezes_and_a_later_stage_thaws(model):
    freeze(model, stage(backbone=0), frozenset())
    assert trained(model) == {"backbone2.weight", "backbone2.bias"}
    freeze(model, stage(0, backbone__vision=1e-4), frozenset())
    assert trained(model) == {"backbone.vision.weight", "backbone.vision.bias"}


def test_parameters_that_came_frozen_stay_frozen(model):
    fixed = frozenset({"backbone.vision.weight"})
    freeze(model, stage(backbone__vision=1e-2), fixed)
    assert "backbone.vision.weight" not in trained(model)
    assert "backbone.vision.bias" in trained(model)


def test_unknown_path_is_refused_with_the_known_beginnings(model):
    with pytest.raises(ConfigError, match=r"stage 's' names 'backbone.visio'.*backbone.vision"):
        freeze(model, stage(backbone__visio=1e-2), frozenset())


def test_stage_that_trains_nothing_is_refused(model):
    with pytest.raises(ConfigError, match=r"Stage 's' trains nothing.*learning_rate=0"):
        freeze(model, stage(0), frozenset())


def test_groups_hold_each_trained_parameter_once_and_vectors_do_not_decay(model):
    chosen = stage(1e-3, backbone__vision=0, backbone__text=1e-2)
    freeze(model, chosen, frozenset())
    groups = parameter_groups(model, chosen)
    found = [p for group in groups for p in group["params"]]
    assert {id(p) for p in found} == {id(p) for p in model.parameters() if p.requires_grad}
    assert len(found) == 4
    for group in groups:
        dims = {p.ndim for p in group["params"]}
        assert dims == ({2} if group["weight_decay"] else {1})
    by_rate = {group["lr"]: group["params"] for group in groups if group["weight_decay"]}
    assert by_rate[1e-2][0] is model["backbone"]["text"].weight
