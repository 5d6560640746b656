"""Landscapes: every pixel is of one kind of stuff, and validation looks different from training."""

from __future__ import annotations

import random
from itertools import product

import numpy as np
import pytest

from superlink.data import stuff_names
from superlink.data.scenes import palette
from superlink.data.scenes.landscape import _LAYOUTS, draw_landscape
from superlink.data.scenes.textures import _tile, noise


def _draw(seed, size=64, split="train"):
    return draw_landscape(random.Random(seed), size, split)


@pytest.mark.parametrize("size", [32, 77, 128])
@pytest.mark.parametrize("split", ["train", "val"])
def test_each_pixel_is_of_one_kind(size, split):
    for seed in range(15):
        image, masks = _draw(seed, size, split)
        assert image.size == (size, size) and image.mode == "RGB"
        assert (np.sum([mask.astype(int) for mask in masks.values()], axis=0) == 1).all()
        assert set(masks) <= set(stuff_names()) and "sky" in masks
        assert 2 <= len(masks) <= 3


def test_regions_are_large_enough_to_be_seen():
    shares = [mask.mean() for seed in range(60) for mask in _draw(seed)[1].values()]
    assert min(shares) > 0.03


def test_every_kind_of_stuff_occurs():
    assert {name for layout in _LAYOUTS for name in layout} == set(stuff_names()) - {"sky"}
    assert {name for seed in range(60) for name in _draw(seed, 32)[1]} == set(stuff_names())


def test_sky_is_on_top():
    for seed in range(20):
        _, masks = _draw(seed)
        assert masks["sky"][0].all() and not masks["sky"][-1].any()


def test_borders_are_not_straight_everywhere():
    profiles = [_draw(seed)[1]["sky"].sum(0) for seed in range(20)]
    assert sum(profile.max() - profile.min() > 3 for profile in profiles) > 8


def test_landscape_depends_on_its_seed_alone():
    first, masks = _draw(5)
    random.seed(1)
    np.random.seed(1)
    _draw(6)
    again, same = _draw(5)
    assert first.tobytes() == again.tobytes()
    assert all((masks[name] == same[name]).all() for name in masks)
    assert len({_draw(seed)[0].tobytes() for seed in range(8)}) == 8


def test_splits_share_neither_tints_nor_textures():
    for tints in (*palette._TINTS.values(), palette._HORIZON):
        for (low, high), (first, last) in product(tints["train"], tints["val"]):
            assert any(b < c or d < a for a, b, c, d in zip(low, high, first, last, strict=True))
    for name in ("grass", "gravel"):
        train, val = (np.asarray(_tile(name, split, 64, 1)) for split in ("train", "val"))
        assert train.shape == val.shape and (train != val).mean() > 0.9


def test_textures_have_a_common_contrast():
    tile = np.asarray(_tile("grass", "train", 128, 2), np.float32)
    assert tile.mean() == pytest.approx(128, abs=3)
    assert tile.std() == pytest.approx(40, abs=4)


def test_noise_has_as_many_values_as_it_has_cells():
    flat = noise(random.Random(0), (8, 6), (1, 1))
    assert flat.shape == (8, 6) and (flat == flat[0, 0]).all()
    fine = noise(random.Random(0), (8, 6), (99, 99))
    assert len(np.unique(fine)) > 30 and np.abs(fine).max() <= 1
