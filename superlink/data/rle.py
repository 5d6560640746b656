"""Masks as COCO writes them: run lengths down the columns, compressed or not, and polygons."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, TypedDict

import msgspec
import numpy as np
import numpy.typing as npt

from ..errors import InputError, MissingDependencyError

__all__ = ["decode_segmentation", "decode_segmentation_json", "encode_mask"]

Mask = npt.NDArray[np.bool_]
Runs = npt.NDArray[np.int64]

_MAX_COORDINATE = 1e8
"""pycocotools counts fifths of a pixel in 32 bits, and what exceeds them can crash the process."""
_MAX_BOUNDARY = 2e6
"""Pixels along a polygon: pycocotools takes 80 bytes of memory for each."""
_MAX_BYTES = 7
"""Of one compressed run: 5 bits each, and no image has 2 ** 34 pixels."""


def encode_mask(mask: Mask) -> dict[str, Any]:
    """A mask (H, W) as uncompressed run lengths: plain numbers, that every reader of COCO knows."""
    flat = mask.flatten(order="F")
    borders = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], borders, [flat.size]])).tolist()
    # Runs begin with the background, which may be empty.
    return {"size": list(mask.shape), "counts": [0, *runs] if flat[0] else runs}


def decode_segmentation(segmentation: Any, height: int, width: int) -> Mask:
    """Polygons or run lengths as a mask (`height`, `width`).

    Args:
        segmentation: A list of polygons, each [x1, y1, x2, y2, ...], whose union is the mask; or
            a dict of `size`, [height, width], and `counts`, as numbers or compressed.
        height: Of the image.
        width: Of the image.

    Raises:
        InputError: It is neither, or does not fit the image.
        MissingDependencyError: Polygons need pycocotools.
    """
    if isinstance(segmentation, dict) and {"size", "counts"} <= segmentation.keys():
        return _decode_runs(segmentation["size"], segmentation["counts"], height, width)
    if isinstance(segmentation, Sequence) and not isinstance(segmentation, str | bytes):
        return _decode_polygons([_polygon(points) for points in segmentation], height, width)
    raise InputError(
        "A segmentation is a list of polygons, or an object of size and counts. "
        f"Received: {str(segmentation)[:80]}"
    )


class _RunLengths(TypedDict):
    size: tuple[int, int]
    counts: list[int] | str


_JSON = msgspec.json.Decoder(list[list[float]] | _RunLengths | None)


def decode_segmentation_json(text: bytes, height: int, width: int) -> Mask | None:
    """A segmentation in JSON as a mask (`height`, `width`); None where it is null or empty.

    Raises:
        InputError: It is no segmentation, or does not fit the image.
        MissingDependencyError: Polygons need pycocotools.
    """
    try:
        segmentation = _JSON.decode(text) if text else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            "A segmentation is a list of polygons, or an object of size and counts. "
            f"Received: {text[:80]!r} ({error})"
        ) from error
    return decode_segmentation(segmentation, height, width) if segmentation else None


def _decode_runs(size: Any, counts: Any, height: int, width: int) -> Mask:
    """Turns of background and object, which fill the columns one after the other."""
    if not isinstance(size, list | tuple) or list(size) != [height, width]:
        raise InputError(
            f"Run lengths must be of the image's size [height, width] = {[height, width]}. "
            f"Received: size={str(size)[:80]}"
        )
    runs = _decompress(counts) if isinstance(counts, str | bytes) else _plain_runs(counts)
    number = height * width
    if runs.min(initial=0) < 0 or runs.max(initial=0) > number or runs.sum() != number:
        raise InputError(
            f"Run lengths must be 0 or more and fill the image of {number} pixels. "
            f"Received: {len(runs)} run lengths from {runs.min(initial=0)} on, {runs.sum()} in sum"
        )
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape((height, width), order="F")


def _plain_runs(counts: Any) -> Runs:
    try:
        runs = np.asarray(counts)
    except ValueError:  # lists of several lengths
        runs = np.empty((0, 0))
    if runs.ndim != 1 or (runs.size and runs.dtype.kind not in "iu"):
        raise InputError(f"Counts are whole numbers, or a text. Received: {str(counts)[:80]}")
    return runs.astype(np.int64)


def _decompress(counts: str | bytes) -> Runs:
    """Run lengths from COCO's text (`rleFrString` in its API).

    A character holds 5 bits, the lowest first, and a sixth that says whether more follow; from the
    fourth run on, what is written is the difference to the run before the last.
    """
    data = counts.encode(errors="surrogatepass") if isinstance(counts, str) else counts
    codes = np.frombuffer(data, np.uint8).astype(np.int64) - 48  # (characters,)
    ends = np.flatnonzero(codes & 32 == 0)
    lengths = np.diff(ends, prepend=-1)
    if (
        not codes.size
        or codes.min() < 0
        or codes.max() > 63
        or ends[-1:].tolist() != [codes.size - 1]
        or lengths.max() > _MAX_BYTES
    ):
        raise InputError(f"The compressed run lengths are damaged. Received: {str(counts)[:80]}")
    starts = ends - lengths + 1
    shifts = 5 * (np.arange(codes.size) - np.repeat(starts, lengths))
    values: Runs = np.add.reduceat((codes & 31) << shifts, starts)
    values -= (codes[ends] & 16 != 0) * (1 << 5 * lengths)  # the highest bit is a sign
    values[1::2] = values[1::2].cumsum()
    values[2::2] = values[2::2].cumsum()
    return values


def _polygon(points: Any) -> npt.NDArray[np.float64]:
    """One polygon (2 N,), such that pycocotools can draw it."""
    try:
        polygon = np.asarray(points, np.float64)
    except (TypeError, ValueError, OverflowError):
        polygon = np.empty((0, 0))
    if polygon.ndim != 1 or polygon.size % 2 or polygon.size < 6:
        raise InputError(
            "A polygon is a list of numbers x1, y1, x2, y2, ... of 3 points or more. "
            f"Received: {str(points)[:80]}"
        )
    corners = polygon.reshape(-1, 2)
    if not np.abs(corners).max() <= _MAX_COORDINATE:
        raise InputError(f"A polygon lies too far out. Received: {str(points)[:80]}")
    steps = np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1)
    if steps.sum() > _MAX_BOUNDARY:
        raise InputError(
            f"A polygon's boundary has at most {_MAX_BOUNDARY:,.0f} pixels. "
            f"Received: {steps.sum():,.0f} in {str(points)[:80]}"
        )
    return polygon


def _decode_polygons(polygons: list[npt.NDArray[np.float64]], height: int, width: int) -> Mask:
    if not polygons:
        raise InputError("A segmentation needs at least one polygon. Received: none")
    try:
        from pycocotools import mask as coco_mask
    except ImportError as error:
        raise MissingDependencyError(
            "Polygons are decoded by pycocotools, which is not installed. "
            "Run: pip install 'superlink[eval]'"
        ) from error
    runs = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    with warnings.catch_warnings():  # pycocotools 2.0.11 uses an old protocol of numpy
        warnings.simplefilter("ignore", DeprecationWarning)
        decoded = coco_mask.decode(runs)
    return np.asarray(decoded, np.bool_).reshape(height, width)
