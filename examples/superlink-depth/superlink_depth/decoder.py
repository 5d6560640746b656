"""The task decoder: condition + image -> losses or predictions."""

import superlink.interfaces as sl
import torch
from PIL import Image
from torch import Tensor, nn

from .config import DepthConfig
from .samples import predictions, to_pixels, to_stream


class DepthDecoder(sl.TaskDecoder):
    """One mask for each route: its condition weighs the features of every pixel."""

    def __init__(self, config: DepthConfig) -> None:
        super().__init__()
        self.cond_size, self.size = config.channels, (config.size, config.size)
        first = nn.Conv2d(3, 32, 3, padding=1)
        self.features = nn.Sequential(first, nn.ReLU(), nn.Conv2d(32, config.channels, 1))

    def prepare(self, call: sl.CallInput, *, training: bool) -> dict:  # in the loader's worker
        geometry = call.geometry.resized(self.size)  # the way back to the original image
        item = {"pixels": to_pixels(call.image, self.size), "geometry": geometry}
        if call.target is not None:
            item["masks"] = to_stream(call.target["masks"], geometry)  # (N, H, W)
            item["labels"] = call.target["labels"]  # (N,) the route of each
        return item

    def loss(self, links: sl.LinkedQueries, inputs: sl.DecoderInputs) -> dict[str, sl.LossTerm]:
        firsts = links.counts().cumsum(0) - links.counts()  # (calls,) the first route of each
        routes = torch.cat([a + b for a, b in zip(firsts, inputs["labels"], strict=True)])  # (N,)
        logits, masks = self.logits(links, inputs)[routes], torch.cat(list(inputs["masks"]))
        errors = nn.functional.binary_cross_entropy_with_logits(logits, masks, reduction="none")
        return {"mask": (errors.mean((1, 2)).sum(), float(len(routes)))}  # (sum, count)

    def predict(self, links: sl.LinkedQueries, inputs: sl.DecoderInputs) -> list[sl.Prediction]:
        return predictions(self.logits(links, inputs).sigmoid(), links, inputs["geometry"])

    def dummy_call(self) -> sl.CallInput:  # for a process whose batch has no call
        image, geometry = Image.new("RGB", self.size), sl.Geometry.identity(self.size)
        target = {"masks": torch.ones(1, *self.size), "labels": torch.tensor([0])}
        return sl.CallInput(image, geometry, target, ("[DEPTH]",), ("thing",))

    def logits(self, links: sl.LinkedQueries, inputs: sl.DecoderInputs) -> Tensor:
        features = self.features(inputs["pixels"])[links.calls]  # (R, C, H, W)
        return torch.einsum("rchw,rc->rhw", features, links.states)  # (R, H, W)
