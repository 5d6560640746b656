"""Crops show what lies in their frames, and points go there and back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from superlink.interfaces import Geometry
from superlink_mmpose.crop_targets import crop_targets
from superlink_mmpose.crops import crop_points, cut, framed, image_points, jittered, shown
from superlink_mmpose.top_down_config import TopDownConfig

SIZE = (64, 48)
sides = st.floats(-100, 200, width=32)


def boxes(*rows):
    return torch.tensor(rows, dtype=torch.float32)


@given(x=sides, y=sides, width=st.floats(0, 90, width=32), height=st.floats(0, 90, width=32))
def test_frame_holds_its_box_in_the_proportions_of_a_crop(x, y, width, height):
    box = boxes([x, y, x + width, y + height])
    (frame,) = framed(box, SIZE, 1.25)
    assert (frame[:2] <= box[0, :2] + 1e-3).all() and (frame[2:] >= box[0, 2:] - 1e-3).all()
    size = frame[2:] - frame[:2]
    assert float(size[0] / size[1]) == pytest.approx(SIZE[1] / SIZE[0], rel=1e-3)
    needed = torch.tensor([max(width, 1), max(height, 1)]) * 1.25
    assert float((size - needed).min()) == pytest.approx(0, abs=1e-2)


@given(x=sides, y=sides)
def test_points_go_to_a_crop_and_back(x, y):
    frames, points = framed(boxes([10, 20, 40, 90]), SIZE, 1.25), torch.tensor([[[x, y]]])
    there = crop_points(points, frames, SIZE)
    torch.testing.assert_close(image_points(there, frames, SIZE), points, atol=1e-3, rtol=1e-4)


def test_crop_of_its_own_size_is_the_image_there():
    image = torch.rand(3, 100, 80)
    crops = cut(image, boxes([16, 20, 64, 84], [0, 36, 48, 100]), SIZE)
    torch.testing.assert_close(crops[0], image[:, 20:84, 16:64], atol=1e-4, rtol=0)
    torch.testing.assert_close(crops[1], image[:, 36:, :48], atol=1e-4, rtol=0)


def test_crop_beyond_the_image_is_zero():
    (crop,) = cut(torch.ones(3, 64, 48), boxes([-24, 0, 24, 64]), SIZE)
    assert (crop[:, :, :23] == 0).all() and (crop[:, 1:-1, 25:] == 1).all()


def test_marked_pixel_is_found_where_its_point_is():
    image = torch.zeros(3, 100, 80)
    image[:, 50, 30] = 1
    frames = framed(boxes([20, 40, 50, 90]), SIZE, 1.0)
    (crop,) = cut(image, frames, SIZE)
    y, x = divmod(int(crop[0].argmax()), SIZE[1])
    wanted = crop_points(torch.tensor([[[30.5, 50.5]]]), frames, SIZE)[0, 0]
    assert torch.tensor([x + 0.5, y + 0.5]).sub(wanted).abs().max() <= 1


def test_jitter_depends_on_the_seed_alone_and_keeps_its_limits():
    box = boxes([0, 0, 100, 50]).repeat(200, 1)
    moved = jittered(box, 1, 0.1, 0.25)
    assert torch.equal(moved, jittered(box, 1, 0.1, 0.25))
    assert not torch.equal(moved, jittered(box, 2, 0.1, 0.25))
    size = (moved[:, 2:] - moved[:, :2]) / torch.tensor([100, 50])
    assert (size.sub(1).abs() <= 0.2501).all() and size.std() > 0.1
    centre = (moved[:, 2:] + moved[:, :2]) / 2 / torch.tensor([100, 50]) - 0.5
    assert (centre.abs() <= 0.1001).all() and centre.std() > 0.04
    torch.testing.assert_close(jittered(box, 1, 0.0, 0.0), box)


def test_stream_shows_the_original_but_for_what_was_cropped_and_padded():
    whole = shown(Geometry.identity((60, 40)).resized((64, 64)))
    assert whole.tolist() == pytest.approx([0, 0, 40, 60])
    cropped = Geometry.identity((60, 40)).cropped((10, 20, 30, 40)).padded((50, 50))
    assert shown(cropped).tolist() == [10, 20, 40, 60]


def items(labels, keypoints=1):
    number = len(labels)
    sizes = torch.arange(1.0, number + 1)[:, None]
    return {
        "bboxes": torch.cat([torch.zeros(number, 2), 10 * sizes, 10 * sizes], dim=1),
        "labels": torch.tensor(labels, dtype=torch.long),
        "keypoints": sizes[:, None].expand(number, keypoints, 2).clone(),
        "labelled": torch.ones(number, keypoints),
    }


def targets(labels, **changes):
    config = TopDownConfig(box_shift=0.0, box_scale=0.0, padding=1.0, **changes)
    geometry = Geometry.identity((256, 192))
    return crop_targets(items(labels), geometry, 2, "key", config)


def test_whole_image_is_a_crop_of_each_route_and_shows_its_largest_instance():
    found = targets([0, 0])
    assert found["frames"][:2].tolist() == [[0, 0, 192, 256]] * 2
    assert found["routes"].tolist() == [0, 1, 0, 0]
    assert found["present"].tolist() == [1, 0, 1, 1]
    assert found["crop_labelled"].tolist() == [[1], [0], [1], [1]]
    # The frame is as large as a crop; the second instance, whose point is (2, 2), is the largest.
    assert found["crop_keypoints"][0, 0].tolist() == [2, 2]


def test_boxes_of_a_detector_leave_the_whole_image_out_unless_there_is_none():
    assert targets([0, 1], boxes="mmdet.deformable_detr")["routes"].tolist() == [0, 1]
    nothing = targets([], boxes="mmdet.deformable_detr")
    assert nothing["routes"].tolist() == [0, 1]
    assert nothing["crop_labelled"].sum() == nothing["present"].sum() == 0


def test_no_more_than_max_boxes_are_cut_out_and_the_key_draws_them():
    found = targets([0] * 9, boxes="mmdet.deformable_detr", max_boxes=4)
    assert len({tuple(one) for one in found["frames"].tolist()}) == 4
    again = targets([0] * 9, boxes="mmdet.deformable_detr", max_boxes=4)
    assert torch.equal(found["frames"], again["frames"])
