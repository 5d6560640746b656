"""COCO files: what comes out of them, what is refused, and the way there and back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from superlink.data import AnnotatedImage, SceneDataset, export_coco, read_coco
from superlink.data.rle import decode_segmentation, encode_mask
from superlink.errors import InputError

COCO_MINI = Path(__file__).parents[2].parent / "shared" / "data" / "coco_mini"


def _annotation(**changes):
    entry = {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 2, 4, 3], "iscrowd": 0}
    return {**entry, **changes}


def _content(*annotations, **changes):
    content = {
        "images": [{"id": 7, "file_name": "a.png", "width": 10, "height": 8}],
        "categories": [{"id": 3, "name": "cat"}, {"id": 9, "name": "dog"}],
        "annotations": list(annotations),
    }
    return {**content, **changes}


def _read(folder, content, **options):
    Image.new("RGB", (10, 8)).save(folder / "a.png")
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "notes.json").write_text(text)
    return read_coco(folder / "notes.json", folder, **options)


def test_read_coco_turns_boxes_into_corners(tmp_path):
    (record,) = _read(tmp_path, _content(_annotation()))
    assert record.objects[0].name == "cat"
    assert record.objects[0].bbox == (1, 2, 5, 5)
    assert record.categories == ("cat", "dog")
    assert record.key == "a.png"
    assert record.open().size == (10, 8)


def test_read_coco_cuts_boxes_at_the_image(tmp_path):
    (record,) = _read(tmp_path, _content(_annotation(bbox=[-2, 5, 20, 20])))
    assert record.objects[0].bbox == (0, 5, 10, 8)


@pytest.mark.parametrize(
    "changes", [{"iscrowd": 1}, {"bbox": [1, 1, 0, 5]}, {"bbox": [50, 50, 5, 5]}]
)
def test_read_coco_skips_crowds_and_empty_boxes(tmp_path, changes):
    (record,) = _read(tmp_path, _content(_annotation(**changes)))
    assert record.objects == ()


def test_read_coco_decodes_masks_when_asked(tmp_path):
    square = [[1, 2, 5, 2, 5, 5, 1, 5]]
    content = _content(_annotation(segmentation=square))
    assert _read(tmp_path, content)[0].objects[0].mask is None
    mask = _read(tmp_path, content, masks=True)[0].objects[0].mask
    expected = np.zeros((8, 10), np.bool_)
    expected[2:5, 1:5] = True
    assert (mask == expected).all()


def test_read_coco_opens_no_image_before_it_is_asked(tmp_path):
    dataset = _read(tmp_path, _content(_annotation()))
    (tmp_path / "a.png").unlink()
    record = dataset[0]
    with pytest.raises(InputError, match=r"a\.png"):
        record.open()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{broken", "no JSON"),
        ("[]", "holds a list"),
        (_content(annotations=None), "'annotations' is missing"),
        ({"images": [], "annotations": []}, "'categories' is missing"),
        (_content(images=[{"id": 7}]), r"images\[0\] lacks file_name"),
        (_content({"id": 1, "image_id": 7}), r"annotations\[0\] lacks category_id, bbox"),
        (
            _content(_annotation(image_id=[7])),
            r"annotations\[0\] needs a number or text as image_id",
        ),
        (_content("text"), r"annotations\[0\] lacks"),
        (_content(_annotation(image_id=8)), "unknown image 8"),
        (_content(_annotation(category_id=4)), "unknown category 4"),
        (_content(_annotation(bbox=[1, 2, 3])), "bbox of annotation 1"),
        (_content(_annotation(bbox=[1, 2, 3, "4"])), "bbox of annotation 1"),
        (_content(categories=[{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]), "two categories"),
        (_content(images=[{"id": 7, "file_name": "a.png"}] * 2), "two images"),
    ],
)
def test_read_coco_of_an_unusable_file_names_it_and_the_reason(tmp_path, content, reason):
    with pytest.raises(InputError, match=rf"notes\.json .*{reason}"):
        _read(tmp_path, content)


@pytest.mark.parametrize(
    "changes", [{"keypoints": [1, 2]}, {"segmentation": {"size": [8, 10], "counts": [3]}}]
)
def test_read_coco_of_an_unusable_annotation(tmp_path, changes):
    dataset = _read(tmp_path, _content(_annotation(**changes)), masks=True)
    with pytest.raises(InputError, match=r"notes\.json .*annotation 1 cannot be read"):
        dataset[0]


def test_read_coco_without_files(tmp_path):
    with pytest.raises(InputError, match=r"gone\.json"):
        read_coco(tmp_path / "gone.json", tmp_path)
    with pytest.raises(InputError, match="folder of images"):
        read_coco(tmp_path / "notes.json", tmp_path / "gone")


def test_export_and_read_give_the_same_records(tmp_path):
    scenes = SceneDataset(num_scenes=4)
    notes = export_coco(scenes, tmp_path / "out", progress=False)
    again = read_coco(notes, tmp_path / "out" / "images", masks=True)
    for before, after in zip(scenes, again, strict=True):
        assert (np.asarray(before.image) == np.asarray(after.open())).all()
        assert (before.key, before.caption) == (after.key, after.caption)
        assert before.categories == after.categories
        for a, b in zip(before.objects, after.objects, strict=True):
            assert (a.name, a.bbox, dict(a.attributes)) == (b.name, b.bbox, dict(b.attributes))
            assert (a.mask == b.mask).all()
            assert (a.keypoints is None) == (b.keypoints is None)
            if a.keypoints is not None:
                np.testing.assert_allclose(a.keypoints, b.keypoints, atol=0.01)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_export_is_read_by_pycocotools(tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    record = SceneDataset(num_scenes=1)[0]
    truth = coco.COCO(str(export_coco([record], tmp_path / "out", progress=False)))
    masks = [truth.annToMask(entry) for entry in truth.dataset["annotations"]]
    assert all((m == o.mask).all() for m, o in zip(masks, record.objects, strict=True))


def test_export_that_fails_leaves_nothing(tmp_path):
    def records():
        yield SceneDataset(num_scenes=1)[0]
        yield AnnotatedImage(tmp_path / "gone.png", (), ("cat",), "gone")

    with pytest.raises(InputError, match=r"gone\.png"):
        export_coco(records(), tmp_path / "out", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_export_over_a_folder_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="choose another"):
        export_coco([], tmp_path, progress=False)
    assert (tmp_path / "mine.txt").read_text() == "keep"


@pytest.mark.parametrize("first", [False, True])
def test_run_lengths_there_and_back(first):
    mask = np.random.default_rng(0).random((5, 7)) > 0.5
    mask[0, 0] = first
    assert (decode_segmentation(encode_mask(mask), 5, 7) == mask).all()


@pytest.mark.skipif(not COCO_MINI.is_dir(), reason="coco_mini is not at hand")
@pytest.mark.parametrize("split", ["train", "val"])
def test_read_coco_of_real_images(split):
    dataset = read_coco(COCO_MINI / f"instances_{split}.json", COCO_MINI / "images", masks=True)
    assert len(dataset.categories) == 80
    for record in dataset:
        width, height = record.open().size
        for item in record.objects:
            rows, columns = np.nonzero(item.mask)
            x1, y1, x2, y2 = item.bbox
            assert item.mask.shape == (height, width)
            # Polygons are drawn on whole pixels; boxes are not.
            assert abs(columns.min() - x1) <= 2 and abs(columns.max() + 1 - x2) <= 2
            assert abs(rows.min() - y1) <= 2 and abs(rows.max() + 1 - y2) <= 2


@pytest.mark.skipif(not COCO_MINI.is_dir(), reason="coco_mini is not at hand")
def test_read_coco_of_real_keypoints():
    dataset = read_coco(COCO_MINI / "person_keypoints_val.json", COCO_MINI / "images")
    people = [item for record in dataset for item in record.objects]
    assert people and all(item.keypoints.shape == (17, 3) for item in people)


def test_class_of_crowds_alone_is_neither_present_nor_absent(tmp_path):
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    crowd = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "iscrowd": 1}
    dog = {"id": 2, "image_id": 1, "category_id": 2, "bbox": [0, 0, 9, 9]}
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 20, "height": 10}],
        "categories": [{"id": i, "name": n} for i, n in enumerate(("person", "dog", "cat"), 1)],
        "annotations": [crowd, dog],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    record = read_coco(tmp_path / "a.json", tmp_path)[0]
    assert record.categories == ("dog", "cat")
    assert [item.name for item in record.objects] == ["dog"]


def test_image_of_another_size_than_annotated_is_refused(tmp_path):
    Image.new("RGB", (10, 20)).save(tmp_path / "a.png")
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 20, "height": 10}],
        "categories": [{"id": 1, "name": "dog"}],
        "annotations": [],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"20 x 10 pixels\. Received: 10 x 20"):
        read_coco(tmp_path / "a.json", tmp_path)[0].open()
