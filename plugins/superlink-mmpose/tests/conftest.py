"""Tiny pose decoders and calls, made by hand."""

import pytest
import torch
from PIL import Image

from superlink.interfaces import CallInput, Geometry, KeypointSet, LinkedQueries

TINY = {
    "embed_dims": 32,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "pose_layers": 2,
    "num_object_queries": 12,
    "num_points": 2,
    "num_levels": 3,
    "num_heads": 4,
    "feedforward_dims": 32,
    "max_groups": 6,
    "max_routes": 8,
    "num_denoising_queries": 12,
    "backbone": {
        "type": "ResNet",
        "depth": 18,
        "base_channels": 8,
        "stem_channels": 8,
        "out_indices": (0, 1, 2, 3),
        "norm_eval": True,
    },
    "in_channels": (16, 32, 64),
    "fine_channels": 8,
    "image_size": (64, 64),
    "size_divisor": 32,
}


def draw_call(num_routes=1, seed=0, *, num_keypoints=2, per_route=1, size=None):
    """A call on a random picture, with instances for each of its routes of `[POSE]`."""
    random = torch.Generator().manual_seed(seed)
    width, height = size or (64 + 16 * (seed % 3), 64 + 8 * (seed % 4))
    pixels = torch.randint(0, 255, (6, 6, 3), dtype=torch.uint8, generator=random)
    labels = torch.arange(num_routes).repeat_interleave(per_route)
    number = len(labels)
    centres, halves = torch.rand(2, number, 2, generator=random)
    halves = 0.1 + 0.2 * halves
    centres = halves + centres * (1 - 2 * halves)
    bboxes = torch.cat([centres - halves, centres + halves], -1)
    bboxes = bboxes * torch.tensor([width, height, width, height])
    inside = torch.rand(number, num_keypoints, 2, generator=random)
    points = bboxes[:, None, :2] + inside * (bboxes[:, None, 2:] - bboxes[:, None, :2])
    names = tuple(f"joint {index}" for index in range(num_keypoints))
    return CallInput(
        image=Image.fromarray(pixels.numpy()).resize((width, height), Image.Resampling.BICUBIC),
        geometry=Geometry.identity((height, width)),
        target={
            "bboxes": bboxes,
            "labels": labels,
            "keypoints": points,
            "keypoints_visible": torch.full((number, num_keypoints), 2.0),
            "keypoint_set": KeypointSet(names, (0.1,) * num_keypoints),
        },
        tokens=("[POSE]",) * num_routes + ("[KPT]",) * num_keypoints,
        phrases=(*(f"thing {index}" for index in range(num_routes)), *names),
        key=f"case {seed}",
    )


def links_of(calls, dims=32):
    """The same condition for the same phrase of the same call, whatever stands beside it."""

    def state(key):
        seed = sum(map(ord, key)) * 7919 % 2**31
        return torch.randn(dims, generator=torch.Generator().manual_seed(seed))

    routes = [
        (index, call.key, token, phrase)
        for index, call in enumerate(calls)
        for token, phrase in zip(call.tokens, call.phrases, strict=True)
    ]
    return LinkedQueries(
        states=torch.stack([state(f"{key}/{token}/{phrase}") for _, key, token, phrase in routes]),
        calls=torch.tensor([index for index, *_ in routes]),
        tokens=tuple(token for *_, token, _ in routes),
        phrases=tuple(phrase for *_, phrase in routes),
        num_calls=len(calls),
    )


@pytest.fixture
def decoder():
    """Build a tiny decoder in eval mode, its weights shaken: `decoder(fine_channels=None)`."""
    from superlink_mmpose.config import GroupPoseConfig
    from superlink_mmpose.decoder import GroupPoseDecoder

    def build(**changes):
        torch.manual_seed(0)
        made = GroupPoseDecoder(GroupPoseConfig(**TINY | changes)).eval()
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.05)
        return made

    return build
