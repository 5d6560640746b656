"""Files of keypoints: what the points are called, what is known of them, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from superlink.data import keypoint_set, read_coco_keypoints
from superlink.errors import ConfigError, InputError
from superlink.interfaces import DEFAULT_SIGMA

CAT = {"id": 3, "name": "house_cat", "keypoints": ["Nose", "L_Eye", "R_Eye"]}
DOG = {"id": 9, "name": "dog", "keypoints": ["neck", "tip_of_tail"], "skeleton": [[1, 2]]}


def _annotation(**changes):
    points = [1, 2, 2, 3, 4, 1, 0, 0, 0]
    entry = {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 2, 4, 3], "keypoints": points}
    return {**entry, **changes}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keypoints")
    Image.new("RGB", (10, 8)).save(folder / "a.png")
    return folder


def _read(folder, *annotations, categories=(CAT, DOG), keypoints=None, **options):
    content = {
        "images": [{"id": 7, "file_name": "a.png", "width": 10, "height": 8}],
        "categories": list(categories),
        "annotations": list(annotations),
    }
    (folder / "notes.json").write_text(json.dumps(content))
    return read_coco_keypoints(folder / "notes.json", folder, keypoints, **options)


def test_each_class_has_a_set_in_words(folder):
    dog = _annotation(id=2, category_id=9, keypoints=[5, 6, 2, 0, 0, 0])
    record = _read(folder, _annotation(), dog)[0]
    assert record.categories == ("house cat", "dog")
    cat, dog = (record.keypoint_sets[name] for name in record.categories)
    assert cat.names == ("nose", "left eye", "right eye")
    assert cat.sigmas == (0.026, 0.025, 0.025) and cat.sides == (("left eye", "right eye"),)
    assert set(cat.limbs) == {
        ("left eye", "right eye"),
        ("nose", "left eye"),
        ("nose", "right eye"),
    }
    assert dog.names == ("neck", "tip of tail") and dog.limbs == (("neck", "tip of tail"),)
    assert dog.sigmas[1] == DEFAULT_SIGMA and dog.sides is None
    first, second = record.objects
    assert first.keypoints.tolist() == [[1, 2, 2], [3, 4, 1], [0, 0, 0]]
    assert second.keypoints.tolist() == [[5, 6, 2], [0, 0, 0]]


def test_object_without_a_labelled_keypoint_is_kept(folder):
    record = _read(folder, _annotation(keypoints=[0] * 9), _annotation(id=2, keypoints=None))[0]
    assert [item.bbox for item in record.objects] == [(1, 2, 5, 5)] * 2
    assert (record.objects[0].keypoints == 0).all() and record.objects[1].keypoints is None


def test_crowds_are_ignored_and_their_class_keeps_its_set(folder):
    record = _read(folder, _annotation(iscrowd=1, keypoints=[0] * 9))[0]
    assert record.objects == () and [item.name for item in record.ignored] == ["house cat"]
    assert "house cat" not in record.categories
    assert set(record.keypoint_sets) == {"house cat", "dog"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bbox": None}, "bbox"),
        ({"keypoints": [1, 2, 2]}, "another number of keypoints"),
        ({"keypoints": [1, 2, 2, 3]}, "x, y and visibility"),
        ({"keypoints": [1e300] * 9}, "not finite"),
        ({"keypoints": ["x"] * 9}, "x, y and visibility"),
    ],
)
def test_broken_annotations_are_refused_or_counted(folder, changes, reason):
    with pytest.raises(InputError, match=reason):
        _read(folder, _annotation(**changes))
    dataset = _read(folder, _annotation(**changes), broken="skip")
    assert len(dataset.problems) == 1 and reason in str(dataset.problems.found[0])
    assert dataset[0].objects == () and dataset[0].categories == ("dog",)


def test_annotation_without_a_box_is_broken(folder):
    bare = _annotation()
    del bare["bbox"]
    with pytest.raises(InputError, match="bbox"):
        _read(folder, bare)
    assert _read(folder, bare, _annotation(id=2), broken="skip")[0].objects[0].keypoints is not None


def test_coordinate_that_is_no_number_is_no_json(folder):
    with pytest.raises(InputError, match=r"no usable COCO file of keypoints"):
        _read(folder, _annotation(keypoints=[float("nan")] * 9), broken="skip")


@pytest.mark.parametrize("names", [["Nose", "nose"], ["L_Knee", "left knee"], ["nose", ""]])
def test_names_that_collide_are_refused(folder, names):
    with pytest.raises(InputError, match="'cat'"):
        _read(folder, categories=[{"id": 3, "name": "cat", "keypoints": names}])


def test_nameless_points_need_a_set(folder):
    hand = {"id": 3, "name": "hand"}
    entry = _annotation(keypoints=[1, 1, 2] * 21)
    with pytest.raises(InputError, match=r"'hand' have 21 keypoints.*option `keypoints`.*or hand"):
        _read(folder, entry, categories=[hand, DOG])
    record = _read(folder, entry, categories=[hand], keypoints="hand")[0]
    assert record.keypoint_sets == {"hand": keypoint_set("hand")}
    with pytest.raises(InputError, match="another number of keypoints"):
        _read(folder, _annotation(), categories=[hand], keypoints="hand")


def test_file_without_keypoints_is_refused(folder):
    bare = {"id": 3, "name": "cat"}
    with pytest.raises(InputError, match="none of its categories has keypoints"):
        _read(folder, _annotation(keypoints=None), categories=[bare])


def test_class_without_keypoints_is_read_beside_others(folder):
    car = {"id": 5, "name": "car", "keypoints": []}
    entry = _annotation(id=2, category_id=5, keypoints=[])
    record = _read(folder, entry, categories=[CAT, car])[0]
    assert record.categories == ("house cat", "car") and set(record.keypoint_sets) == {"house cat"}
    assert record.objects[0].keypoints is None


def test_named_set_goes_before_the_names_of_the_file(folder, tmp_path):
    path = tmp_path / "face.json"
    path.write_text('{"names": ["snout", "left eye", "right eye"], "sigmas": [0.1, 0.2, 0.3]}')
    record = _read(folder, _annotation(), categories=[CAT], keypoints=path)[0]
    assert record.keypoint_sets["house cat"] == keypoint_set(path)
    with pytest.raises(InputError, match=r"has 3 keypoints.*has 17"):
        _read(folder, _annotation(), categories=[CAT], keypoints="coco")
    with pytest.raises(ConfigError, match="Did you mean 'coco'"):
        _read(folder, _annotation(), keypoints="cocos")


@pytest.mark.parametrize(
    ("skeleton", "limbs"),
    [
        ([[1, 2], [2, 3]], {("nose", "left eye"), ("left eye", "right eye")}),
        ([[0, 2]], {("nose", "right eye")}),
        ([[1, 2], [3, 4]], None),
        ([[-1, 2]], None),
        ([["nose", "left eye"]], None),
        ([], None),
        (None, None),
    ],
)
def test_skeleton_of_the_file_is_taken_where_it_fits(folder, skeleton, limbs):
    dataset = _read(folder, _annotation(), categories=[{**CAT, "skeleton": skeleton}])
    found = set(dataset.keypoint_sets["house cat"].limbs)
    assert found == (
        limbs or set(keypoint_set("coco").part(["nose", "left eye", "right eye"]).limbs)
    )


@pytest.mark.parametrize("name", ["coco", "crowdpose", "ap10k"])
def test_names_of_a_data_set_bring_its_set(folder, name):
    known = keypoint_set(name)
    written = [word.replace(" ", "_") for word in known.names]
    category = {"id": 3, "name": "person", "keypoints": written, "skeleton": [[16, 90]]}
    found = _read(folder, categories=[category]).keypoint_sets["person"]
    assert (found.names, found.sigmas, found.limbs) == (known.names, known.sigmas, known.limbs)
    assert (found.mirror_order() == known.mirror_order()).all()


@pytest.mark.parametrize("part", ["train", "val"])
def test_reader_agrees_with_pycocotools(coco_mini, part):
    coco = pytest.importorskip("pycocotools.coco")
    path = coco_mini / f"person_keypoints_{part}.json"
    known, records = coco.COCO(str(path)), read_coco_keypoints(path, coco_mini / "images")
    (category,) = known.loadCats(known.getCatIds())
    names = [name.replace("_", " ") for name in category["keypoints"]]
    labelled = 0
    for image, record in zip(known.loadImgs(known.getImgIds()), records, strict=True):
        assert record.key == image["file_name"]
        assert list(record.keypoint_sets["person"].names) == names
        entries = known.loadAnns(known.getAnnIds([image["id"]]))
        crowds = [entry for entry in entries if entry["iscrowd"]]
        assert len(record.ignored) == len(crowds)
        alone = [entry for entry in entries if not entry["iscrowd"]]
        for entry, item in zip(alone, record.objects, strict=True):
            expected = np.reshape(entry["keypoints"], (17, 3))
            assert np.abs(item.keypoints - expected).max() <= 1e-6
            assert (item.keypoints[:, 2] > 0).sum() == entry["num_keypoints"]
            assert item.area == pytest.approx(entry["area"], abs=1e-6)
            labelled += entry["num_keypoints"] > 0
    assert labelled
