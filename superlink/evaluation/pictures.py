"""Pictures that replies make beside those that were wanted, and how alike networks find them."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import InputError
from ..interfaces import ImagePrediction, Reply, Sample
from .evaluator import Row
from .metrics.features import Inception, efficientnet_features, frechet_distance, load_efficientnet
from .routing import needed_targets

if TYPE_CHECKING:
    from ..backbones.clip import Clip

__all__ = [
    "Likeness",
    "WantedPicture",
    "made_pictures",
    "mean_of",
    "picture_rate",
    "pictures_of",
    "wanted_pictures",
]


@dataclass(frozen=True, eq=False)
class WantedPicture:
    """What one route of an answer should give."""

    image: Image.Image
    """The picture, in RGB."""
    caption: str
    """What was asked for: a caption, or an instruction."""
    attributes: Mapping[str, Any]
    """What else is known of it."""
    changed: Any = None
    """(H, W), true where an edit may change something, as far as it is known."""
    described: tuple[str, str] | None = None
    """Captions before and after an edit, as far as they are known."""
    source: Image.Image | None = None
    """The picture that is edited."""


def wanted_pictures(sample: Sample, task: str, *, edited: bool = False) -> list[WantedPicture]:
    """What each route of a sample should give, call by call.

    Args:
        sample: What was asked and expected.
        task: What is measured, for the error.
        edited: Whether the last image of the sample is what was edited.

    Raises:
        InputError: The sample has no target with `images` and `captions`.
    """
    source = sample.images[-1].convert("RGB") if edited and sample.images else None
    wanted = []
    for target in needed_targets(sample, ("images", "captions"), task):
        number = len(target["images"])
        unknown = (None,) * number
        columns = (
            target["captions"],
            target.get("attributes", ({},) * number),
            target.get("changed", unknown),
            target.get("described", unknown),
        )
        images = [image.convert("RGB") for image in target["images"]]
        rows = zip(images, *columns, strict=True)
        wanted += [WantedPicture(*row, source=source) for row in rows]
    return wanted


def made_pictures(reply: Reply) -> list[tuple[Image.Image, str]]:
    """The pictures that a reply made, call by call as targets are, each with its decoder."""
    pairs = zip(reply.calls, reply.predictions, strict=True)
    return [
        (image.convert("RGB"), call.decoder)
        for call, prediction in pairs
        if isinstance(prediction, ImagePrediction)
        for image in prediction.images
    ]


class Likeness:
    """How alike pictures are to networks; see `GenerationEvaluator` for what is measured.

    Args:
        efficientnet: Whether to measure by EfficientNet-Lite0.
        clip: Folder of a CLIP of transformers.
        inception: File with the weights of FID's Inception.
        device: Where the networks run.
    """

    def __init__(
        self, efficientnet: bool, clip: str | Path | None, inception: str | Path | None, device: str
    ) -> None:
        self._efficientnet = efficientnet
        self._clip_folder, self._inception_file, self._device = clip, inception, device
        self._clip: Clip | None = None
        self._inception: Inception | None = None

    def load(self) -> None:
        """Load the networks, once.

        Raises:
            InputError: A folder or a file does not hold what it should.
            MissingDependencyError: A package is not installed.
        """
        if self._efficientnet:
            load_efficientnet()
        if self._clip_folder is not None and self._clip is None:
            from ..backbones.clip import Clip  # seconds, which no other evaluation has to spend

            self._clip = Clip(self._clip_folder, self._device)
        if self._inception_file is not None and self._inception is None:
            self._inception = Inception(self._inception_file, self._device)

    def measure(self, made: Image.Image, wanted: WantedPicture) -> Row:
        """Compare one picture with what was wanted."""
        self.load()
        row: dict[str, Any] = {}
        if self._efficientnet:
            one, other = efficientnet_features([made, wanted.image])
            row["efficientnet_distance"] = float(torch.dist(one, other))
        if self._clip is not None:
            row |= _clip_row(self._clip, made, wanted)
        if self._inception is not None:
            row["inception"] = [*map(_packed, self._inception([made, wanted.image]))]
        return row

    def summarize(self, pictures: Sequence[Row]) -> dict[str, float]:
        """The means over pictures, and FID from two of them on."""
        metrics: dict[str, float] = {}
        for name in ("efficientnet_distance", "CLIP_T", "CLIP_I", "CLIP_direction"):
            metrics |= mean_of(pictures, name)
        features = [[_unpacked(text) for text in row["inception"]] for row in _with(pictures)]
        if len(features) > 1:
            made, real = (torch.stack(side) for side in zip(*features, strict=True))
            metrics["FID"] = frechet_distance(made, real)
        return metrics

    def remarks(self, pictures: Sequence[Row]) -> Iterator[str]:
        """What FID depends on."""
        if number := len(_with(pictures)):
            yield (
                f"FID is of {number} pairs of pictures. It grows as they get fewer: compare it "
                "with figures of as many."
            )


def pictures_of(rows: Sequence[Row]) -> list[Row]:
    """What the rows of all replies say of single pictures."""
    return [picture for row in rows for picture in row["pictures"]]


def picture_rate(pictures: Sequence[Row], task: str) -> dict[str, float]:
    """The share of wanted pictures that were made.

    Raises:
        InputError: None was wanted.
    """
    if not pictures:
        raise InputError(f"{task} needs at least one wanted picture. Received: none")
    return {"picture_rate": float(np.mean([picture["made"] for picture in pictures]))}


def mean_of(rows: Sequence[Row], name: str) -> dict[str, float]:
    """The mean of what rows have under a name; nothing where none has it."""
    values = [row[name] for row in rows if name in row]
    return {name: float(np.mean(values))} if values else {}


def _clip_row(clip: Clip, made: Image.Image, wanted: WantedPicture) -> dict[str, float]:
    """Cosines of the picture with what it should show, with what was wanted, and of the changes."""
    before, after = wanted.described or (None, wanted.caption)
    pictures = clip.images([made, wanted.image])
    (text,) = clip.texts([after])
    row = {"CLIP_I": float(pictures[0] @ pictures[1])}
    if wanted.source is None or before is not None:  # an instruction says not what is to be seen
        row["CLIP_T"] = float(pictures[0] @ text)
    if wanted.source is not None and before is not None:
        (old,), (old_text,) = clip.images([wanted.source]), clip.texts([before])
        row["CLIP_direction"] = float(
            torch.cosine_similarity(pictures[0] - old, text - old_text, dim=0)
        )
    return row


def _with(pictures: Sequence[Row]) -> list[Row]:
    return [row for row in pictures if "inception" in row]


def _packed(features: Tensor) -> str:
    """Numbers as text that is a third of what JSON would write."""
    return base64.b64encode(features.numpy().astype("<f4").tobytes()).decode("ascii")


def _unpacked(text: str) -> Tensor:
    return torch.from_numpy(np.frombuffer(base64.b64decode(text), "<f4").copy())
