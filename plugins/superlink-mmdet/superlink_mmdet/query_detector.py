"""What the task decoders of all families share: routes and an image in, boxes and masks out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from PIL import Image
from torch import Tensor

from superlink.errors import InputError
from superlink.interfaces import (
    CallInput,
    DecoderInputs,
    Geometry,
    LinkedQueries,
    LossTerm,
    Prediction,
    TaskDecoder,
)

from .config import QueryDetectorConfig
from .denoising import noise_seed
from .detector import LinkDetector
from .library import DetDataSample
from .masks import query_masks
from .predictions import instances
from .samples import canvas_of, data_sample, instance_targets, set_targets, stream_item

__all__ = ["QueryDetectorDecoder"]


class QueryDetectorDecoder(TaskDecoder):
    """Finds, for each route of a call, its instances in the image of the call.

    Targets: `bboxes` (N, 4) in pixels of the original image, `labels` (N,) indices of routes.
    With `masks` in the config, instances get masks, and a target may hold `masks` (N, H, W) of
    bool, of the original image; without it teaches boxes alone. Other keys are ignored. It computes
    in float32, whatever precision the LLM runs in. A family supplies its `detector_class`.
    """

    detector_class: ClassVar[type[LinkDetector]]
    pooling: ClassVar[Literal["mean", "attention", "none"]] = "mean"
    full_precision: ClassVar[bool] = True

    def __init__(self, config: QueryDetectorConfig) -> None:
        super().__init__()
        self.config = config
        self.cond_size = config.embed_dims
        self.uses_image_features = config.shared_features
        self.detector = self.detector_class(config)
        self.detector.init_weights()

    def prepare(self, call: CallInput, *, training: bool) -> dict[str, Any]:
        """Resize and normalise the image, and bring the targets to its pixels.

        Returns:
            `geometry` and `key`; `image` (3, H, W) unless the features are shared; where the call
            has a target, `bboxes` (N, 4) in pixels of the stream, `labels` (N,) and, if the config
            wants them, `masks` (N, H, W) or None.

        Raises:
            InputError: There is no image, no target to train on, or one that cannot be used.
        """
        item = stream_item(call, self.config, "Detection", training=training)
        if len(call.tokens) > self.config.max_routes:
            raise InputError(
                f"A call may have {self.config.max_routes} routes: raise max_routes in the "
                f"decoder's config. Received: {len(call.tokens)} routes, key={call.key!r}"
            )
        item["key"] = call.key
        if call.target is not None:
            item |= instance_targets(call, item["geometry"], with_masks=self.config.masks)
        return item

    def loss(self, links: LinkedQueries, inputs: DecoderInputs) -> dict[str, LossTerm]:
        """Match predictions and targets, and sum their differences.

        Returns:
            `loss_cls`, `loss_bbox` and `loss_iou` summed over the layers, those of the encoder's
            proposals (`enc_`) and, while a family that has it trains, of denoising (`dn_`); the
            count is the number of targets. With masks also `loss_mask` and `loss_dice`, and those
            of denoising; the count is the number of targets that have masks.
        """
        if "labels" not in inputs:
            raise InputError("A loss needs calls with targets. Received: calls without any")
        with torch.autocast(links.states.device.type, enabled=False):
            head_inputs, samples = self._forward(links, inputs, with_targets=True)
            losses = self.detector.bbox_head.loss(**head_inputs, batch_data_samples=samples)
        count = float(sum(map(len, inputs["labels"])))
        masked = float(sum(len(one) for one in inputs.get("masks", ()) if one is not None))
        counts = dict.fromkeys(losses, count)
        counts |= {name: masked for name in losses if name.endswith(("loss_mask", "loss_dice"))}
        return {name: (value, counts[name]) for name, value in losses.items()}

    @torch.no_grad()
    def predict(self, links: LinkedQueries, inputs: DecoderInputs) -> list[Prediction]:
        """One prediction for each call, on the host, in pixels of the original image."""
        with torch.autocast(links.states.device.type, enabled=False):
            found, _ = self._forward(links, inputs, with_targets=False)
            masks_of = self._mask_readers(found, inputs["geometry"])
            logits, boxes = (last[-1].cpu() for last in self.detector.bbox_head(**found))
            return [
                instances(
                    logits[index, :, :num_routes],
                    boxes[index],
                    inputs["geometry"][index],
                    links.phrases_of(index),
                    self.config,
                    masks_of[index],
                )
                for index, num_routes in enumerate(links.counts().tolist())
            ]

    def _mask_readers(
        self, found: dict[str, Any], geometries: Sequence[Geometry]
    ) -> list[Callable[[Tensor], Tensor] | None]:
        """For each call, what gives the masks of its queries; the pixels are taken of `found`."""
        pixels = found.pop("pixels", None)
        if pixels is None:
            return [None] * len(geometries)
        embeddings = self.detector.bbox_head.mask_branch.embed(found["hidden_states"][-1])
        return [
            partial(query_masks, embeddings[index], pixels.of(index), geometry)
            for index, geometry in enumerate(geometries)
        ]

    def dummy_call(self) -> CallInput:
        """A grey image with one box, and its mask where masks are wanted."""
        height, width = self.config.image_size
        target: dict[str, Any] = {"bboxes": [[0.0, 0.0, width / 2, height / 2]], "labels": [0]}
        if self.config.masks:
            target["masks"] = torch.zeros(1, height, width, dtype=torch.bool)
            target["masks"][:, : height // 2, : width // 2] = True
        return CallInput(
            image=Image.new("RGB", (width, height), "grey"),
            geometry=Geometry.identity((height, width)),
            target=target,
            tokens=("[DET]",),
            phrases=("object",),
            key="dummy",
        )

    def _forward(
        self, links: LinkedQueries, inputs: DecoderInputs, *, with_targets: bool
    ) -> tuple[dict[str, Any], list[DetDataSample]]:
        """What the box head wants, and the data samples of the batch."""
        states, mask = links.padded()
        if not mask.any(1).all():
            raise InputError(
                f"Every call needs at least one route. Received: counts={links.counts().tolist()}"
            )
        weight = self.detector.text_feat_map.weight
        samples = self._samples(inputs)
        if with_targets:
            self._set_targets(samples, inputs, mask)
        features = self._features(inputs, weight)
        return self.detector.forward_links(features, states.to(weight), mask, samples), samples

    def _features(self, inputs: DecoderInputs, weight: Tensor) -> tuple[Tensor, ...]:
        if not self.config.shared_features:
            return self.detector.image_features([image.to(weight) for image in inputs["image"]])
        told = "shared_features with mask_channels, where that is set, and in_channels"
        maps = self.shared_maps(inputs, self.config.map_channels, told)
        return self.detector.level_features(tuple(one.to(weight) for one in maps))

    def _samples(self, inputs: DecoderInputs) -> list[DetDataSample]:
        geometries: Sequence[Geometry] = inputs["geometry"]
        canvas = canvas_of(geometries)
        return [data_sample(geometry, canvas) for geometry in geometries]

    def _set_targets(
        self, samples: Sequence[DetDataSample], inputs: DecoderInputs, mask: Tensor
    ) -> None:
        """Give the samples their targets and the seeds of what is drawn for them."""
        known = inputs.get("masks", [None] * len(samples))
        for index, (sample, key) in enumerate(zip(samples, inputs["key"], strict=True)):
            bboxes = inputs["bboxes"][index].to(mask.device)
            labels = inputs["labels"][index].to(mask.device)
            set_targets(sample, bboxes, labels, mask[index], self.config.max_routes)
            if known[index] is not None:
                sample.gt_instances.masks = known[index].to(mask.device)
            seeds = {"noise_seed": noise_seed(key), "point_seed": noise_seed(f"{key}/points")}
            sample.set_metainfo(seeds)
