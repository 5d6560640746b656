"""The first stage of `mmpose.top_down` where no detector finds boxes: the whole image is one."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from superlink.interfaces import (
    CallInput,
    DecoderInputs,
    InstancePrediction,
    LinkedQueries,
    LossTerm,
    Prediction,
)
from superlink_mmdet.config import QueryDetectorConfig
from superlink_mmdet.samples import instance_targets, stream_item

from .crops import shown

__all__ = ["WholeImage"]


class WholeImage(nn.Module):
    """Does for the whole image what a `QueryDetectorDecoder` does for what it finds.

    Args:
        config: How an image becomes the stream.
    """

    def __init__(self, config: QueryDetectorConfig) -> None:
        super().__init__()
        self.config = config

    def prepare(self, call: CallInput, *, training: bool) -> dict[str, Any]:
        """The image and the instances of a call, as a detector would have them."""
        item = stream_item(call, self.config, "A pose", training=training)
        if call.target is None:
            return item
        return item | instance_targets(call, item["geometry"])

    def loss(self, links: LinkedQueries, inputs: DecoderInputs) -> dict[str, LossTerm]:
        """There is nothing to learn."""
        return {}

    def predict(self, links: LinkedQueries, inputs: DecoderInputs) -> list[Prediction]:
        """What of the original image each call shows, once for each route, with score 1."""
        found: list[Prediction] = []
        for geometry, number in zip(inputs["geometry"], links.counts().tolist(), strict=True):
            bboxes = shown(geometry).expand(number, -1)
            scores, labels = torch.ones(number), torch.arange(number)
            found.append(InstancePrediction(bboxes, scores, labels, ("",) * number))
        return found
