"""Visual Genome's regions to describe."""

from __future__ import annotations

import json
import pickle

from PIL import Image

from superlink.data import read_region_descriptions


def test_each_region_has_its_phrase_for_a_description(tmp_path):
    Image.new("RGB", (10, 8)).save(tmp_path / "1.jpg")
    region = {"image_id": 1, "x": 1, "y": 2, "width": 4, "height": 3}
    regions = [
        {**region, "region_id": 5, "phrase": " a red cup "},
        {**region, "region_id": 6, "phrase": "", "x": 2},
        {**region, "region_id": 7, "phrase": "a dog", "width": 90},
    ]
    (tmp_path / "notes.json").write_text(json.dumps([{"id": 1, "regions": regions}]))
    dataset = read_region_descriptions(tmp_path / "notes.json", tmp_path)
    assert [record.descriptions for record in dataset] == [("a red cup",), ("a dog",)]
    assert [record.marked.bbox for record in dataset] == [(1, 2, 5, 5), (1, 2, 10, 5)]
    assert dataset[1].key == "1.jpg#7" and dataset[1].size == (10, 8)
    assert len(dataset.problems) == 1
    assert pickle.loads(pickle.dumps(dataset))[0].descriptions == ("a red cup",)
