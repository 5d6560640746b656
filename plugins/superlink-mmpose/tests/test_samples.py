from dataclasses import replace

import pytest
import torch

from superlink.errors import InputError
from superlink.interfaces import DEFAULT_SIGMA, Geometry, KeypointSet
from superlink_mmpose.samples import asked_keypoints, instance_call, keypoint_targets

from .conftest import draw_call


def changed(call, **target):

    return replace(call, target={**call.target, **target})


def targets(call, geometry=None):
    geometry = geometry or call.geometry
    seen = torch.ones(len(call.target["bboxes"]), dtype=torch.bool)
    return keypoint_targets(call, geometry, seen)


def test_the_routes_of_a_call_are_told_apart_by_their_tokens():
    call = draw_call(2, num_keypoints=3)
    assert instance_call(call).phrases == ("thing 0", "thing 1")
    assert asked_keypoints(call).names == ("joint 0", "joint 1", "joint 2")


def test_keypoints_and_their_unit_grow_with_the_stream():
    call = changed(draw_call(1, size=(64, 64)), areas=torch.tensor([400.0]))
    small, large = targets(call), targets(call, call.geometry.resized((128, 128)))
    assert torch.allclose(small["keypoints"], call.target["keypoints"])
    assert torch.allclose(large["keypoints"], 2 * small["keypoints"])
    assert small["sizes"].tolist() == [20.0] and large["sizes"].tolist() == [40.0]
    assert torch.allclose(small["units"], torch.full((1, 2), 2 * 0.1 * 20))


def test_a_set_that_nobody_knows_has_the_default_sigma():
    call = draw_call(1)
    bare = {key: value for key, value in call.target.items() if key != "keypoint_set"}

    found = targets(replace(call, target=bare))
    assert torch.allclose(found["units"], 2 * DEFAULT_SIGMA * found["sizes"][:, None])


def test_a_keypoint_that_a_crop_leaves_outside_is_not_labelled():
    call = changed(draw_call(1, size=(64, 64)), keypoints=torch.tensor([[[10.0, 10], [40, 40]]]))
    found = targets(call, Geometry.identity((64, 64)).cropped((32, 32, 64, 64)))
    assert found["labelled"].tolist() == [[0.0, 1.0]]


def test_what_is_not_labelled_may_be_anything():
    points = torch.tensor([[[torch.nan, 3.0], [4.0, 4.0]]])
    call = changed(draw_call(1), keypoints=points, keypoints_visible=torch.tensor([[0.0, 1.0]]))
    found = targets(call)
    assert found["keypoints"].isfinite().all()
    assert found["labelled"].tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ({"keypoints": torch.full((1, 2, 2), torch.nan)}, "must be finite"),
        ({"keypoints": torch.zeros(1, 3, 2)}, r"Received: \(1, 3, 2\)"),
        ({"keypoints_visible": torch.zeros(2, 2)}, r"and \(2, 2\)"),
        ({"keypoint_set": KeypointSet(("nose",))}, "a keypoint_set of 1"),
    ],
)
def test_keypoints_that_do_not_fit_are_refused(target, told):
    with pytest.raises(InputError, match=told):
        targets(changed(draw_call(1), **target))


def test_a_target_without_keypoints_is_refused_where_some_are_asked_for():
    call = draw_call(1)

    bare = {key: call.target[key] for key in ("bboxes", "labels")}
    with pytest.raises(InputError, match=r"Received: \['bboxes', 'labels'\]"):
        targets(replace(call, target=bare))


def test_a_name_that_comes_twice_is_numbered():
    call = replace(draw_call(1), phrases=("thing", "Nose", "nose"))
    assert asked_keypoints(call).names == ("Nose", "nose (2)")


def test_names_that_are_known_bring_their_limbs_and_sigmas():
    call = replace(draw_call(1), phrases=("man", "left knee", "left ankle"))
    known = asked_keypoints(call)
    assert {frozenset(pair) for pair in known.limbs} == {frozenset(known.names)}
    assert known.sigmas == (0.087, 0.089)


def test_a_call_of_keypoints_alone_is_refused():

    call = replace(draw_call(1), tokens=("[KPT]",), phrases=("nose",))
    with pytest.raises(InputError, match=r"needs a \[POSE\] before its \[KPT\]"):
        instance_call(call)
