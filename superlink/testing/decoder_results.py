"""Checks of a task decoder's predictions: their pixels, their labels, JSON and pictures, and that a
checkpoint gives them again."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from ..build import load
from ..checkpoint import save
from ..interfaces import Geometry, InstancePrediction, Prediction
from ..visualization import PictureCanvas
from .checks import Check, NotApplicable, expect
from .decoder_batches import PREDICTION_TOLERANCE
from .decoder_calls import mirrored_target, scaled_target, views
from .decoder_case import DecoderCase
from .decoder_comparison import identical, loss_gap, prediction_gap
from .decoder_linking import COMPANION, registry_of, sample_of, seeded
from .decoder_places import mirrored, num_places, outside, scaled, without_keypoints
from .decoder_sums import LOSS_TOLERANCE

__all__ = ["PREDICT_CHECK", "RESULT_CHECKS"]

MASK_TOLERANCE = 0.1
"""Of boxes and masks in an image of another size, where masks have whole pixels."""

Target = Mapping[str, Any]


def _predict(case: DecoderCase) -> str:
    """Stops anything but one prediction for each call."""
    found = case.predictions(case.batch(1))
    expect(isinstance(found, list) and len(found) == 1, "a list of one prediction", found)
    kind = type(found[0])
    expect(isinstance(found[0], Prediction), "a superlink.Prediction", kind)
    return kind.__name__


def _instances(case: DecoderCase) -> str:
    """Stops scores beyond 1, labels of no route, and a best instance that is not the first."""
    calls, number = case.batch(1, 3), 0
    for call, found in zip(calls, case.predictions(calls), strict=True):
        if not isinstance(found, InstancePrediction):
            raise NotApplicable("the predictions hold no instances")
        number += (size := len(found.bboxes))
        expect(found.phrases == call.phrases, f"the phrases {call.phrases}", found.phrases)
        values = (found.scores, found.labels, found.masks, found.keypoints, found.keypoint_scores)
        sizes = {len(value) for value in values if value is not None}
        expect(sizes == {size}, f"{size} of each", sizes)
        expect(found.bboxes.shape == (size, 4), f"bboxes ({size}, 4)", found.bboxes.shape)
        shares = bool(((found.scores >= 0) & (found.scores <= 1)).all())
        expect(shares, "scores between 0 and 1", found.scores)
        falling = bool((found.scores.diff() <= 0).all())
        expect(falling, "the best instance first", found.scores)
        routes = bool(((found.labels >= 0) & (found.labels < len(call.tokens))).all())
        expect(routes, f"labels below {len(call.tokens)}", found.labels)
    return f"{number} instances"


def _bounds(case: DecoderCase) -> str:
    """Stops predictions in pixels of the stream: resized, padded, cropped or mirrored, an image is
    the same original."""
    number = 0
    for call in case.batch(1, 3):
        if call.geometry is None or call.image is None:
            raise NotApplicable("the calls have no image")
        seen = {"as it is": call, **views(call)}
        found = case.predictions(list(seen.values()))
        number += num_places(found)
        size, far = call.geometry.original_size, dict[str, float]()
        for name, one in zip(seen, found, strict=True):
            # A point on the padding has no place in the original; only boxes are cut there.
            looked_at = ("bboxes",) if name == "padded" else ("bboxes", "points")
            far[name] = outside(one, size, looked_at)
        wrong = {name: f"{gap:.1f} pixels outside" for name, gap in far.items() if gap > 1e-2}
        expect(not wrong, f"places inside of {size}", wrong)
    return f"{number} places"


def _scale(case: DecoderCase) -> str:
    """Stops pixels that are not those of the original image, in targets and in predictions."""

    def larger(size: tuple[int, int]) -> Geometry:
        return Geometry.identity((size[0] * 2, size[1] * 2)).resized(size)

    return _same_stream(
        case, larger, lambda found, width: scaled(found, 2), lambda t, width: scaled_target(t, 2)
    )


def _flip(case: DecoderCase) -> str:
    """Stops a decoder that forgets that its image was mirrored, in targets or in predictions."""
    return _same_stream(
        case, lambda size: Geometry.identity(size).mirrored(), mirrored, mirrored_target
    )


def _same_stream(
    case: DecoderCase,
    other: Callable[[tuple[int, int]], Geometry],
    moved: Callable[[Prediction, int], Prediction],
    moved_target: Callable[[Target, int], Target | None],
) -> str:
    """The same pixels, once as the original image and once as what `other` tells of another one:
    losses are the same, and predictions are where `moved` puts them."""
    losses, gap, tolerance, number = 0.0, 0.0, PREDICTION_TOLERANCE, 0
    for call in case.batch(1, 3):
        if call.image is None:
            raise NotApplicable("the calls have no image")
        width, size = call.image.width, (call.image.height, call.image.width)
        plain = replace(call, geometry=Geometry.identity(size))
        view = replace(call, geometry=other(size))
        (before,), (after,) = case.predictions([plain]), case.predictions([view])
        number += num_places([before])
        if getattr(before, "masks", None) is not None:
            tolerance = MASK_TOLERANCE
        expected = moved(before, width)
        gap = max(gap, prediction_gap(_like(after, expected), expected))
        target = None if call.target is None else moved_target(call.target, width)
        if target is not None and plain.geometry == call.geometry:
            one, two = case.losses([plain]), case.losses([replace(view, target=target)])
            losses = max(losses, loss_gap(two, one))
    expect(gap <= tolerance, f"predictions {tolerance} apart at most", f"{gap:.1e}")
    expect(losses <= LOSS_TOLERANCE, f"sums {LOSS_TOLERANCE} apart at most", f"{losses:.1e}")
    return f"{number} places, {gap:.1e}, losses {losses:.1e}"


def _like(prediction: Prediction, expected: Prediction) -> Prediction:
    gone = isinstance(expected, InstancePrediction) and expected.keypoints is None
    return without_keypoints(prediction) if gone else prediction


def _json(case: DecoderCase) -> str:
    """Stops tensors, NaN and other things that no program reads in the output of a command."""
    text = ""
    for found in case.predictions(case.batch(1, 2)):
        value = found.to_json()
        expect(isinstance(value, dict), "a dict from to_json()", type(value).__name__)
        text = json.dumps(value, allow_nan=False)
        expect(json.loads(text) == value, "plain JSON types: lists, not tuples", value)
    return f"{len(text)} characters"


def _draw(case: DecoderCase) -> str:
    """Stops a prediction that cannot draw itself on the picture of a reply."""
    calls = case.batch(1, 2)
    size = (0, 0)
    for call, found in zip(calls, case.predictions(calls), strict=True):
        canvas = PictureCanvas(call.image or Image.new("RGB", (64, 64)))
        before = copy.deepcopy(found)
        found.draw(canvas)
        picture = isinstance(canvas.image, Image.Image)
        expect(picture, "a PIL image on the canvas", type(canvas.image))
        expect(identical(found, before), "the prediction as it was before", "another one")
        size = canvas.image.size
    return f"{size[0]} x {size[1]} pixels"


def _save(case: DecoderCase) -> str:
    """Stops weights that a checkpoint misses, and a config that builds another decoder."""
    calls = case.batch(1, 3)
    before = case.predictions(calls)
    samples = [replace(sample_of(call), targets=()) for call in calls]
    with tempfile.TemporaryDirectory() as name, seeded(7):
        folder = save(case.model, Path(name) / "model")
        again = load(folder, registry_of(case.spec, COMPANION))
        kilobytes = sum(f.stat().st_size for f in (folder / "decoders" / case.name).iterdir()) / 1e3
    after = case.predictions(calls, decoder=again.bound[case.name].decoder)
    expect(identical(after, before), "the same predictions, bit for bit", "others")
    pairs = zip(again.answer(samples, "forced"), case.model.answer(samples, "forced"), strict=True)
    gap = max(prediction_gap(a.predictions[0], b.predictions[0]) for a, b in pairs)
    # The LLM's kernels may round otherwise where memory is aligned otherwise.
    expect(gap <= PREDICTION_TOLERANCE, "the same replies", f"predictions {gap:.1e} apart")
    return f"{kilobytes:.0f} kB"


PREDICT_CHECK = Check(
    "predict",
    "results",
    _predict,
    "Return a list from `predict`: one Prediction for each call, without reading a target.",
    True,
)
RESULT_CHECKS: tuple[Check[DecoderCase], ...] = (
    Check("instances", "results", _instances, "Sort by score; `labels` count the call's routes."),
    Check(
        "bounds",
        "results",
        _bounds,
        "Map predictions back by the stream's geometry, as `boxes_to_original` does.",
    ),
    Check(
        "scale",
        "results",
        _scale,
        "Start from `call.geometry`, note each resize in it, and map targets by it too.",
    ),
    Check("flip", "results", _flip, "Use the methods of Geometry: a flip is a negative scale."),
    Check("json", "results", _json, "Convert with .tolist() and float() in to_json()."),
    Check("draw", "results", _draw, "Draw by the methods of Canvas, or replace canvas.image."),
    Check(
        "save",
        "results",
        _save,
        "Register all that is learned as parameters or persistent buffers, and build from the "
        "config alone.",
    ),
)
"""What follows once `predict` holds."""
