"""Records written in COCO's form: the same when they are read again, and whole or not there."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from superlink.data import AnnotatedImage, AnnotatedObject, SceneDataset, export_coco, read_coco
from superlink.errors import InputError

WIDTH, HEIGHT = 12, 9
NAMES = ("cat", "dog", "café, (small)", "person")


@st.composite
def spans(draw, limit):
    ends = draw(st.lists(st.floats(0, limit), min_size=2, max_size=2, unique=True))
    return sorted(ends)


@st.composite
def objects(draw, names):
    (x1, x2), (y1, y2) = draw(spans(WIDTH)), draw(spans(HEIGHT))
    points = arrays(np.float32, (3, 3), elements=st.floats(-9, 99, width=32))
    words = st.dictionaries(st.text(max_size=3), st.none() | st.booleans() | st.text(max_size=3))
    return AnnotatedObject(
        name=draw(st.sampled_from(names)),
        bbox=(x1, y1, x2, y2),
        mask=draw(st.none() | arrays(np.bool_, (HEIGHT, WIDTH))),
        keypoints=draw(st.none() | points),
        attributes=draw(words),
        area=draw(st.none() | st.floats(0, 1e6)),
    )


@st.composite
def records(draw):
    categories = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
    return AnnotatedImage(
        image=Image.new("RGB", (WIDTH, HEIGHT), (draw(st.integers(0, 255)), 7, 99)),
        objects=tuple(draw(st.lists(objects(categories), max_size=3))),
        categories=tuple(categories),
        key=draw(st.text(max_size=3)),
        caption=draw(st.text(max_size=3)),
        ignored=tuple(draw(st.lists(objects(NAMES), max_size=2))),
        synonyms={"cat": ("kitten", "puss")} if "cat" in categories else {},
    )


def _assert_same(before, after):
    assert before.name == after.name
    # A file holds x and width; x + width may round to the next float.
    np.testing.assert_allclose(before.bbox, after.bbox, rtol=1e-15)
    assert dict(before.attributes) == dict(after.attributes)
    assert before.area is None or before.area == after.area
    for a, b in ((before.mask, after.mask), (before.keypoints, after.keypoints)):
        assert (a is None and b is None) or (a.dtype == b.dtype and np.array_equal(a, b))


def _assert_come_back(samples, folder):
    notes = export_coco(samples, folder, progress=False)
    again = read_coco(notes, folder / "images", masks=True)
    assert not again.problems
    for before, after in zip(samples, again, strict=True):
        assert (np.asarray(before.image) == np.asarray(after.open())).all()
        assert (before.key, before.caption) == (after.key, after.caption)
        assert before.categories == after.categories
        assert dict(before.synonyms) == dict(after.synonyms)
        for a, b in ((before.objects, after.objects), (before.ignored, after.ignored)):
            assert len(a) == len(b)
            for item, other in zip(a, b, strict=True):
                _assert_same(item, other)


@settings(max_examples=60)
@given(st.lists(records(), min_size=1, max_size=3))
def test_records_come_back_as_they_were(samples):
    with tempfile.TemporaryDirectory() as name:
        _assert_come_back(samples, Path(name) / "out")


def test_scenes_come_back_as_they_were(tmp_path):
    _assert_come_back(list(SceneDataset(num_scenes=4)), tmp_path / "out")


def test_ignored_objects_are_written_as_crowds(tmp_path):
    mask = np.ones((HEIGHT, WIDTH), np.bool_)
    crowd = AnnotatedObject("person", (0, 0, 5, 5), mask, area=7.5)
    image = Image.new("RGB", (WIDTH, HEIGHT))
    record = AnnotatedImage(image, (), ("cat",), "a", ignored=(crowd,))
    content = json.loads(export_coco([record], tmp_path / "out", progress=False).read_text())
    (entry,) = content["annotations"]
    assert (entry["iscrowd"], entry["area"]) == (1, 7.5)
    assert entry["segmentation"] == {"size": [HEIGHT, WIDTH], "counts": [0, HEIGHT * WIDTH]}
    assert [category["name"] for category in content["categories"]] == ["cat", "person"]
    assert "category_ids" not in content["images"][0]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_export_is_read_by_pycocotools(tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    record = SceneDataset(num_scenes=1)[0]
    truth = coco.COCO(str(export_coco([record], tmp_path / "out", progress=False)))
    masks = [truth.annToMask(entry) for entry in truth.dataset["annotations"]]
    assert all((m == o.mask).all() for m, o in zip(masks, record.objects, strict=True))


def test_export_that_fails_leaves_nothing(tmp_path):
    def samples():
        yield SceneDataset(num_scenes=1)[0]
        yield AnnotatedImage(tmp_path / "gone.png", (), ("cat",), "gone")

    with pytest.raises(InputError, match=r"gone\.png"):
        export_coco(samples(), tmp_path / "out", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_export_over_a_folder_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="choose another"):
        export_coco([], tmp_path, progress=False)
    assert (tmp_path / "mine.txt").read_text() == "keep"
