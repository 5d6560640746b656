"""A few steps on two pictures are enough to find the keypoints that each of them shows."""

import random
from dataclasses import replace

import pytest
import torch
from PIL import Image, ImageDraw

from superlink.interfaces import CallInput, Geometry

from .conftest import links_of
from .crops import prepared, top_down

NAMES = ("red spot", "blue spot", "green spot")


def face(seed):
    """A white disc with three coloured spots."""
    draw = random.Random(seed)
    image = Image.new("RGB", (64, 64), "grey")
    pen, x, y = ImageDraw.Draw(image), draw.uniform(14, 50), draw.uniform(14, 50)
    pen.ellipse((x - 12, y - 12, x + 12, y + 12), fill="white")
    spots = [(x - 6, y + draw.uniform(-8, -2)), (x + 6, y - 5), (x + draw.uniform(-4, 4), y + 7)]
    for (a, b), name in zip(spots, NAMES, strict=True):
        pen.ellipse((a - 3, b - 3, a + 3, b + 3), fill=name.split()[0])
    target = {
        "bboxes": torch.tensor([[x - 12, y - 12, x + 12, y + 12]]),
        "labels": torch.tensor([0]),
        "keypoints": torch.tensor([spots]),
        "keypoints_visible": torch.full((1, 3), 2),
    }
    tokens, geometry = ("[POSE]", *["[KPT]"] * 3), Geometry.identity((64, 64))
    return CallInput(image, geometry, target, tokens, ("face", *NAMES), f"face {seed}")


def test_fifty_steps_on_two_pictures_find_their_keypoints():
    made, calls = top_down(shaken=False), [face(0), face(1)]
    links = links_of(calls)
    links = replace(links, states=links.states.requires_grad_())
    optimizer = torch.optim.AdamW([*made.parameters(), links.states], lr=3e-3)
    for step in range(50):
        inputs = prepared(made, *(replace(call, key=f"{call.key} {step}") for call in calls))
        terms = made.train().loss(links, inputs)
        loss = sum(value / max(count, 1) for value, count in terms.values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(made.parameters(), 1.0)
        optimizer.step()
    bare = [replace(call, target=None) for call in calls]
    for call, found in zip(
        calls, made.eval().predict(links, prepared(made, *bare, training=False)), strict=True
    ):
        assert (found.keypoints[0] - call.target["keypoints"][0]).norm(dim=-1).max() < 2
        assert found.keypoint_scores.min() > 0.3
        assert found.scores[0].item() == pytest.approx(
            found.keypoint_scores[0].mean().item(), abs=0.1
        )
