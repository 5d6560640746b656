"""Tiny detectors and calls, made by hand."""

import pytest
import torch
from PIL import Image

from superlink.interfaces import CallInput, Geometry, LinkedQueries
from superlink_mmdet.config import DeformableDetrConfig, GroundingDinoConfig
from superlink_mmdet.decoder import DeformableDetrDecoder, GroundingDinoDecoder

FAMILIES = {
    "grounding_dino": (GroundingDinoConfig, GroundingDinoDecoder),
    "deformable_detr": (DeformableDetrConfig, DeformableDetrDecoder),
}

TINY = {
    "embed_dims": 64,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "num_object_queries": 12,
    "num_points": 2,
    "num_levels": 3,
    "num_heads": 4,
    "feedforward_dims": 64,
    "max_routes": 8,
    "backbone": {
        "type": "ResNet",
        "depth": 18,
        "base_channels": 8,
        "stem_channels": 8,
        "out_indices": (1, 2, 3),
        "norm_eval": True,
    },
    "in_channels": (16, 32, 64),
    "image_size": (64, 64),
    "size_divisor": 32,
}
MASKS = {
    "masks": True,
    "mask_dims": 16,
    "num_mask_points": 64,
    "mask_channels": 8,
}


def filled(bboxes, size):
    """Masks (N, H, W) of all pixels whose centres lie in boxes (N, 4)."""
    y, x = torch.arange(size[0])[:, None] + 0.5, torch.arange(size[1]) + 0.5
    x1, y1, x2, y2 = (side[:, None, None] for side in bboxes.unbind(-1))
    return (x >= x1) & (x < x2) & (y >= y1) & (y < y2)


@pytest.fixture
def family():
    """Which detector is built; a test for several names them: `parametrize("family", [...])`."""
    return "grounding_dino"


@pytest.fixture
def config(family):
    """Build a tiny config: `config(fusion=False)`, `config(masks=True, mask_channels=None)`."""

    def build(**changes):
        settings = TINY | (MASKS if changes.get("masks") else {}) | changes
        if family == "grounding_dino":
            settings.setdefault("num_denoising_queries", 12)
        if settings.get("mask_channels"):
            settings["backbone"] = TINY["backbone"] | {"out_indices": (0, 1, 2, 3)}
        return FAMILIES[family][0](**settings)

    return build


@pytest.fixture
def fresh(config, family):
    """Build a tiny decoder as it comes: `fresh(masks=True)`."""

    def build(**changes):
        torch.manual_seed(0)
        return FAMILIES[family][1](config(**changes))

    return build


@pytest.fixture
def decoder(fresh):
    """Build a tiny decoder in eval mode, its weights shaken: fresh ones predict the same boxes."""

    def build(**changes):
        made = fresh(**changes).eval()
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.05)
        return made

    return build


@pytest.fixture
def call():
    """Build a call on a random picture: `call(boxes, labels, num_routes=2)`; with `masks=True`,
    masks fill the boxes."""

    def build(bboxes=(), labels=(), num_routes=2, size=(64, 64), seed=0, key="sample", masks=False):
        pixels = torch.randint(
            0, 255, (*size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
        )
        target = {
            "bboxes": torch.tensor(bboxes).reshape(-1, 4),
            "labels": torch.tensor(labels, dtype=torch.long),
        }
        if masks:
            target["masks"] = filled(target["bboxes"], size)
        return CallInput(
            image=Image.fromarray(pixels.numpy()),
            geometry=Geometry.identity(size),
            target=target,
            tokens=("[DET]",) * num_routes,
            phrases=tuple(f"thing {index}" for index in range(num_routes)),
            key=key,
        )

    return build


@pytest.fixture
def link():
    """Build random links with so many routes per call: `link([2, 1])`."""

    def build(counts, size=64, seed=1):
        generator = torch.Generator().manual_seed(seed)
        total = sum(counts)
        return LinkedQueries(
            states=torch.randn(total, size, generator=generator).requires_grad_(),
            calls=torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)),
            tokens=("[DET]",) * total,
            phrases=tuple(f"thing {i}" for count in counts for i in range(count)),
            num_calls=len(counts),
        )

    return build


@pytest.fixture
def part():
    """The links of one call of a batch: `part(links, 1)`."""

    def cut(links, index):
        chosen = links.calls == index
        return LinkedQueries(
            states=links.states[chosen],
            calls=torch.zeros(int(chosen.sum()), dtype=torch.long),
            tokens=("[DET]",) * int(chosen.sum()),
            phrases=links.phrases_of(index),
            num_calls=1,
        )

    return cut
