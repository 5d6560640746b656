"""A small network that names what a picture of icons shows, trained in the run that it measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from ...data.icons import COLOURS, COUNTS, OBJECTS, POSITIONS, icon_pairs, read_icons
from ...data.icons.dataset import IconSplit

__all__ = ["ICON_ATTRIBUTES", "IconClassifier", "icon_attributes", "icon_classifier"]

ICON_ATTRIBUTES: Mapping[str, tuple[Any, ...]] = {
    "object": tuple(OBJECTS),
    "colour": tuple(COLOURS),
    "position": tuple(POSITIONS),
    "count": tuple(COUNTS),
}
"""What is named, and the names that there are."""

_SIZE = 48
_BATCH = 64
_SEEDS = {"train": 2**31 - 1, "fresh": 2**31 - 2}  # of the icons, far from those of any data set
_NUM_ICONS = {"train": 6000, "fresh": 1200}
_EPOCHS = 8
_RATE = 2e-3
_BLUR = 0.5  # share of the batches that are made smaller and larger again
_NOISE = 0.1  # most of the noise, in the unit of pixels from -1 to 1


class IconClassifier(nn.Module):
    """Names object, colour, position and number of the icons in a picture of any size."""

    accuracy: Mapping[str, float]
    """By attribute, the share of fresh built-in icons that are named rightly."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(*_block(3, 16), *_block(16, 32), *_block(32, 64)),
            nn.Flatten(),
            nn.Linear(64 * (_SIZE // 8) ** 2, 128),
        )
        self.heads = nn.ModuleDict(
            {name: nn.Linear(128, len(values)) for name, values in ICON_ATTRIBUTES.items()}
        )

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """The logits of each attribute (N, values) for pixels (N, 3, 48, 48) from -1 to 1."""
        states = functional.relu(self.body(pixels))
        return {name: head(states) for name, head in self.heads.items()}

    def name(self, image: Image.Image) -> dict[str, Any]:
        """What a picture shows, by attribute."""
        small = image.convert("RGB").resize((_SIZE, _SIZE), Image.Resampling.BICUBIC)
        with torch.no_grad():
            found = self(_scaled(_bytes(small)[None]))
        return {key: ICON_ATTRIBUTES[key][int(row.argmax())] for key, row in found.items()}


def icon_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a picture's attributes that the classifier can judge; none where object or colour
    is no word of the built-in icons."""
    known = {
        key: attributes[key]
        for key, values in ICON_ATTRIBUTES.items()
        if key in attributes and attributes[key] in values
    }
    return known if {"object", "colour"} <= known.keys() else {}


@cache
def icon_classifier(
    num_icons: int = _NUM_ICONS["train"], epochs: int = _EPOCHS, seed: int = 0
) -> IconClassifier:
    """Train a classifier on built-in icons of all pairs of object and colour; half a CPU-minute.

    A process trains each one once. The random state of torch is left as it is.

    Args:
        num_icons: How many icons it learns from; it is measured on 1200 others.
        epochs: How often it sees each.
        seed: Of weights and batches.

    Raises:
        MissingDependencyError: A package that the icons are drawn with is not installed.
    """
    pixels, labels = _icons(num_icons, _SEEDS["train"])
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        torch.manual_seed(seed)
        model = IconClassifier()
        _train(model, pixels, labels, epochs)
    model.eval().requires_grad_(False)
    model.accuracy = _accuracy(model, *_icons(_NUM_ICONS["fresh"], _SEEDS["fresh"]))
    return model


def _icons(number: int, seed: int) -> tuple[Tensor, Tensor]:
    """Pixels (N, 3, 48, 48) in bytes, and labels (N, attributes), of all pairs alike often."""
    pixels, labels = [], []
    splits: tuple[IconSplit, ...] = ("seen", "val")
    total = sum(len(icon_pairs(split)) for split in splits)
    for split in splits:
        icons = read_icons(split, number * len(icon_pairs(split)) // total, seed, _SIZE)
        for index in range(len(icons)):
            shown = icons.shown(index)
            pixels.append(_bytes(icons[index].open()))
            labels.append(
                [values.index(getattr(shown, key)) for key, values in ICON_ATTRIBUTES.items()]
            )
    return torch.stack(pixels), torch.tensor(labels)


def _train(model: IconClassifier, pixels: Tensor, labels: Tensor, epochs: int) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), _RATE, weight_decay=0.05)
    steps = epochs * (len(pixels) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(len(pixels))
        for start in range(0, len(pixels) - _BATCH + 1, _BATCH):
            batch = order[start : start + _BATCH]
            found = model(_spoilt(_scaled(pixels[batch])))
            loss = _loss(found.values(), labels[batch].unbind(1))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()


def _loss(logits: Any, labels: Sequence[Tensor]) -> Tensor:
    pairs = zip(logits, labels, strict=True)
    return torch.stack([functional.cross_entropy(row, label) for row, label in pairs]).sum()


def _spoilt(pixels: Tensor) -> Tensor:
    """Pixels with some noise, half of the time blurred: what models draw is less crisp."""
    if torch.rand(()) < _BLUR:
        side = int(torch.randint(_SIZE // 2, _SIZE, ()))
        small = functional.interpolate(pixels, size=side, mode="bilinear", antialias=True)
        pixels = functional.interpolate(small, size=_SIZE, mode="bilinear")
    return pixels + torch.randn_like(pixels) * torch.rand(len(pixels), 1, 1, 1) * _NOISE


def _accuracy(model: IconClassifier, pixels: Tensor, labels: Tensor) -> dict[str, float]:
    with torch.no_grad():
        found = [model(_scaled(some)) for some in torch.split(pixels, _BATCH)]
    return {
        key: float((torch.cat([f[key] for f in found]).argmax(1) == labels[:, i]).float().mean())
        for i, key in enumerate(ICON_ATTRIBUTES)
    }


def _block(channels: int, more: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(channels, more, 3, stride=2, padding=1, bias=False)
    return conv, nn.BatchNorm2d(more), nn.ReLU()


def _bytes(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def _scaled(pixels: Tensor) -> Tensor:
    return pixels.float() / 127.5 - 1
