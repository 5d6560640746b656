"""The task decoder `sam.masks`: routes and an image in, one mask for each route out."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from superlink import Geometry, Prediction, TaskDecoder
from superlink.errors import InputError
from superlink.interfaces import CallInput, DecoderInputs, LinkedQueries, LossTerm

from .config import SamMaskConfig
from .library import PromptedSam, load_sam
from .samples import image_tensor, instances, route_masks, stream_masks

__all__ = ["SamMaskDecoder"]


class SamMaskDecoder(TaskDecoder):
    """Cuts out what each route stands for.

    Targets: `masks` (N, H, W) bool in the original image, `labels` (N,) indices of routes. Several
    instances of one route are one mask: SAM gives one for a prompt. Other keys are ignored.
    """

    def __init__(self, config: SamMaskConfig) -> None:
        super().__init__()
        self.config = config
        self.model = PromptedSam(load_sam(config), train_vision=config.train_vision)
        self.cond_size = config.num_prompt_tokens * self.model.hidden_size

    def prepare(self, call: CallInput, *, training: bool) -> dict[str, Any]:
        """Resize, normalise and pad the image, and bring the targets to the cells of SAM's masks.

        Returns:
            `pixels` (3, S, S), `geometry`, and `size`, what the image takes of the stream; where
            the call has a target, `targets` (R, h, w) and `inside` (h, w).

        Raises:
            InputError: There is no image, no target to train on, or one that cannot be used.
        """
        if call.image is None or call.geometry is None:
            raise InputError(f"[SEG] needs an image. Received: none, key={call.key!r}")
        if training and call.target is None:
            raise InputError(
                f"Training needs a target, which may be empty. Received: None, key={call.key!r}"
            )
        side = self.model.image_size
        pixels, size = image_tensor(call.image, side, keep_ratio=not self.model.is_sam2)
        item: dict[str, Any] = {"pixels": pixels, "size": size}
        item["geometry"] = call.geometry.resized(size).padded((side, side))
        if call.target is None:
            return item
        masks, cells = route_masks(call, call.geometry.original_size), self.model.num_cells
        item["targets"], item["inside"] = stream_masks(masks, item["geometry"], size, cells)
        return item

    def loss(self, links: LinkedQueries, inputs: DecoderInputs) -> dict[str, LossTerm]:
        """Compare the mask of each route with its target, padding left out.

        Returns:
            `loss_mask` (cross entropy), `loss_dice` and `loss_iou`, summed over the routes; the
            count is their number.
        """
        if "targets" not in inputs:
            raise InputError("A loss needs calls with targets. Received: calls without any")
        logits, ious = self._masks(links, inputs)
        inside = inputs["inside"][links.calls]  # (R, h, w)
        targets = torch.cat(list(inputs["targets"]))  # (R, h, w)
        errors = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        entropy = _area(errors * inside) / _area(inside).clamp(min=1)
        masks = logits.sigmoid() * inside
        # The ones make a small answer to an empty target a small error (V-Net, arXiv 1606.04797).
        dice = 1 - (2 * _area(masks * targets) + 1) / (_area(masks) + _area(targets) + 1)
        error = (ious - _overlap((logits > 0) * inside, targets)).square()
        weights, count = self.config, float(len(targets))
        return {
            "loss_mask": (weights.loss_mask * entropy.sum(), count),
            "loss_dice": (weights.loss_dice * dice.sum(), count),
            "loss_iou": (weights.loss_iou * error.sum(), count),
        }

    @torch.no_grad()
    def predict(self, links: LinkedQueries, inputs: DecoderInputs) -> list[Prediction]:
        """At most one instance for each route, on the host; none where its mask is empty."""
        logits, ious = self._masks(links, inputs)
        return [
            instances(
                logits[links.calls == call],
                ious[links.calls == call],
                geometry,
                inputs["size"][call],
                links.phrases_of(call),
            )
            for call, geometry in enumerate(inputs["geometry"])
        ]

    def dummy_call(self) -> CallInput:
        """A grey image, half of it one object."""
        size = (self.model.image_size, self.model.image_size)
        mask = torch.zeros(1, *size, dtype=torch.bool)
        mask[:, : size[0] // 2] = True
        target, image = {"masks": mask, "labels": torch.tensor([0])}, Image.new("RGB", size, "grey")
        return CallInput(image, Geometry.identity(size), target, ("[SEG]",), ("object",), "dummy")

    def _masks(self, links: LinkedQueries, inputs: DecoderInputs) -> tuple[Tensor, Tensor]:
        """Mask logits (R, h, w) of the stream, and the IoU (R,) that SAM expects of each."""
        maps = [level[links.calls] for level in self.model.embed(inputs["pixels"])]
        prompts = links.states.reshape(
            len(links.states), self.config.num_prompt_tokens, -1
        )  # (R, P, C)
        return self.model.masks(maps, prompts)


def _area(masks: Tensor) -> Tensor:
    return masks.sum((1, 2))


def _overlap(masks: Tensor, targets: Tensor) -> Tensor:
    """The IoU (R,) of masks and targets (R, h, w); 0 where the target is empty."""
    both, either = torch.minimum(masks, targets), torch.maximum(masks, targets)
    return _area(both) / _area(either).clamp(min=1e-6)
