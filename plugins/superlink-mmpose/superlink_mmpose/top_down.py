"""The task decoder `mmpose.top_down`: boxes first, then the keypoints in a crop of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from superlink.errors import InputError
from superlink.interfaces import (
    CallInput,
    DecoderInputs,
    Geometry,
    InstancePrediction,
    LinkedQueries,
    LossTerm,
    Prediction,
    TaskDecoder,
)
from superlink_mmdet.decoder import DeformableDetrDecoder, GroundingDinoDecoder
from superlink_mmdet.samples import image_tensor

from .conditioning import BoxScore, PointStates
from .crop_targets import crop_targets
from .crops import cut, framed, image_points
from .first_stage import WholeImage
from .links import padded_routes, split_links
from .ragged import padded_points
from .samples import KEYPOINT_TOKEN, asked_keypoints, instance_call, keypoint_targets
from .simcc import CropNetwork
from .top_down_config import TopDownConfig
from .top_down_predictions import posed

__all__ = ["TopDownDecoder"]

_FINDERS = {
    "image": WholeImage,
    "mmdet.deformable_detr": DeformableDetrDecoder,
    "mmdet.grounding_dino": GroundingDinoDecoder,
}


class TopDownDecoder(TaskDecoder):
    """Finds the boxes of instances, or takes the whole image for one, and the keypoints in each.

    The `[POSE]` routes of a call say what to find, its `[KPT]` routes which points. Targets are
    those of `mmpose.group_pose`; areas and sigmas are of no meaning here. An instance without a
    labelled keypoint teaches its box alone. It computes in float32, whatever precision the LLM runs
    in.
    """

    full_precision: ClassVar[bool] = True

    def __init__(self, config: TopDownConfig) -> None:
        super().__init__()
        self.config, self.stream = config, config.stream()
        self.cond_size = config.embed_dims
        self.uses_image_features = self.stream.shared_features
        self.finder: Any = _FINDERS[config.boxes](self.stream)
        self.padding = 1.0 if config.boxes == "image" else config.padding
        self.network = CropNetwork(config)
        self.point_states = PointStates(config.embed_dims)
        own = config.boxes == "image"  # a detector has scores already
        self.box_score = BoxScore(config.in_channels, config.embed_dims) if own else None

    def prepare(self, call: CallInput, *, training: bool) -> dict[str, Any]:
        """Resize and normalise the image, choose what to cut out of it, and mark its keypoints.

        Returns:
            What the detector wants, where there is one; `image` (3, H, W), `geometry`, `phrases`
            and `keypoint_set`, the K asked keypoints. Where the call has a target also, for its M
            crops, `frames` (M, 4), `routes` (M,) and `present` (M,), see `crop_targets`, `x_labels`
            (M, K, bins), `y_labels` (M, K, bins) and `weights` (M, K).

        Raises:
            InputError: There is no image, no target to train on, or one that cannot be used; or
                keypoints of nothing are asked for.
        """
        instances, known = instance_call(call), asked_keypoints(call)
        item: dict[str, Any] = self.finder.prepare(instances, training=training)
        geometry: Geometry = item["geometry"]
        if "image" not in item and call.image is not None:  # the detector shares that of the LLM
            item["image"] = image_tensor(call.image, geometry.size, self.stream)
        item |= {"keypoint_set": known, "phrases": call.phrases}
        if call.target is None:
            return item
        target = {**item, **keypoint_targets(call, geometry, item["seen"])}
        crops = crop_targets(target, geometry, len(instances.tokens), call.key, self.config)
        points, labelled = crops.pop("crop_keypoints"), crops.pop("crop_labelled")
        x_labels, y_labels, weights = self.network.encode(points, labelled)
        return item | crops | {"x_labels": x_labels, "y_labels": y_labels, "weights": weights}

    def loss(self, links: LinkedQueries, inputs: DecoderInputs) -> dict[str, LossTerm]:
        """Compare what the head makes of crops with their targets.

        Returns:
            `loss_kpt`, whose count is the number of labelled keypoints in crops, and the losses of
            the detector or, where there is none, `loss_score`, whose count is the number of crops.
        """
        if "frames" not in inputs:
            raise InputError("A loss needs calls with targets. Received: calls without any")
        with torch.autocast(links.states.device.type, enabled=False):
            losses: dict[str, LossTerm] = self.finder.loss(split_links(links)[0], inputs)
            maps, states, points = self._crops(links, inputs, inputs["frames"], inputs["routes"])
            labels = [
                torch.cat([padded_points(one, points.shape[1], 0.0) for one in inputs[name]])
                for name in ("x_labels", "y_labels", "weights")
            ]
            keypoints = self.network.loss(maps, points, labels) * self.config.loss_kpt
            losses["loss_kpt"] = (keypoints, float(labels[2].sum()))
            if self.box_score is not None:
                present = torch.cat(list(inputs["present"]))
                entropy = functional.binary_cross_entropy_with_logits(
                    self.box_score(maps, states), present, reduction="sum"
                )
                losses["loss_score"] = (entropy * self.config.loss_score, float(len(present)))
        return losses

    @torch.no_grad()
    def predict(self, links: LinkedQueries, inputs: DecoderInputs) -> list[Prediction]:
        """One prediction for each call, on the host, in pixels of the original image.

        Boxes score by the detector or, for the whole image, by whether it shows what a route asks
        for; keypoints as `CropNetwork.decode` tells.
        """
        with torch.autocast(links.states.device.type, enabled=False):
            found = self.finder.predict(split_links(links)[0], inputs)
            frames = [
                framed(geometry.boxes_to_stream(one.bboxes), self.config.crop_size, self.padding)
                for one, geometry in zip(found, inputs["geometry"], strict=True)
            ]
            chances, keypoints, scores = self._read(links, inputs, found, frames)
        return [
            posed(
                replace(one, phrases=inputs["phrases"][index], scores=chances[index]),
                image_points(
                    keypoints[index][:, : len(known)], frames[index], self.config.crop_size
                ),
                scores[index][:, : len(known)],
                inputs["geometry"][index],
                known,
                self.config.score_threshold,
            )
            for index, (one, known) in enumerate(zip(found, inputs["keypoint_set"], strict=True))
        ]

    def dummy_call(self) -> CallInput:
        """A grey image with one instance and two of its keypoints."""
        height, width = self.config.image_size
        target = {
            "bboxes": [[0.0, 0.0, width / 2, height / 2]],
            "labels": [0],
            "keypoints": [[[width / 4, height / 4], [width / 8, height / 4]]],
            "keypoints_visible": [[2, 1]],
        }
        return CallInput(
            image=Image.new("RGB", (width, height), "grey"),
            geometry=Geometry.identity((height, width)),
            target=target,
            tokens=("[POSE]", KEYPOINT_TOKEN, KEYPOINT_TOKEN),
            phrases=("object", "top", "end"),
            key="dummy",
        )

    def _read(
        self,
        links: LinkedQueries,
        inputs: DecoderInputs,
        found: Sequence[InstancePrediction],
        frames: Sequence[Tensor],
    ) -> tuple[tuple[Tensor, ...], ...]:
        """For each call, on the host, the scores (N,) of its boxes, keypoints (N, K, 2) in pixels
        of the crops, and their scores (N, K); K is that of the longest request."""
        numbers = [len(one) for one in frames]
        if not sum(numbers):
            longest = max(map(len, inputs["keypoint_set"]))
            nothing = torch.zeros(0), torch.zeros(0, longest, 2), torch.zeros(0, longest)
            return tuple((one,) * len(numbers) for one in nothing)
        device = links.states.device
        maps, states, points = self._crops(
            links,
            inputs,
            [one.to(device) for one in frames],
            [one.labels.to(device) for one in found],
        )
        keypoints, scores = self.network.decode(maps, points)
        if self.box_score is None:
            chances = torch.cat([one.scores for one in found])
        else:
            chances = self.box_score(maps, states).sigmoid()
        return tuple(one.cpu().split(numbers) for one in (chances, keypoints, scores))

    def _crops(
        self,
        links: LinkedQueries,
        inputs: DecoderInputs,
        frames: Sequence[Tensor],
        routes: Sequence[Tensor],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Cut out what is in frames (M, 4) of all calls, and gather the states that belong to it.

        Returns:
            Maps (M, C, h, w), states of the instances (M, E), and what is looked for (M, K, E).
        """
        weight = self.point_states.of_point.weight
        crops = [
            cut(image.to(weight), some, self.config.crop_size)
            for image, some in zip(inputs["image"], frames, strict=True)
        ]
        call = torch.cat([torch.full_like(one, index) for index, one in enumerate(routes)])
        wanted, asked = (padded_routes(one) for one in split_links(links))
        states = wanted[0].to(weight)[call, torch.cat(list(routes))]
        points = self.point_states(states, asked[0].to(weight)[call], asked[1][call])
        return self.network.maps(torch.cat(crops)), states, points
