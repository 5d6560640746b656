"""What a model sees of a sample: the image stream of its LLM and those of its task decoders.

Of what `TaskDecoder.prepare` returns, `image` (3, H, W) and `geometry` are shown, and `bboxes`,
`labels`, `masks` and `keypoints` in pixels of that stream; or `images` (n, 3, H, W), pictures that
it learns to make, and `source`. See `decoder_view`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import InputError, SuperLinkError
from ..interfaces import Call, CallInput, Geometry, Sample, TaskDecoder
from ..link import written_tokens
from ..link.processing import Encoded
from ..model import SuperLinkModel
from ..visualization import grid
from .views import Marks, View, fitted, side_by_side, warped

__all__ = ["decoder_view", "model_views"]

_LLM = "what the LLM sees"
_MAX_TILES = 16


def model_views(model: SuperLinkModel, sample: Sample) -> list[View]:
    """The image stream of the LLM, and that of each decoder with its targets.

    What cannot be made of this sample, because it is too long or a decoder refuses its target, is
    a view without a picture that says why.
    """
    titles = {name: f"what {name} sees" for name in model.bound}
    try:
        encoded = model.processor.encode([sample])
        model.processor.check_length([sample], encoded)
        calls = list(_call_inputs(model, encoded, sample))
    except SuperLinkError as error:
        return [View(title, None, str(error)) for title in (_LLM, *titles.values())]
    views = [_llm_view(model, encoded)]
    for name, title in titles.items():
        mine = [call for decoder, call in calls if decoder == name]
        views.append(_calls_view(title, model.bound[name].decoder, mine))
    return views


def decoder_view(title: str, decoder: TaskDecoder, call: CallInput) -> View:
    """What a decoder makes of a call for its training.

    The convention, which no decoder has to keep: what `prepare` calls `image`, a tensor (3, H, W),
    is the stream; without one the stream is the call's image as `geometry` maps it. `bboxes`
    (N, 4), `labels` (N,), `masks` (N, h, w) and `keypoints` (N, K, 2) are in pixels of the stream.
    A decoder that makes pictures has `images` (n, 3, H, W), and `source` (3, H, W) where it edits
    one, all between -1 and 1.
    Colours are put back by `pixel_mean` and `pixel_std` of the decoder's `config`, where it has
    them, and otherwise stretched from the darkest to the brightest value.
    """
    try:
        item = decoder.prepare(call, training=True)
    except InputError as error:
        return View(title, None, f"refused: {error}")
    image, geometry = item.get("image"), item.get("geometry")
    made = item.get("images")
    if isinstance(made, Tensor) and made.dim() == 4 and made.shape[1] == 3:
        return _pictures_view(title, item.get("source"), made)
    if isinstance(image, Tensor) and image.dim() == 3 and image.shape[0] == 3:
        config = getattr(decoder, "config", None)
        mean, std = getattr(config, "pixel_mean", None), getattr(config, "pixel_std", None)
        picture, note = to_picture(image, mean, std), ""
    elif isinstance(geometry, Geometry) and call.image is not None and call.geometry is not None:
        picture, note = warped(call.image, call.geometry, geometry), "; drawn from its geometry"
    else:
        keys = ", ".join(item) or "nothing"
        return View(title, None, f"not shown: no image (3, H, W) and no geometry among {keys}")
    told = f"{picture.width} x {picture.height}{note}; {_marks_text(item)}"
    marks = [Marks.of(item, call.phrases)]
    return View(title, fitted(picture, marks, Image.Resampling.NEAREST), told)


def _pictures_view(title: str, source: Any, made: Tensor) -> View:
    """A picture that is edited, where there is one, and those that are learnt."""
    streams = [*([source] if isinstance(source, Tensor) else []), *made]
    pictures = [to_picture(stream, [127.5] * 3, [127.5] * 3) for stream in streams]
    told = f"{made.shape[3]} x {made.shape[2]}; {len(made)} to make"
    return View(title, side_by_side(pictures), told)


def to_picture(pixels: Tensor, mean: Any = None, std: Any = None) -> Image.Image:
    """A normalised tensor (3, H, W) in colours; without mean and deviation by its own extremes."""
    values = pixels.detach().float().cpu()
    if mean is None or std is None:
        low, high = values.min(), values.max()
        values = (values - low) / (high - low).clamp(min=1e-6) * 255
    else:
        values = values * torch.tensor(std).reshape(-1, 1, 1)
        values = values + torch.tensor(mean).reshape(-1, 1, 1)
        values = values * (255 if max(mean) <= 1 else 1)
    array = values.round().clamp(0, 255).permute(1, 2, 0).numpy().astype(np.uint8)
    return Image.fromarray(array)


def _llm_view(model: SuperLinkModel, encoded: Encoded) -> View:
    """All images, or tiles of images, of the backbone's inputs."""
    found = {
        key: value
        for key, value in encoded.inputs.items()
        if "pixel" in key and isinstance(value, Tensor) and value.is_floating_point()
    }
    if not found:
        return View(_LLM, None, "no image")
    for key, value in found.items():
        if value.dim() >= 4 and value.shape[-3] == 3:
            tiles = value.reshape(-1, *value.shape[-3:])
            return _tiles_view(f"{key} {_times(value.shape)}", tiles, _statistics(model))
    told = ", ".join(
        f"{'patches' if value.dim() == 2 else key} {_times(value.shape)}"
        for key, value in found.items()
    )
    return View(_LLM, None, f"not shown: {told}")


def _tiles_view(told: str, tiles: Tensor, statistics: tuple[Any, Any]) -> View:
    pictures = [to_picture(tile, *statistics) for tile in tiles[:_MAX_TILES]]
    if len(tiles) > len(pictures):
        told += f", {len(pictures)} of {len(tiles)} shown"
    columns = math.ceil(math.sqrt(len(pictures)))
    picture = pictures[0] if len(pictures) == 1 else grid(pictures, columns, gap=4)
    return View(_LLM, fitted(picture, (), Image.Resampling.NEAREST), told)


def _statistics(model: SuperLinkModel) -> tuple[Any, Any]:
    """Mean and deviation that the backbone's image processor normalises with, where it says so."""
    processor = getattr(model.backbone, "bare_processor", None)
    images = getattr(processor, "image_processor", None)
    if not getattr(images, "do_normalize", False) or not getattr(images, "do_rescale", False):
        return None, None
    mean, std = getattr(images, "image_mean", None), getattr(images, "image_std", None)
    return (None, None) if mean is None or std is None else (list(mean), list(std))


def _calls_view(title: str, decoder: TaskDecoder, calls: list[CallInput]) -> View:
    """The calls of one decoder; several side by side in the one picture."""
    if not calls:
        return View(title, None, "not called by this sample")
    views = [decoder_view(title, decoder, call) for call in calls]
    pictures = [view.picture for view in views if view.picture is not None]
    note = " | ".join(view.note for view in views)
    if len(pictures) < 2:
        return View(title, pictures[0] if pictures else None, note)
    columns = math.ceil(math.sqrt(len(pictures)))
    return View(title, fitted(grid(pictures, columns, gap=4)), note)


def _call_inputs(
    model: SuperLinkModel, encoded: Encoded, sample: Sample
) -> Iterator[tuple[str, CallInput]]:
    """The calls of a sample, each with the name of its decoder."""
    for message in sample.messages:
        if message.role == "assistant":
            model.vocabulary.check_bound(written_tokens(message.text))
    calls = model.vocabulary.group(encoded.routes, [sample.messages])
    if len(calls) != len(sample.targets):
        raise InputError(
            "A training sample needs one target for each call of its text. Expected "
            f"{len(calls)}. Received: {len(sample.targets)}, key={sample.key!r}"
        )
    for call, target in zip(calls, sample.targets, strict=True):
        yield call.decoder, _call_input(encoded, call, target, sample)


def _call_input(
    encoded: Encoded, call: Call, target: Mapping[str, Any] | None, sample: Sample
) -> CallInput:
    routes = [encoded.routes[index] for index in call.routes]
    return CallInput(
        image=None if call.image is None else sample.images[call.image],
        geometry=None if call.image is None else sample.geometries[call.image],
        target=target,
        tokens=tuple(route.token for route in routes),
        phrases=tuple(route.phrase for route in routes),
        key=sample.key,
    )


def _marks_text(item: Mapping[str, Any]) -> str:
    """How many targets a prepared call has."""
    words = {"bboxes": ("box", "boxes"), "masks": ("mask", "masks")}
    words["keypoints"] = ("set of keypoints", "sets of keypoints")
    numbers = {key: len(item[key]) for key in words if item.get(key) is not None}
    told = [f"{number} {words[key][number != 1]}" for key, number in numbers.items()]
    return ", ".join(told) or "no targets that can be drawn"


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
