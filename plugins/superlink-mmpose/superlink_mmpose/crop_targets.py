"""What is cut out in training, and where keypoints then are."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from superlink.interfaces import Geometry
from superlink_mmdet.denoising import noise_seed

from .crops import crop_points, framed, jittered, shown
from .top_down_config import TopDownConfig

__all__ = ["crop_targets"]


def crop_targets(
    item: Mapping[str, Tensor], geometry: Geometry, num_routes: int, key: str, config: TopDownConfig
) -> dict[str, Tensor]:
    """The crops of a call to train on.

    They are the target's boxes, a little moved by draws that depend on the key alone, and before
    them, where boxes are not found by a detector or there is none, the whole image once for each
    route of instances: its keypoints are those of the largest one.

    Args:
        item: `bboxes` (N, 4), `labels` (N,), `keypoints` (N, K, 2) and `labelled` (N, K) in pixels
            of the stream.
        geometry: The stream's map.
        num_routes: Routes of instances.
        key: The key of the sample.
        config: How many boxes, how far they move, and the size of crops.

    Returns:
        `frames` (M, 4) in pixels of the stream, the route `routes` (M,) that each is of, whether it
        shows what that asks for (`present` (M,)), and in pixels of the crop `crop_keypoints`
        (M, K, 2), of which `crop_labelled` (M, K) are known.
    """
    bboxes, labels = item["bboxes"], item["labels"]
    chosen = _drawn(len(bboxes), config.max_boxes, noise_seed(f"{key}/boxes"))
    moved = jittered(
        bboxes[chosen], noise_seed(f"{key}/jitter"), config.box_shift, config.box_scale
    )
    frames, routes = framed(moved, config.crop_size, config.padding), labels[chosen]
    if config.boxes == "image" or not len(chosen):
        whole = framed(geometry.boxes_to_stream(shown(geometry))[None], config.crop_size, 1.0)
        largest = torch.tensor([_largest(bboxes, labels == one) for one in range(num_routes)])
        frames = torch.cat([whole.expand(num_routes, -1), frames])
        routes = torch.cat([torch.arange(num_routes), routes])
        chosen = torch.cat([largest, chosen])
    # Index -1, of no instance, picks the row behind the last one.
    points, labelled = _padded(item["keypoints"])[chosen], _padded(item["labelled"])[chosen]
    return {
        "frames": frames,
        "routes": routes,
        "present": (chosen >= 0).float(),
        "crop_keypoints": crop_points(points, frames, config.crop_size),
        "crop_labelled": labelled,
    }


def _drawn(number: int, most: int, seed: int) -> Tensor:
    """Indices of some of `number` boxes: of all, while they are no more than `most`."""
    if number <= most:
        return torch.arange(number)
    return torch.randperm(number, generator=torch.Generator().manual_seed(seed))[:most]


def _largest(bboxes: Tensor, mine: Tensor) -> int:
    """The index of the largest of the boxes (N, 4) that are `mine` (N,); -1 where none is."""
    if not mine.any():
        return -1
    areas = (bboxes[:, 2:] - bboxes[:, :2]).prod(-1)
    return int(areas.masked_fill(~mine, -1.0).argmax())


def _padded(rows: Tensor) -> Tensor:
    """The rows (N, ...) with one of zeros behind them."""
    return torch.cat([rows, rows.new_zeros(1, *rows.shape[1:])])
