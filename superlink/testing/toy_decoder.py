"""The smallest complete task decoder, the one to read first: one box for each route."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from .. import interfaces as sl
from ..errors import InputError

__all__ = ["TOY_BOX", "ToyBoxConfig", "ToyBoxDecoder"]

TOY_BOX = sl.DecoderSpec(
    name="toy.box",
    routing_tokens=("[BOX]",),
    num_queries=2,
    factory="superlink.testing.toy_decoder:ToyBoxDecoder",
    config_class="superlink.testing.toy_decoder:ToyBoxConfig",
    license="Apache-2.0",
)
SIZE = (32, 32)


class ToyBoxConfig(BaseModel):
    """Settings of the toy decoder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cond_size: int = 16
    """Width C of the condition, and channels of the image's features."""


class ToyBoxDecoder(sl.TaskDecoder):
    """Regresses one box for each route from its condition and a 32 x 32 image."""

    def __init__(self, config: ToyBoxConfig) -> None:
        super().__init__()
        self.cond_size = config.cond_size
        self.image_encoder = nn.Sequential(nn.Conv2d(3, config.cond_size, 4, 4), nn.Flatten(2))
        self.head = nn.Linear(config.cond_size * 8 * 8, 4)

    def prepare(self, call: sl.CallInput, *, training: bool) -> dict[str, Any]:
        """Resize to 32 x 32; where there is a target, take its boxes along."""
        if call.image is None or call.geometry is None:
            raise InputError(f"toy.box needs an image. Received: none, key={call.key!r}")
        pixels = np.array(call.image.convert("RGB").resize(SIZE), dtype=np.float32) / 255
        geometry = call.geometry.resized(SIZE)
        item = {"pixels": torch.from_numpy(pixels).permute(2, 0, 1), "geometry": geometry}
        if call.target is None:
            return item
        bboxes = geometry.boxes_to_stream(call.target["bboxes"])  # (N, 4)
        return item | {"bboxes": bboxes, "labels": call.target["labels"]}

    def loss(self, links: sl.LinkedQueries, inputs: sl.DecoderInputs) -> dict[str, sl.LossTerm]:
        """The L1 distance between each target and the box of its route, in sides of the image."""
        firsts = links.counts().cumsum(0) - links.counts()  # (calls,) the first route of each
        pairs = zip(firsts, inputs["labels"], strict=True)
        routes = torch.cat([first + labels for first, labels in pairs])  # (N of all calls,)
        errors = self._boxes(links, inputs)[routes] - torch.cat(list(inputs["bboxes"]))
        return {"l1": (errors.abs().mean(-1).sum() / SIZE[0], float(len(routes)))}

    def predict(self, links: sl.LinkedQueries, inputs: sl.DecoderInputs) -> list[sl.Prediction]:
        """One instance for each route; a regressor is always sure, so each score is 1."""
        boxes, predictions = self._boxes(links, inputs), list[sl.Prediction]()
        for call, geometry in enumerate(inputs["geometry"]):
            bboxes = geometry.boxes_to_original(boxes[links.calls == call])
            labels = torch.arange(len(bboxes), device=bboxes.device)
            scores, phrases = bboxes.new_ones(len(bboxes)), links.phrases_of(call)
            predictions.append(sl.InstancePrediction(bboxes, scores, labels, phrases))
        return predictions

    def dummy_call(self) -> sl.CallInput:
        """A black image with one box."""
        target = {"bboxes": torch.tensor([[8.0, 8.0, 24.0, 24.0]]), "labels": torch.tensor([0])}
        image, geometry = Image.new("RGB", SIZE), sl.Geometry.identity(SIZE)
        return sl.CallInput(image, geometry, target, ("[BOX]",), ("thing",))

    def _boxes(self, links: sl.LinkedQueries, inputs: sl.DecoderInputs) -> Tensor:
        """Boxes (R, 4) in pixels of the 32 x 32 image, from centres and sizes."""
        features = self.image_encoder(inputs["pixels"])[links.calls]  # (R, C, 8 * 8)
        chosen = features * links.states.unsqueeze(-1)  # the condition weighs the channels
        box = self.head(chosen.flatten(1)).sigmoid() * SIZE[0]
        centre, half = box[:, :2], box[:, 2:] / 2
        return torch.cat([centre - half, centre + half], dim=-1)
