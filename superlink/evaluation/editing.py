"""Editing: is what should change as it was wanted, and is all else as it was?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import InputError
from ..interfaces import Reply, Sample
from .answering import Reconstructing
from .evaluator import Evaluator, Row
from .pictures import (
    Likeness,
    WantedPicture,
    made_pictures,
    mean_of,
    picture_rate,
    pictures_of,
    wanted_pictures,
)

__all__ = ["EditingEvaluator"]

Reconstruct = Callable[[Sequence[Image.Image]], list[Image.Image]]
_INSIDE, _SOURCE = "inside_error", "unchanged_inside_error"
_OUTSIDE, _AUTOENCODER = "outside_error", "autoencoder_outside_error"


class EditingEvaluator(Evaluator):
    """Compares edited pictures with the wanted ones, pixel by pixel, where the data know what an
    edit may change, and by networks.

    Errors are roots: of the mean over pictures of the mean square by which red, green and blue,
    from 0 to 1, are wrong. A picture of another size is brought to that of the wanted one. A route
    without a picture counts inside as a source that was left as it is, and outside for nothing.

    Args:
        efficientnet: Whether to measure distances by EfficientNet-Lite0.
        clip: Folder of a CLIP of transformers, for `CLIP_I`, and for `CLIP_T` and `CLIP_direction`
            where the data have captions of before and after.
        inception: torch-fidelity's file with the weights of Inception, for `FID`.
        device: Where CLIP and Inception run.
    """

    num_first = 8

    def __init__(
        self,
        *,
        efficientnet: bool = True,
        clip: str | Path | None = None,
        inception: str | Path | None = None,
        device: str = "cpu",
    ) -> None:
        self._likeness = Likeness(efficientnet, clip, inception, device)
        self._autoencoders: Mapping[str, Reconstruct] = {}

    def check(self) -> None:
        """Load the networks that measure.

        Raises:
            InputError: A folder or a file does not hold what it should.
            MissingDependencyError: A package is not installed.
        """
        self._likeness.load()

    def knowing(self, model: Any) -> EditingEvaluator:
        """The evaluator that also asks the model's decoders what their autoencoders lose."""
        mine = copy(self)
        bound: Mapping[str, Any] = getattr(model, "bound", {})
        mine._autoencoders = {
            name: one.decoder.reconstruct
            for name, one in bound.items()
            if isinstance(one.decoder, Reconstructing)
        }
        return mine

    def measure(self, sample: Sample, reply: Reply) -> Row:
        """For each wanted picture the mean squares of what is wrong, and how alike the two are.

        Raises:
            InputError: The sample has no target with `images` and `captions`, or no image to edit,
                or what may be changed has another size than the wanted picture.
        """
        made = made_pictures(reply)
        pictures = []
        for index, wanted in enumerate(wanted_pictures(sample, "Editing", edited=True)):
            image, decoder = made[index] if index < len(made) else (None, "")
            row: dict[str, Any] = {"made": image is not None}
            row |= {"kind": str(wanted.attributes["kind"])} if "kind" in wanted.attributes else {}
            if wanted.changed is not None:
                row |= self._errors(image, wanted, decoder, sample.key)
            if image is not None:
                row |= self._likeness.measure(image, wanted)
            pictures.append(row)
        return {"pictures": pictures}

    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """How far pictures are from the wanted ones.

        Returns:
            `picture_rate`, the share of wanted pictures that were made. Where it is known what an
            edit may change, `inside_error` and `outside_error` of what was made;
            `unchanged_inside_error`, of the source; `inside_ratio`, how many times that is as large
            as `inside_error`, and `inside_ratio/remove` and so on where there are several kinds;
            `autoencoder_outside_error`, of the wanted picture encoded and decoded, where a decoder
            tells; `outside_ratio`, how many times `outside_error` is as large as that. Also
            `efficientnet_distance`, `CLIP_T`, `CLIP_I` and `FID` as in `GenerationEvaluator`, and
            `CLIP_direction`, the cosine of the change of picture with that of the captions.

        Raises:
            InputError: There is nothing to measure.
            MissingDependencyError: A package is not installed.
        """
        pictures = pictures_of(rows)
        metrics = picture_rate(pictures, "Editing")
        metrics |= _roots(pictures) | _ratio(pictures, "inside_ratio", _SOURCE, _INSIDE)
        metrics |= _ratio(pictures, "outside_ratio", _OUTSIDE, _AUTOENCODER)
        kinds = sorted({picture["kind"] for picture in pictures if "kind" in picture})
        for kind in kinds if len(kinds) > 1 else ():
            some = [picture for picture in pictures if picture.get("kind") == kind]
            metrics |= _ratio(some, f"inside_ratio/{kind}", _SOURCE, _INSIDE)
        return metrics | self._likeness.summarize(pictures)

    def quality(self, row: Row) -> float | None:
        """The error of the picture as a share of that of its source, with a minus; without either
        how alike pictures are."""
        found = row["pictures"]
        ratio = _ratio(found, "ratio", _INSIDE, _SOURCE)
        distance = mean_of(found, "efficientnet_distance")
        return next((-value for value in (*ratio.values(), *distance.values())), None)

    def remarks(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """How many pictures are missing, and what errors outside are compared with."""
        pictures = pictures_of(rows)
        return (*_remarks(pictures), *self._likeness.remarks(pictures))

    def _errors(
        self, image: Image.Image | None, wanted: WantedPicture, decoder: str, key: str
    ) -> dict[str, float]:
        """The mean squares inside and outside of what may be changed."""
        inside, source = _known(wanted, key)
        left = _squares(source, wanted.image)
        made = left if image is None else _squares(image, wanted.image)
        found = {}
        if inside.any():
            found = {_INSIDE: made[inside].mean(), _SOURCE: left[inside].mean()}
        if image is not None and not inside.all():
            found[_OUTSIDE] = made[~inside].mean()
            if decoder in self._autoencoders:
                (again,) = self._autoencoders[decoder]([wanted.image])
                found[_AUTOENCODER] = _squares(again, wanted.image)[~inside].mean()
        return {name: float(value) for name, value in found.items()}


def _known(wanted: WantedPicture, key: str) -> tuple[npt.NDArray[np.bool_], Image.Image]:
    """What may be changed (H, W), and the source."""
    inside = np.asarray(wanted.changed, dtype=np.bool_)
    if wanted.source is None or inside.shape != wanted.image.size[::-1]:
        source = "none" if wanted.source is None else wanted.source.size[::-1]
        raise InputError(
            "An edit is measured with its source, and with what it may change in the wanted "
            f"picture's size {wanted.image.size[::-1]}. Received: source {source}, changed "
            f"{inside.shape} in sample {key!r}"
        )
    return inside, wanted.source


def _squares(one: Image.Image, other: Image.Image) -> npt.NDArray[np.float64]:
    """The mean square (H, W) of what the channels, from 0 to 1, of two pictures differ by; one is
    brought to the other's size."""
    if one.size != other.size:
        one = one.resize(other.size, Image.Resampling.BICUBIC)
    pair = (np.asarray(image.convert("RGB"), dtype=np.float64) / 255 for image in (one, other))
    squares: npt.NDArray[np.float64] = np.square(np.subtract(*pair)).mean(axis=2)
    return squares


def _roots(pictures: Sequence[Row]) -> dict[str, float]:
    means = [mean_of(pictures, name) for name in (_INSIDE, _SOURCE, _OUTSIDE, _AUTOENCODER)]
    return {name: value**0.5 for mean in means for name, value in mean.items()}


def _ratio(pictures: Sequence[Row], name: str, above: str, below: str) -> dict[str, float]:
    """How many times one error is as large as another, of the pictures that have both."""
    roots = _roots([picture for picture in pictures if {above, below} <= picture.keys()])
    return {name: roots[above] / roots[below]} if roots.get(below) else {}


def _remarks(pictures: Sequence[Row]) -> Iterator[str]:
    if missing := sum(not picture["made"] for picture in pictures):
        yield (
            f"{missing} of {len(pictures)} wanted pictures were not made; inside they count as a "
            "source that was left as it is."
        )
    roots = _roots(pictures)
    if _OUTSIDE in roots and _AUTOENCODER not in roots:
        yield "No decoder tells what its autoencoder loses, to compare errors outside with."
    if roots.get(_AUTOENCODER) == 0:
        yield "The decoder's autoencoder loses nothing, so that errors outside have no ratio to it."
