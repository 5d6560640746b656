"""Masks as COCO writes them: run lengths down the columns, compressed or not, and polygons."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import MissingDependencyError

__all__ = ["decode_segmentation", "encode_mask"]

Mask = npt.NDArray[np.bool_]


def encode_mask(mask: Mask) -> dict[str, Any]:
    """A mask (H, W) as uncompressed run lengths: plain numbers, that every reader of COCO knows."""
    flat = mask.flatten(order="F")
    borders = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], borders, [flat.size]])).tolist()
    # Runs begin with the background, which may be empty.
    return {"size": list(mask.shape), "counts": [0, *runs] if flat[0] else runs}


def decode_segmentation(segmentation: Any, height: int, width: int) -> Mask:
    """Polygons or run lengths as a mask (`height`, `width`).

    Raises:
        ValueError: The run lengths do not fill the image.
        MissingDependencyError: Polygons and compressed run lengths need pycocotools.
    """
    if isinstance(segmentation, dict) and isinstance(segmentation["counts"], list):
        runs = np.asarray(segmentation["counts"], np.int64)
        flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        return flat.reshape((height, width), order="F")
    try:
        from pycocotools import mask as coco_mask
    except ImportError as error:
        raise MissingDependencyError(
            "Polygons and compressed masks are decoded by pycocotools, which is not installed. "
            "Run: pip install 'superlink[eval]'"
        ) from error
    if not isinstance(segmentation, dict):
        segmentation = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    with warnings.catch_warnings():  # pycocotools 2.0.11 uses an old protocol of numpy
        warnings.simplefilter("ignore", DeprecationWarning)
        decoded = coco_mask.decode(segmentation)
    return np.asarray(decoded, np.bool_).reshape(height, width)
