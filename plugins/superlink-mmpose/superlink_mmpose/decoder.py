"""The task decoder `mmpose.group_pose`: instances with the keypoints that were asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from superlink.errors import InputError
from superlink.interfaces import CallInput, DecoderInputs, LinkedQueries, LossTerm, Prediction
from superlink_mmdet.query_detector import QueryDetectorDecoder

from .config import GroupPoseConfig
from .detector import PoseDetector
from .groups import Asked
from .links import padded_routes, split_links
from .predictions import poses
from .samples import KEYPOINT_TOKEN, asked_keypoints, instance_call, keypoint_targets

__all__ = ["GroupPoseDecoder"]

_OF_POINTS = ("loss_keypoints", "loss_keypoint_score")


class GroupPoseDecoder(QueryDetectorDecoder):
    """Finds, for the routes of a call, instances with keypoints in the image of the call.

    The `[POSE]` routes of a call say what to find, its `[KPT]` routes which points. Targets are
    those of a detector, `labels` counting the `[POSE]` routes, with `keypoints` (N, K, 2) in pixels
    of the original image in the order of the `[KPT]` routes and `keypoints_visible` (N, K), 0 where
    one is not labelled; `areas` (N,) and `keypoint_set`, whose sigmas count, where they are known.
    An instance without a labelled keypoint teaches its box alone.
    """

    detector_class = PoseDetector
    config: GroupPoseConfig

    def prepare(self, call: CallInput, *, training: bool) -> dict[str, Any]:
        """Make what a detector needs of a call, see the base class, and its keypoints.

        Returns:
            Beside the base class's `keypoint_set`, the K asked keypoints; where the call has a
            target, `keypoints` (N, K, 2) in pixels of the stream, `labelled` (N, K), `units` (N, K)
            and `sizes` (N,), see `keypoint_targets`.

        Raises:
            InputError: What the base class refuses; nothing is to be found; or the keypoints of
                the target do not fit the request.
        """
        item = super().prepare(instance_call(call), training=training)
        item["keypoint_set"] = asked_keypoints(call)
        item["phrases"] = call.phrases
        if call.target is not None:
            item |= keypoint_targets(call, item["geometry"], item["seen"])
        return item

    def loss(self, links: LinkedQueries, inputs: DecoderInputs) -> dict[str, LossTerm]:
        """Match predictions and targets, and sum their differences.

        Returns:
            What the base class returns and, also with `dn_`, `loss_keypoints` and
            `loss_keypoint_score`, whose count is the number of labelled keypoints, `loss_oks`,
            whose count is the number of instances that have some, `loss_pose_bbox` and
            `loss_pose_iou`, whose count is the number of instances.
        """
        if "labels" not in inputs:
            raise InputError("A loss needs calls with targets. Received: calls without any")
        with torch.autocast(links.states.device.type, enabled=False):
            wanted, points = split_links(links)
            found, samples = self._forward(wanted, inputs, with_targets=True)
            for index, sample in enumerate(samples):
                for name in ("keypoints", "labelled", "units", "sizes"):
                    sample.gt_instances[name] = inputs[name][index].to(links.states.device)
            losses = self.detector.bbox_head.loss(
                **found, batch_data_samples=samples, asked=self._asked(points)
            )
        count = float(sum(map(len, inputs["labels"])))
        labelled = float(sum(one.sum() for one in inputs["labelled"]))
        posed = float(sum((one > 0).any(1).sum() for one in inputs["labelled"]))
        counts = dict.fromkeys(losses, count)
        counts |= {name: labelled for name in losses if name.endswith(_OF_POINTS)}
        counts |= {name: posed for name in losses if name.endswith("loss_oks")}
        return {name: (value, counts[name]) for name, value in losses.items()}

    @torch.no_grad()
    def predict(self, links: LinkedQueries, inputs: DecoderInputs) -> list[Prediction]:
        """One prediction for each call, on the host, in pixels of the original image."""
        wanted, asked = split_links(links)
        with torch.autocast(links.states.device.type, enabled=False):
            found, _ = self._forward(wanted, inputs, with_targets=False)
            outputs = self.detector.bbox_head.predict_groups(**found, asked=self._asked(asked))
        logits, boxes, points, scores = (one.cpu() for one in outputs)
        return [
            poses(
                logits[index, :, :number],
                boxes[index],
                points[index, :, : len(known)],
                scores[index, :, : len(known)],
                inputs["geometry"][index],
                inputs["phrases"][index],
                known,
                self.config,
            )
            for index, (number, known) in enumerate(
                zip(wanted.counts().tolist(), inputs["keypoint_set"], strict=True)
            )
        ]

    def dummy_call(self) -> CallInput:
        """A grey image with one instance and two of its keypoints."""
        call = super().dummy_call()
        width, height = (side / 4 for side in self.config.image_size[::-1])
        target = {
            **(call.target or {}),
            "keypoints": [[[width, height], [width / 2, height / 2]]],
            "keypoints_visible": [[2, 1]],
        }
        tokens = ("[POSE]", KEYPOINT_TOKEN, KEYPOINT_TOKEN)
        return replace(call, target=target, tokens=tokens, phrases=("object", "top", "end"))

    def _asked(self, links: LinkedQueries) -> Asked:
        """The keypoints that calls ask for."""
        states, mask = padded_routes(links)
        return Asked(states.to(self.detector.text_feat_map.weight), mask)
