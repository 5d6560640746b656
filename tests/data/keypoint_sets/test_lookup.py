"""Sets of keypoints: what the built-in ones hold, and what is known of names alone."""

from __future__ import annotations

import importlib.util
import json
import random
from importlib.metadata import distribution

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superlink.data import keypoint_set, keypoint_set_names, known_keypoints
from superlink.data.flipping import mirror_words
from superlink.errors import ConfigError, InputError
from superlink.interfaces import DEFAULT_SIGMA

SIZES = {
    "300w": 68,
    "ap10k": 17,
    "coco": 17,
    "crowdpose": 14,
    "hand": 21,
    "human_art": 17,
    "macaque": 17,
}


def test_built_in_sets_have_their_points():
    assert {name: len(keypoint_set(name)) for name in keypoint_set_names()} == SIZES


@pytest.mark.parametrize("name", SIZES)
def test_points_trade_places_in_pairs_and_where_their_words_do(name):
    known = keypoint_set(name)
    order = known.mirror_order()
    assert (order[order] == order.new_tensor(range(len(known)))).all()
    for index, other in enumerate(order.tolist()):
        if mirror_words(known.names[index]) != known.names[index]:
            assert known.names[other] == mirror_words(known.names[index])


@pytest.mark.parametrize("name", ["coco", "crowdpose", "ap10k", "300w", "hand"])
def test_tables_say_what_mmpose_says(name):
    """Points that trade places and sigmas, in its order; 300W and hands have those of WholeBody."""
    if not importlib.util.find_spec("mmpose"):
        pytest.skip("mmpose is not installed")
    source = {"300w": "coco_wholebody_face", "hand": "coco_wholebody_hand"}.get(name, name)
    path = f"mmpose/.mim/configs/_base_/datasets/{source}.py"
    content = {}
    exec(distribution("mmpose").locate_file(path).read_text(), content)  # a dict, and no more
    points = list(content["dataset_info"]["keypoint_info"].values())
    index = {point["name"]: number for number, point in enumerate(points)}
    known = keypoint_set(name)
    assert known.sigmas == tuple(content["dataset_info"]["sigmas"])
    assert known.mirror_order().tolist() == [
        index[point["swap"] or point["name"]] for point in points
    ]
    if name != "300w":
        links = content["dataset_info"]["skeleton_info"].values()
        joined = {frozenset(map(index.get, link["link"])) for link in links}
        assert {frozenset(known.indices(limb)) for limb in known.limbs} == joined


def test_sets_of_files_are_read(tmp_path):
    path = tmp_path / "bird.json"
    path.write_text(json.dumps({"names": ["beak", "left wing", "right wing"]}))
    bird = keypoint_set(path)
    assert bird == keypoint_set(str(path))
    assert bird.sigmas == (DEFAULT_SIGMA,) * 3 and bird.sides == (("left wing", "right wing"),)
    path.write_text(
        json.dumps({"names": ["a", "b"], "sigmas": [0.1, 0.2], "limbs": [["a", "b"]], "sides": []})
    )
    other = keypoint_set(path)
    assert (other.sigmas, other.limbs, other.sides) == ((0.1, 0.2), (("a", "b"),), ())


def test_unknown_set_names_the_nearest():
    with pytest.raises(ConfigError, match=r"'cocoo'.*Did you mean 'coco'.*ap10k"):
        keypoint_set("cocoo")


@pytest.mark.parametrize("text", ["", "[1]", '{"names": ["a"], "sigma": [1]}', "\xff"])
def test_file_that_is_no_set_is_refused(tmp_path, text):
    path = tmp_path / "set.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"set\.json"):
        keypoint_set(path)
    with pytest.raises(ConfigError, match=r"none\.json"):
        keypoint_set(tmp_path / "none.json")


def test_file_whose_names_collide_is_refused(tmp_path):
    path = tmp_path / "set.json"
    path.write_text('{"names": ["nose", "Nose"]}')
    with pytest.raises(InputError, match="nose"):
        keypoint_set(path)


def test_known_names_have_sigmas_and_limbs_and_others_the_default():
    found = known_keypoints(["Left Knee", "antenna", "left hip", "nose"])
    assert found.names == ("Left Knee", "antenna", "left hip", "nose")
    assert found.sigmas == (0.087, DEFAULT_SIGMA, 0.107, 0.026)
    assert found.limbs == (("Left Knee", "left hip"),)
    assert found.sides is None


def test_set_that_knows_most_of_the_names_decides():
    assert known_keypoints(["neck", "left front paw"]).sigmas == (0.035, 0.062)
    assert known_keypoints(["neck", "left wrist"]).sigmas == (0.079, 0.062)


@pytest.mark.parametrize(
    ("names", "sides"),
    [
        (["nose"], ()),
        (["nose", "left eye"], None),
        (["left eye", "right eye"], (("left eye", "right eye"),)),
        (["left wing", "right wing"], (("left wing", "right wing"),)),
        (["face contour 1", "face contour 17"], (("face contour 1", "face contour 17"),)),
        (["face contour 1", "face contour 9"], None),
        (["wrist", "thumb 1"], ()),
        (["beak", "crown"], None),
    ],
)
def test_sides_of_some_names_are_known_where_none_is_missing(names, sides):
    assert known_keypoints(names).sides == sides


@pytest.mark.parametrize("name", SIZES)
def test_names_of_a_set_in_any_order_and_case_bring_it_back(name):
    known = keypoint_set(name)
    names = random.Random(0).sample(known.names, len(known))
    found = known_keypoints([word.title() for word in names])
    part = known.part(names)
    assert found.sigmas == part.sigmas
    assert [tuple(map(str.lower, limb)) for limb in found.limbs] == list(part.limbs)
    assert (found.mirror_order() == part.mirror_order()).all()


def test_names_that_come_again_or_are_blank_have_their_number():
    found = known_keypoints(["nose", "Nose", " ", "nose (2)"])
    assert found.names == ("nose", "Nose (2)", "keypoint 3", "nose (2) (4)")


@given(st.lists(st.one_of(st.text(max_size=5), st.sampled_from(["nose", "left eye", "NOSE "]))))
def test_any_names_make_a_set(names):
    found = known_keypoints(names)
    assert len(found) == len(names)
    assert known_keypoints(found.names) == found
