"""What `mmpose.top_down` makes of requests and targets, well formed or not."""

from dataclasses import replace

import pytest
import torch

from superlink.errors import ConfigError, InputError
from superlink.interfaces import Geometry
from superlink.registry import default_registry

from .conftest import draw_call, links_of
from .crops import TINY_DETECTOR, prepared, top_down

DETECTOR = {"boxes": "mmdet.deformable_detr", "detector": TINY_DETECTOR, "max_boxes": 5}
both_stages = pytest.mark.parametrize("changes", [{}, DETECTOR], ids=["image", "detector"])


def predictions(decoder, *calls):
    bare = [replace(call, target=None) for call in calls]
    return decoder.predict(links_of(calls), prepared(decoder, *bare, training=False))


def losses(decoder, *calls):
    return decoder.loss(links_of(calls), prepared(decoder, *calls))


def with_target(call, **changes):
    return replace(call, target={**call.target, **changes})


@both_stages
def test_permuted_keypoints_permute_results_and_cost_the_same(changes):
    made, call, order = (
        top_down(**changes),
        draw_call(num_keypoints=5, per_route=2),
        [3, 0, 4, 1, 2],
    )
    moved = replace(
        call,
        phrases=(call.phrases[0], *(call.phrases[1 + i] for i in order)),
        target={
            **call.target,
            "keypoints": call.target["keypoints"][:, order],
            "keypoints_visible": call.target["keypoints_visible"][:, order],
        },
    )
    (before,), (after,) = predictions(made, call), predictions(made, moved)
    assert after.keypoint_set.names == tuple(before.keypoint_set.names[i] for i in order)
    torch.testing.assert_close(after.keypoints, before.keypoints[:, order], atol=1e-3, rtol=0)
    torch.testing.assert_close(after.keypoint_scores, before.keypoint_scores[:, order])
    one, other = losses(made, call), losses(made, moved)
    for name, (value, count) in one.items():
        assert other[name][0].item() == pytest.approx(value.item(), rel=1e-4)
        assert other[name][1] == count


@pytest.mark.parametrize("number", [1, 100])
def test_any_number_of_keypoints_can_be_asked_for(number):
    (found,) = predictions(top_down(), draw_call(num_keypoints=number))
    assert found.keypoints.shape == (1, number, 2)
    assert found.keypoint_scores.shape == (1, number)
    assert found.keypoint_set.names == tuple(f"joint {index}" for index in range(number))


def test_keypoints_of_one_name_stay_apart():
    (found,) = predictions(top_down(), replace(draw_call(), phrases=("thing", "Nose", "nose")))
    assert found.keypoint_set.names == ("Nose", "nose (2)")
    assert [point["name"] for point in found.to_json()["instances"][0]["keypoints"]] == (
        ["Nose", "nose (2)"]
    )


@both_stages
def test_request_without_keypoints_gets_boxes_alone_and_trains(changes):
    made, call = top_down(**changes), draw_call(num_keypoints=0)
    (found,) = predictions(made, call)
    assert found.keypoints.shape == (len(found.bboxes), 0, 2)
    assert len(found.bboxes) > 0 and found.to_json()["instances"][0]["keypoints"] == []
    terms = losses(made, call)
    assert terms["loss_kpt"][0].item() == terms["loss_kpt"][1] == 0
    assert sum(value.item() for value, _ in terms.values()) > 0


@both_stages
def test_picture_without_what_is_asked_for_teaches_no_keypoint(changes):
    made, call = top_down(**changes), draw_call(per_route=0)
    terms = losses(made, call)
    assert terms["loss_kpt"][0].item() == terms["loss_kpt"][1] == 0
    total = sum(value for value, _ in terms.values())
    assert total.isfinite() and total.requires_grad


def test_detector_that_finds_nothing_gives_no_instance():
    made = top_down(**DETECTOR, score_threshold=1.0)
    first, second = predictions(made, draw_call(num_keypoints=2), draw_call(num_keypoints=3))
    assert first.keypoints.shape == (0, 2, 2) and second.keypoints.shape == (0, 3, 2)
    assert first.scores.shape == (0,) and second.to_json() == {"instances": []}


def test_whole_image_is_the_box_of_each_route_and_of_a_call_given_as_a_crop():
    made, call = top_down(), draw_call(num_routes=2, size=(96, 64))
    (found,) = predictions(made, call)
    assert sorted(found.labels.tolist()) == [0, 1]
    assert found.bboxes.tolist() == [pytest.approx([0, 0, 96, 64], abs=1e-3)] * 2
    box = (20, 10, 60, 50)
    given = replace(
        call, image=call.image.crop(box), geometry=Geometry.identity((64, 96)).cropped(box)
    )
    (found,) = predictions(made, given)
    assert found.bboxes.tolist() == [pytest.approx(list(box), abs=1e-3)] * 2
    assert (found.keypoints >= torch.tensor([15.0, 5.0])).all()
    assert (found.keypoints <= torch.tensor([65.0, 55.0])).all()


def test_score_is_that_of_the_box_times_the_mean_of_its_keypoints():
    made, call = top_down(**DETECTOR), draw_call()
    bare = replace(call, target=None, tokens=call.tokens[:1], phrases=call.phrases[:1])
    (boxes,) = predictions(made, bare)
    (found,) = predictions(made, call)
    best = boxes.bboxes.sub(found.bboxes[0]).abs().sum(1).argmin()
    expected = boxes.scores[best] * found.keypoint_scores[0].mean()
    assert found.scores[0].item() == pytest.approx(expected.item(), rel=1e-4)
    assert (found.scores.diff() <= 0).all() and len(found.scores) <= 5


def test_weights_of_losses_count():
    call = draw_call()
    plain, doubled = losses(top_down(), call), losses(top_down(loss_kpt=200, loss_score=0), call)
    assert doubled["loss_kpt"][0].item() == pytest.approx(2 * plain["loss_kpt"][0].item())
    assert doubled["loss_score"][0].item() == 0 < plain["loss_score"][0].item()
    assert doubled["loss_kpt"][1] == plain["loss_kpt"][1] == 2 * 2  # of the image and of the box


def test_unlabelled_keypoints_may_lie_anywhere_and_labelled_ones_may_not():
    made, call = top_down(), draw_call()
    hidden = torch.tensor([[2.0, 0.0]])
    strange = call.target["keypoints"].clone()
    strange[0, 1] = float("nan")
    terms = losses(made, with_target(call, keypoints=strange, keypoints_visible=hidden))
    assert terms["loss_kpt"][1] == 2 and terms["loss_kpt"][0].isfinite()
    with pytest.raises(InputError, match="must be finite"):
        losses(made, with_target(call, keypoints=strange))


def without(call, key):
    return replace(call, target={name: v for name, v in call.target.items() if name != key})


@both_stages
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda call: replace(call, tokens=("[KPT]",) * 3), "needs a .POSE. before"),
        (lambda call: without(call, "bboxes"), "needs bboxes"),
        (lambda call: without(call, "keypoints"), "needs keypoints"),
        (lambda call: with_target(call, keypoints=torch.zeros(1, 4, 2)), "need keypoints"),
        (lambda call: with_target(call, labels=torch.tensor([1])), "labels are indices"),
        (lambda call: with_target(call, bboxes=torch.tensor([[9.0, 9, 9, 20]])), "x2 > x1"),
        (lambda call: replace(call, target=None), "needs a target"),
        (lambda call: replace(call, image=None, geometry=None), "needs an image"),
    ],
)  # fmt: skip
def test_bad_calls_are_told_what_is_wrong(changes, spoil, words):
    with pytest.raises(InputError, match=words):
        top_down(**changes).prepare(spoil(draw_call()), training=True)


def test_loss_of_calls_without_targets_is_refused():
    made, call = top_down(), draw_call()
    inputs = prepared(made, replace(call, target=None), training=False)
    with pytest.raises(InputError, match="needs calls with targets"):
        made.loss(links_of([call]), inputs)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"detector": {"num_levels": 3}}, "no detector"),
        ({"boxes": "mmdet.deformable_detr", "detector": {"image_size": (9, 9)}}, "image_size"),
        ({"boxes": "mmdet.deformable_detr", "detector": {"fusion": True}}, "fusion"),
        ({"crop_size": (250, 192)}, "multiples of stride"),
        ({"final_layer_kernel_size": 4}, "odd"),
        ({"head": {"type": "RTMCCHead", "out_channels": 17}}, "out_channels"),
        ({"codec": {"input_size": (3, 4)}}, "input_size"),
    ],
)
def test_config_that_does_not_fit_is_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        default_registry().build("decoder", "mmpose.top_down", changes)
