"""A few steps on one picture are enough to tell two classes apart."""

import pytest
import torch
from PIL import Image, ImageDraw

from superlink.interfaces import CallInput, Geometry

both_families = pytest.mark.parametrize("family", ["grounding_dino", "deformable_detr"])


def scene():
    """A red rectangle and a blue ellipse with their boxes and masks."""
    image = Image.new("RGB", (64, 64), "grey")
    shapes = [("rectangle", (6, 10, 27, 49), "red"), ("ellipse", (34, 16, 59, 43), "blue")]
    masks = torch.zeros(2, 64, 64, dtype=torch.bool)
    for index, (shape, box, color) in enumerate(shapes):
        getattr(ImageDraw.Draw(image), shape)(box, fill=color)
        single = Image.new("L", (64, 64))
        getattr(ImageDraw.Draw(single), shape)(box, fill=1)
        masks[index] = torch.tensor(list(single.tobytes())).view(64, 64) > 0
    bboxes = torch.tensor([[x1, y1, x2 + 1.0, y2 + 1.0] for _, (x1, y1, x2, y2), _ in shapes])
    target = {"bboxes": bboxes, "labels": torch.arange(2), "masks": masks}
    phrases = ("rectangle", "ellipse")
    geometry = Geometry.identity((64, 64))
    return CallInput(image, geometry, target, ("[SEG]",) * 2, phrases, "scene")


def learned(made, links, call, steps):
    """What a decoder predicts after some steps on one call, links included."""
    inputs = made.train().collate([made.prepare(call, training=True)])
    optimizer = torch.optim.AdamW([*made.parameters(), links.states], lr=2e-3)
    for _ in range(steps):
        loss = sum(value for value, _ in made.loss(links, inputs).values()) / 2
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(made.parameters(), 1.0)
        optimizer.step()
    (found,) = made.eval().predict(links, inputs)
    return found


def box_iou(left, right):
    size = (torch.minimum(left[2:], right[2:]) - torch.maximum(left[:2], right[:2])).clamp(min=0)
    both = size.prod()
    return float(both / ((left[2:] - left[:2]).prod() + (right[2:] - right[:2]).prod() - both))


@both_families
def test_sixty_steps_on_one_picture_find_the_box_of_each_class(fresh, link):
    call = scene()
    found = learned(fresh(), link([2]), call, steps=60)
    for route, truth in enumerate(call.target["bboxes"]):
        best, other = (found.bboxes[found.labels == one][0] for one in (route, 1 - route))
        assert box_iou(best, truth) > 0.7
        assert box_iou(other, truth) < 0.3


@both_families
@pytest.mark.parametrize("mask_channels", [8, None])
def test_forty_steps_on_one_picture_find_its_masks(fresh, link, mask_channels):
    call = scene()
    made = fresh(masks=True, mask_dims=32, num_mask_points=128, mask_channels=mask_channels)
    found = learned(made, link([2]), call, steps=40)
    for route, truth in enumerate(call.target["masks"]):
        best = found.masks[found.labels == route][0]
        assert (best & truth).sum() > 0.8 * (best | truth).sum()
