"""Visual Genome: regions with their phrases."""

from __future__ import annotations

import json
import pickle

import pytest
from PIL import Image

from superlink.data.readers.visual_genome import read_regions
from superlink.errors import InputError


def _region(number, **changes):
    entry = {
        "region_id": number,
        "image_id": 1,
        "phrase": f"a thing {number}",
        "x": 1,
        "y": 2,
        "width": 4,
        "height": 3,
    }
    return {**entry, **changes}


def _read(folder, content=None, places=("VG_100K/1.jpg", "VG_100K_2/2.jpg"), **options):
    for place in places:
        (folder / place).parent.mkdir(exist_ok=True)
        Image.new("RGB", (10, 8)).save(folder / place)
    default = [
        {"id": 1, "regions": [_region(5), _region(6, x=-3, width=100)]},
        {"id": 2, "regions": [_region(7)]},
    ]
    (folder / "regions.json").write_text(json.dumps(default if content is None else content))
    return read_regions(folder / "regions.json", folder, **options)


def test_read_regions_yields_a_record_for_each_region(tmp_path):
    dataset = _read(tmp_path)
    assert [r.expression for r in dataset] == ["a thing 5", "a thing 6", "a thing 7"]
    assert [r.objects[0].bbox for r in dataset] == [(1, 2, 5, 5), (0, 2, 10, 5), (1, 2, 5, 5)]
    assert [r.key for r in dataset] == ["VG_100K/1.jpg#5", "VG_100K/1.jpg#6", "VG_100K_2/2.jpg#7"]
    assert dataset[2].open().size == dataset[2].size == (10, 8)
    assert pickle.loads(pickle.dumps(dataset))[2].expression == "a thing 7"


def test_read_regions_finds_images_in_the_folder_itself(tmp_path):
    dataset = _read(tmp_path, places=("1.jpg", "2.jpg"))
    assert dataset[2].image == tmp_path / "2.jpg"


def test_regions_without_phrase_or_area_are_left_out(tmp_path):
    regions = [_region(1, phrase=" "), _region(2, width=0), _region(3, x=-9), _region(4)]
    dataset = _read(tmp_path, [{"id": 2, "regions": []}, {"id": 1, "regions": regions}])
    assert [r.expression for r in dataset] == ["a thing 4"]
    assert dataset.problems.reasons() == {
        "its box has no area inside of the image": 2,
        "it has no phrase": 1,
    }


def test_region_outside_of_a_stated_size_is_left_out(tmp_path):
    entry = {"id": 1, "width": 10, "height": 8, "regions": [_region(1, x=10), _region(2)]}
    dataset = _read(tmp_path, [entry])
    assert [r.expression for r in dataset] == ["a thing 2"]
    assert dataset.problems.reasons() == {"its box has no area inside of the image": 1}


def test_region_outside_of_its_image_is_refused_when_it_is_asked_for(tmp_path):
    dataset = _read(tmp_path, [{"id": 1, "regions": [_region(1, x=10)]}])
    with pytest.raises(InputError, match=r"region 1 in .*regions\.json: .*10 x 8.*broken=skip"):
        dataset[0]


def test_regions_outside_are_left_out_of_a_set_that_skips_what_is_broken(tmp_path):
    """The published file states no sizes: such a region ended a training in its middle."""
    entries = [
        {"id": 1, "regions": [_region(1, x=10), _region(2), _region(3, y=8), _region(4, x=9)]},
        {"id": 2, "regions": [_region(5), _region(6, y=30)]},
    ]
    dataset = _read(tmp_path, entries, broken="skip")
    assert [r.key for r in dataset] == ["VG_100K/1.jpg#2", "VG_100K/1.jpg#4", "VG_100K_2/2.jpg#5"]
    assert [r.expression for r in dataset] == ["a thing 2", "a thing 4", "a thing 5"]
    assert [r.objects[0].bbox for r in dataset] == [(1, 2, 5, 5), (9, 2, 10, 5), (1, 2, 5, 5)]
    assert dataset.problems.reasons() == {"its box has no area inside of the image": 3}


def test_image_that_cannot_be_read_is_left_out_of_a_set_that_skips(tmp_path):
    (tmp_path / "2.jpg").write_bytes(b"no image")
    entries = [{"id": 2, "regions": [_region(1)]}, {"id": 1, "regions": [_region(2)]}]
    dataset = _read(tmp_path, entries, places=("VG_100K/1.jpg",), broken="skip")
    assert [r.expression for r in dataset] == ["a thing 2"] and len(dataset.problems) == 1


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"id": 3, "regions": [_region(1)]}, "not in the folder"),
        ({"id": 2, "regions": [{"region_id": 1}]}, "its structure is wrong"),
        ({"id": 2}, "its structure is wrong"),
        ({"id": 2, "regions": [_region(1, x="1")]}, "its structure is wrong"),
    ],
)
def test_read_regions_of_a_broken_entry(tmp_path, entry, reason):
    content = [entry, {"id": 1, "regions": [_region(5)]}]
    with pytest.raises(InputError, match=reason):
        _read(tmp_path, content)
    dataset = _read(tmp_path, content, broken="skip")
    assert [r.expression for r in dataset] == ["a thing 5"] and len(dataset.problems) == 1


@pytest.mark.parametrize("content", [{}, []])
def test_read_regions_of_nothing(tmp_path, content):
    with pytest.raises(InputError, match=r"regions\.json"):
        _read(tmp_path, content)


def test_regions_are_cheap_to_hold(tmp_path):
    regions = [_region(i) for i in range(50)]
    content = [{"id": 1, "regions": regions}] * 200
    dataset = _read(tmp_path, content)
    assert len(dataset) == 10000
    assert len(pickle.dumps(dataset)) < 60 * len(dataset)
