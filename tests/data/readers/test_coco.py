"""COCO files: what comes out of them, what is refused, and what is left out and counted."""

from __future__ import annotations

import copy
import json
import os
import pickle
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from superlink.data import read_coco
from superlink.data.records import Records
from superlink.errors import InputError
from superlink.tasks.detection import detection_conversation

SQUARE = [[1, 2, 5, 2, 5, 5, 1, 5]]
RUNS = {"size": [8, 10], "counts": [10, 3, 67]}


def _annotation(**changes):
    entry = {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 2, 4, 3], "iscrowd": 0}
    return {**entry, **changes}


def _content(*annotations, **changes):
    content = {
        "images": [
            {"id": 7, "file_name": "a.png", "width": 10, "height": 8},
            {"id": 8, "file_name": "sub/b.png", "width": 10, "height": 8},
        ],
        "categories": [{"id": 3, "name": "cat"}, {"id": 9, "name": "dog"}],
        "annotations": list(annotations),
    }
    return {**content, **changes}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coco")
    (folder / "sub").mkdir()
    for name in ("a.png", "sub/b.png"):
        Image.new("RGB", (10, 8)).save(folder / name)
    return folder


def _read(folder, content, **options):
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / "notes.json").write_bytes(text)
    return read_coco(folder / "notes.json", folder, **options)


def test_boxes_become_corners(folder):
    dataset = _read(folder, _content(_annotation(area=11.5)))
    assert isinstance(dataset, Records) and len(dataset) == 2
    record = dataset[0]
    assert (record.objects[0].name, record.objects[0].bbox) == ("cat", (1, 2, 5, 5))
    assert record.objects[0].area == 11.5
    assert record.categories == dataset.categories == ("cat", "dog")
    assert (record.key, record.size, record.ignored) == ("a.png", (10, 8), ())
    assert record.open().size == (10, 8)
    assert dataset[-1].key == "sub/b.png" and dataset[1].objects == ()


def test_boxes_are_cut_at_the_image(folder):
    record = _read(folder, _content(_annotation(bbox=[-2, 5, 20, 20])))[0]
    assert record.objects[0].bbox == (0, 5, 10, 8)


@pytest.mark.parametrize("bbox", [[4, 4, 9, 2], [4, 4, 2, 9], [-3, 0, 6, 6], [0, -3, 6, 6]])
def test_boxes_that_end_outside_of_the_image_are_a_warning(folder, bbox):
    dataset = _read(folder, _content(_annotation(bbox=bbox), _annotation(id=2)))
    assert len(dataset.problems) == 0 and len(dataset[0].objects) == 2
    [warning] = dataset.problems.warnings.values()
    assert warning.startswith("1 box ends outside of the image, of 2 in ")
    assert "x1, y1, x2, y2" in warning


def test_boxes_that_end_within_a_pixel_of_the_border_are_none(folder):
    edges = _annotation(bbox=[-0.5, -0.5, 11.25, 9.25])
    assert _read(folder, _content(edges)).problems.warnings == {}
    images = [{"id": 7, "file_name": "a.png"}]  # of no size that would be known
    assert _read(folder, _content(edges, images=images)).problems.warnings == {}


def test_no_annotations_at_all_are_a_warning(folder):
    [warning] = _read(folder, _content()).problems.warnings.values()
    assert "has no annotations" in warning


@pytest.mark.parametrize("nothing", [None, [], "left out"])
def test_objects_without_a_mask_are_counted(folder, nothing):
    bare = _annotation(id=2, **({} if nothing == "left out" else {"segmentation": nothing}))
    crowd = _annotation(id=3, iscrowd=1)
    whole = _annotation(segmentation=RUNS)
    assert _read(folder, _content(whole, bare, crowd), masks=True).num_without_mask() == (1, 2)


def test_thin_boxes_are_kept(folder):
    record = _read(folder, _content(_annotation(bbox=[1, 2, 0.25, 3])))[0]
    assert record.objects[0].bbox == (1, 2, 1.25, 5)


@pytest.mark.parametrize(
    ("bbox", "reason"),
    [
        ([1, 1, 0, 5], "its box has no area"),
        ([1, 1, 5, -2], "its box has no area"),
        ([5, 1, 1e-30, 2], "its box has no area"),
        ([50, 50, 5, 5], "its box lies outside of the image"),
        ([-9, 0, 9, 5], "its box lies outside of the image"),
        ([1e308, 0, 1e308, 5], "its box lies outside of the image"),
    ],
)
def test_boxes_without_pixels_are_left_out_and_counted(folder, bbox, reason):
    dataset = _read(folder, _content(_annotation(bbox=bbox)), broken="error")
    assert dataset[0].objects == ()
    assert dataset[0].categories == ("dog",)  # whether there is a cat is not known
    assert dataset.problems.reasons() == {reason: 1}


def test_annotations_come_in_the_order_of_the_file(folder):
    entries = [_annotation(id=n, image_id=7 + n % 2, bbox=[n, 0, 1, 1]) for n in range(6)]
    dataset = _read(folder, _content(*entries))
    assert [item.bbox[0] for item in dataset[0].objects] == [0, 2, 4]
    assert [item.bbox[0] for item in dataset[1].objects] == [1, 3, 5]


def test_crowds_are_ignored_objects(folder):
    crowd = _annotation(id=2, iscrowd=1, area=9, segmentation=RUNS, category_id=9)
    record = _read(folder, _content(_annotation(), crowd), masks=True)[0]
    (ignored,) = record.ignored
    assert (ignored.name, ignored.bbox, ignored.area) == ("dog", (1, 2, 5, 5), 9)
    assert ignored.mask.sum() == 3
    assert [item.name for item in record.objects] == ["cat"]


def test_class_of_crowds_alone_is_neither_present_nor_absent(folder):
    first, second = _read(folder, _content(_annotation(iscrowd=1)))
    assert first.categories == ("dog",)
    assert second.categories == ("cat", "dog")


def test_class_of_crowds_and_objects_is_present(folder):
    record = _read(folder, _content(_annotation(), _annotation(id=2, iscrowd=1)))[0]
    assert record.categories == ("cat", "dog")


def test_masks_are_decoded_when_asked(folder):
    pytest.importorskip("pycocotools")
    content = _content(_annotation(segmentation=SQUARE))
    assert _read(folder, content)[0].objects[0].mask is None
    expected = np.zeros((8, 10), np.bool_)
    expected[2:5, 1:5] = True
    assert (_read(folder, content, masks=True)[0].objects[0].mask == expected).all()


def test_mask_without_a_pixel_is_an_empty_array(folder):
    empty = {"size": [8, 10], "counts": [80]}
    record = _read(folder, _content(_annotation(segmentation=empty)), masks=True)[0]
    assert record.objects[0].mask.shape == (8, 10) and not record.objects[0].mask.any()


@pytest.mark.parametrize("segmentation", [None, []])
def test_object_without_segmentation_has_no_mask(folder, segmentation):
    record = _read(folder, _content(_annotation(segmentation=segmentation)), masks=True)[0]
    assert record.objects[0].mask is None


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [8, 10], "counts": [3]},
        {"size": [8, 10], "counts": "damaged"},
        [["1", "2", "3", "4", "5", "6"]],
        [1, 2, 3, 4, 5, 6],
        "text",
    ],
)
def test_mask_that_cannot_be_read_names_its_annotation(folder, segmentation):
    dataset = _read(folder, _content(_annotation(id=17, segmentation=segmentation)), masks=True)
    where = r"segmentation of annotation 17 in .*notes\.json: .*Image: a\.png"
    with pytest.raises(InputError, match=where):
        dataset[0]


def test_keypoints_have_a_row_each(folder):
    categories = [{"id": 3, "name": "cat", "keypoints": ["nose", "tail"]}]
    entry = _annotation(keypoints=[1, 2, 2, 0, 0, 0])
    record = _read(folder, _content(entry, categories=categories))[0]
    assert record.objects[0].keypoints.tolist() == [[1, 2, 2], [0, 0, 0]]
    assert _read(folder, _content(_annotation(keypoints=[])))[0].objects[0].keypoints is None


def test_image_of_unknown_size_is_opened_for_it(folder):
    images = [{"id": 7, "file_name": "a.png"}]
    outside = _annotation(id=2, bbox=[11, 0, 5, 5], category_id=9)
    dataset = _read(folder, _content(_annotation(bbox=[5, 5, 9, 9]), outside, images=images))
    assert (dataset[0].size, dataset[0].objects[0].bbox) == ((10, 8), (5, 5, 10, 8))
    assert len(dataset[0].objects) == 1 and dataset[0].categories == ("cat",)


def test_images_may_name_what_is_annotated_in_them(folder):
    images = [
        {"id": 7, "file_name": "a.png", "category_ids": [9, 3]},
        {"id": 8, "file_name": "sub/b.png", "category_ids": [], "key": 5, "caption": "Two."},
    ]
    crowd = _annotation(iscrowd=1)
    first, second = _read(folder, _content(crowd, _annotation(id=2, image_id=8), images=images))
    assert first.categories == ("dog", "cat") and not first.objects
    assert second.categories == ("cat",)
    assert (second.key, second.caption) == ("5", "Two.")


def test_synonyms_are_other_words(folder):
    categories = [{"id": 3, "name": "cat", "synonyms": ["cat", "puss", "puss"]}]
    assert _read(folder, _content(categories=categories))[0].synonyms == {"cat": ("puss",)}


def test_files_that_are_open_together_keep_their_own_classes(folder):
    first = _read(folder, _content(_annotation()))
    others = [{"id": 3, "name": "owl"}]
    second = _read(folder, _content(_annotation(), categories=others))
    assert (first.categories, second.categories) == (("cat", "dog"), ("owl",))
    assert [data[0].objects[0].name for data in (first, second)] == ["cat", "owl"]
    assert [data[0].categories for data in (first, second)] == [("cat", "dog"), ("owl",)]


def test_names_are_told_apart_by_case(folder):
    categories = [{"id": 3, "name": "polo"}, {"id": 4, "name": "Polo"}, {"id": 5, "name": 6}]
    assert _read(folder, _content(categories=categories)).categories == ("polo", "Polo", "6")


def test_no_image_is_opened_before_it_is_asked(tmp_path):
    Image.new("RGB", (10, 8)).save(tmp_path / "a.png")
    images = _content()["images"][:1]
    record = _read(tmp_path, _content(images=images))[0]
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputError, match=r"a\.png"):
        record.open()


def test_image_of_another_size_than_annotated_is_refused(folder):
    images = [{"id": 7, "file_name": "a.png", "width": 8, "height": 10}]
    with pytest.raises(InputError, match=r"8 x 10 pixels\. Received: 10 x 8"):
        _read(folder, _content(images=images))[0].open()


def test_dataset_goes_to_other_processes_without_its_files(folder):
    open_before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    dataset = _read(folder, _content(_annotation(segmentation=RUNS)), masks=True)
    if open_before:
        assert len(os.listdir("/proc/self/fd")) == open_before
    (folder / "notes.json").unlink()
    again = pickle.loads(pickle.dumps(dataset))
    assert (again[0].objects[0].mask == dataset[0].objects[0].mask).all()
    assert again[0].objects[0].bbox == dataset[0].objects[0].bbox


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{broken", "no JSON"),
        (b'{"images": [', "cut short after 12 bytes"),
        (b"[]", "got `array`"),
        (_content(annotations=None), r"Expected `array`, got `null` - at `\$\.annotations`"),
        ({"images": [], "annotations": []}, "missing required field `categories`"),
        ({"images": [], "categories": []}, "missing required field `annotations`"),
        (_content(categories=[{"id": 1}]), "missing required field `name`"),
        (
            _content(
                _annotation(category_id=1),
                _annotation(id=2, category_id=2),
                categories=[{"id": 1, "name": "a"}, {"id": 2, "name": "a"}],
            ),
            "two categories",
        ),
        (_content(categories=[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]), "two categories"),
        (_content(categories=[{"id": 1, "name": " "}]), "a category has no name"),
        (_content(images=[{"id": 7, "file_name": "a.png"}] * 2), "two images share the id 7"),
        (_content(images=[]), "has no image to offer"),
    ],
)
@pytest.mark.parametrize("broken", ["error", "skip"])
def test_read_coco_of_an_unusable_file_names_it_and_the_reason(folder, content, reason, broken):
    with pytest.raises(InputError, match=rf"notes\.json .*{reason}"):
        _read(folder, content, broken=broken)


def test_files_that_are_missing(folder):
    with pytest.raises(InputError, match=r"gone\.json"):
        read_coco(folder / "gone.json", folder)
    (folder / "notes.json").write_text(json.dumps(_content()))
    with pytest.raises(InputError, match="folder of images"):
        read_coco(folder / "notes.json", folder / "gone")


@pytest.mark.parametrize(
    ("entry", "item", "reason"),
    [
        ("text", r"annotations\[1\]", "Expected `object`, got `str`"),
        ({"id": 2, "image_id": 7}, r"annotations\[1\]", "missing required field `category_id`"),
        (_annotation(id=2, image_id=[7]), r"annotations\[1\]", r"at `\$\.image_id`"),
        (_annotation(id=2, bbox=[1, 2, 3]), r"annotations\[1\]", "length 4"),
        (_annotation(id=2, bbox=[1, 2, 3, "4"]), r"annotations\[1\]", "got `str`"),
        (_annotation(id=2, bbox=None), r"annotations\[1\]", "got `null`"),
        (_annotation(id=2, attributes=[1]), r"annotations\[1\]", r"at `\$\.attributes`"),
        (_annotation(), "annotation 1", "another annotation has its id"),
        (_annotation(id=2, image_id=99), "annotation 2", "unknown image"),
        (_annotation(id="x", category_id=4), "annotation x", "unknown category"),
        (_annotation(id=None, category_id=4), "annotation at index 1", "unknown category"),
        (_annotation(id=2, area=-1), "annotation 2", "area is negative"),
        (_annotation(id=2, keypoints=[1, 2]), "annotation 2", "x, y and visibility"),
        (_annotation(id=2, keypoints={"a": 1}), "annotation 2", "x, y and visibility"),
        (_annotation(id=2, keypoints=[1, 2, 2, 1, 2, 2]), "annotation 2", "another number"),
        (_annotation(id=2, keypoints=[1e300, 2, 2]), "annotation 2", "not finite"),
    ],
)
def test_annotation_that_is_broken_is_raised_or_left_out(folder, entry, item, reason):
    categories = [{"id": 3, "name": "cat", "keypoints": ["nose"]}, {"id": 9, "name": "dog"}]
    content = _content(_annotation(), entry, categories=categories)
    with pytest.raises(InputError, match=rf"{item} in .*notes\.json: .*{reason}"):
        _read(folder, content)
    dataset = _read(folder, content, broken="skip")
    assert len(dataset.problems) == 1 and len(dataset[0].objects) == 1


def test_class_of_an_annotation_left_out_is_not_known_to_be_absent(folder):
    broken = _annotation(category_id=9, bbox=None)
    dataset = _read(folder, _content(broken), broken="skip")
    assert [record.categories for record in dataset] == [("cat",), ("cat", "dog")]


ONE_CLASS = [{"id": 3, "name": "cat"}]


def test_box_without_area_leaves_its_image_something_to_ask_for(folder):
    content = _content(_annotation(bbox=[1, 2, 0, 3]), categories=ONE_CLASS)
    record = _read(folder, content)[0]
    assert (record.objects, record.categories) == ((), ("cat",))
    for training in (True, False):
        sample = detection_conversation(record, random.Random(0), training)
        assert sample.targets[0]["bboxes"].shape == (0, 4)


def test_image_of_which_nothing_is_known_is_left_out(folder):
    entries = (_annotation(bbox=None), _annotation(id=2, image_id=8))
    dataset = _read(folder, _content(*entries, categories=ONE_CLASS), broken="skip")
    assert [record.key for record in dataset] == ["sub/b.png"]
    assert len(dataset[0].objects) == 1
    assert dataset.problems.reasons()["nothing is known of it"] == 1


@pytest.mark.parametrize(
    "polygons", [[[]], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5, 6, 7]], [SQUARE[0], []]]
)
def test_polygon_without_three_points_is_found_at_opening(folder, polygons):
    content = _content(_annotation(segmentation=polygons), _annotation(id=2))
    with pytest.raises(InputError, match=r"annotation 1 in .* a polygon of it"):
        _read(folder, content, masks=True)
    assert len(_read(folder, content, masks=True, broken="skip")[0].objects) == 1
    assert len(_read(folder, content)[0].objects) == 2


@pytest.mark.parametrize(
    "segmentation", [{"size": [10, 8], "counts": [80]}, {"size": 8, "counts": [8]}, {"counts": [8]}]
)
def test_mask_of_another_size_than_the_image_is_found_at_opening(folder, segmentation):
    content = _content(_annotation(segmentation=segmentation), _annotation(id=2))
    with pytest.raises(InputError, match=r"annotation 1 in .*notes\.json: its run lengths do not"):
        _read(folder, content, masks=True)
    dataset = _read(folder, content, masks=True, broken="skip")
    assert len(dataset[0].objects) == len(dataset.problems) == 1
    assert len(_read(folder, content)[0].objects) == 2


def test_mask_of_another_size_than_an_image_whose_file_tells_its_size(folder):
    images = [{"id": 7, "file_name": "a.png"}]
    entry = _annotation(segmentation={"size": [10, 8], "counts": [80]})
    dataset = _read(folder, _content(entry, images=images), masks=True)
    with pytest.raises(InputError, match=r"annotation 1 in .*notes\.json: .*Image: a\.png"):
        dataset[0]


def test_ids_as_floats_and_iscrowd_null(folder):
    entry = _annotation(id=1.0, image_id=7.0, category_id=3.0, iscrowd=None)
    record = _read(folder, _content(entry))[0]
    assert [item.name for item in record.objects] == ["cat"] and not record.ignored


def test_empty_category_with_the_name_of_another_is_left_out(folder):
    categories = [{"id": 0, "name": "cat"}, {"id": 3, "name": "cat"}, {"id": 9, "name": "dog"}]
    dataset = _read(folder, _content(_annotation(), categories=categories))
    assert dataset.categories == ("cat", "dog")
    assert dataset[0].objects[0].name == "cat"
    (problem,) = dataset.problems
    assert problem.item == "category 0" and problem.harmless


@pytest.mark.parametrize("literal", ["NaN", "Infinity"])
def test_numbers_that_json_does_not_know_are_refused(folder, literal):
    text = json.dumps(_content(_annotation(bbox=[1, 2, 3, float(literal)]))).encode()
    with pytest.raises(InputError, match=r"notes\.json .* no JSON: .*byte"):
        _read(folder, text)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"file_name": "gone.png"}, r"\(gone\.png\) in .*notes\.json: its image is not in the fol"),
        ({"file_name": "a\0.png"}, "its image is not in the folder"),
        ({"file_name": "sub"}, "its image is not in the folder"),
        ({"file_name": None}, "got `null`"),
        ({"width": 0}, "whole numbers from 1 on"),
        ({"height": -8}, "whole numbers from 1 on"),
        ({"width": 9.5}, "whole numbers from 1 on"),
        ({"width": 10**9}, "pixels"),
        ({"category_ids": [4]}, "unknown category"),
    ],
)
def test_image_that_is_broken_is_raised_or_left_out_with_its_annotations(folder, changes, reason):
    first, second = _content()["images"]
    content = _content(_annotation(), images=[{**first, **changes}, second])
    with pytest.raises(InputError, match=reason):
        _read(folder, content)
    dataset = _read(folder, content, broken="skip")
    assert [record.key for record in dataset] == ["sub/b.png"]
    assert len(dataset.problems) == 1 and dataset[0].objects == ()


def test_set_of_which_nothing_is_left_is_refused(folder):
    images = [{"id": 1, "file_name": "gone.png"}]
    with pytest.raises(InputError, match=r"no image to offer.*1 x its image is not in"):
        _read(folder, _content(images=images), broken="skip")


BASE = json.dumps(
    _content(
        _annotation(segmentation=SQUARE, area=9.5, keypoints=[1, 2, 2], attributes={"a": 1}),
        _annotation(id=2, segmentation=RUNS, iscrowd=1, category_id=9),
        _annotation(id=3, segmentation={"size": [8, 10], "counts": "P1"}, image_id=8),
        categories=[{"id": 3, "name": "cat", "keypoints": ["nose"]}, {"id": 9, "name": "dog"}],
    )
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-3, 12) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


def _places(node, path=()):
    """Paths of all that a JSON value holds."""
    if not isinstance(node, dict | list):
        return
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        yield (*path, key)
        yield from _places(value, (*path, key))


PLACES = list(_places(json.loads(BASE)))


def _check_records_or_error(folder, content, broken):
    """Only an InputError may come out, or records that hold what records promise."""
    try:
        for record in _read(folder, content, masks=True, broken=broken):
            assert record.open().size == record.size
            for item in (*record.objects, *record.ignored):
                assert item.mask is None or item.mask.shape == record.size[::-1]
                assert item.keypoints is None or np.isfinite(item.keypoints).all()
    except InputError:
        pass


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, len(BASE) - 1), st.integers(0, 7)), max_size=4),
    st.integers(0, len(BASE) * 9),
    st.sampled_from(["error", "skip"]),
)
def test_any_damaged_bytes_are_records_or_an_error(folder, flips, length, broken):
    data = bytearray(BASE.encode())
    for place, bit in flips:
        data[place] ^= 1 << bit
    _check_records_or_error(folder, bytes(data[:length]), broken)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.sampled_from(PLACES), VALUES | st.just(...)), min_size=1, max_size=3),
    st.sampled_from(["error", "skip"]),
)
def test_any_changed_values_are_records_or_an_error(folder, changes, broken):
    content = copy.deepcopy(json.loads(BASE))
    for path, value in changes:
        node = content
        try:
            for key in path[:-1]:
                node = node[key]
            if value is ...:
                del node[path[-1]]
            else:
                node[path[-1]] = value
        except (IndexError, KeyError, TypeError):  # an earlier change took the place away
            continue
    _check_records_or_error(folder, content, broken)


@pytest.mark.parametrize("split", ["train", "val"])
def test_read_coco_of_real_images(coco_mini, split):
    pytest.importorskip("pycocotools")
    dataset = read_coco(coco_mini / f"instances_{split}.json", coco_mini / "images", masks=True)
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


def test_read_coco_of_real_keypoints(coco_mini):
    dataset = read_coco(coco_mini / "person_keypoints_val.json", coco_mini / "images")
    people = [item for record in dataset for item in record.objects]
    assert people and all(item.keypoints.shape == (17, 3) for item in people)
