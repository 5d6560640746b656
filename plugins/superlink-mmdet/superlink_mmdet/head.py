"""The head of all families, Grounding DINO's: classes are what is near to the features of routes.

Losses are sums, and there are masks where they are wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .library import DetDataSample, GroundingDINOHead
from .mask_branch import MaskBranch
from .matching import Layer, Targets, box_corners, centred_boxes, match
from .pairs import Pairs, noised_pairs
from .pixels import PixelMap

__all__ = ["LinkHead"]

Sums = dict[str, Tensor]


class LinkHead(GroundingDINOHead):
    """Losses are sums over a batch: whoever adds up batches divides once.

    The loss modules of its config must have `reduction="sum"`. Denoising sums are means over the
    groups of noise, so that each target weighs the same whatever its batch.

    Args:
        masks: What `MaskBranch` wants; None leaves masks out.
        **config: What mmdet's head wants.
    """

    def __init__(self, *, masks: Mapping[str, Any] | None = None, **config: Any) -> None:
        super().__init__(**config)
        self.mask_branch = MaskBranch(**masks) if masks else None

    def loss(
        self,
        hidden_states: Tensor,
        references: Sequence[Tensor],
        memory_text: Tensor,
        text_token_mask: Tensor,
        enc_outputs_class: Tensor,
        enc_outputs_coord: Tensor,
        batch_data_samples: Sequence[DetDataSample],
        dn_meta: Mapping[str, int] | None = None,
        pixels: PixelMap | None = None,
    ) -> Sums:
        """Pair the queries of each layer with targets, and compare them.

        Args:
            hidden_states: (layers, B, D + Q, C) of D denoising and Q matching queries.
            references: For each layer the boxes (B, D + Q, 4) that it starts from.
            memory_text: (B, R, C) link features.
            text_token_mask: (B, R) true for real routes.
            enc_outputs_class: (B, Q, max_text_len) logits of the encoder's proposals.
            enc_outputs_coord: (B, Q, 4) cx, cy, w, h of the proposals.
            batch_data_samples: The images with their targets.
            dn_meta: The numbers of denoising queries and of their groups, where there are some.
            pixels: The embeddings of pixels, where there is a mask branch.

        Returns:
            The sums of all decoder layers, of the proposals (`enc_`), and of denoising (`dn_`).
        """
        layers = self.layers(hidden_states, references, memory_text, text_token_mask)
        routes = slice(text_token_mask.shape[1])  # -inf beyond
        points = self.mask_branch and self.mask_branch.points(pixels, batch_data_samples)
        targets = Targets.of(batch_data_samples, text_token_mask, points)
        # Proposals get no masks: nobody would read them, as queries start from boxes alone.
        proposals = Layer(enc_outputs_class[..., routes], enc_outputs_coord)
        return self.compare(layers, proposals, targets, dn_meta)

    def compare(
        self,
        layers: Sequence[Layer],
        proposals: Layer,
        targets: Targets,
        dn_meta: Mapping[str, int] | None,
    ) -> Sums:
        """The sums of `loss`, of what the layers and the encoder have made."""
        meta = dn_meta or {"num_denoising_queries": 0, "num_denoising_groups": 0}
        first, num_groups = meta["num_denoising_queries"], meta["num_denoising_groups"]
        matching = [self._matching(layer.part(slice(first, None)), targets) for layer in layers]
        losses = _added(matching) | _added([self._matching(proposals, targets)], "enc_")
        if num_groups:
            noised = [layer.part(slice(first)) for layer in layers]
            losses |= _added([self._denoising(one, targets, num_groups) for one in noised], "dn_")
        return losses

    def layers(
        self,
        hidden_states: Tensor,
        references: Sequence[Tensor],
        memory_text: Tensor,
        text_token_mask: Tensor,
    ) -> list[Layer]:
        """What each layer makes of its queries; the arguments are those of `loss`."""
        logits, boxes = self(hidden_states, references, memory_text, text_token_mask)
        branch, num_layers = self.mask_branch, len(hidden_states)
        masks = [None] * num_layers if branch is None else branch.embed(hidden_states)
        routes = slice(text_token_mask.shape[1])  # -inf beyond
        return [Layer(logits[i, ..., routes], boxes[i], masks[i]) for i in range(num_layers)]

    def pairs(self, layer: Layer, targets: Targets) -> Pairs:
        """Which queries of a layer stand for which targets."""
        mask_assigner = self.mask_branch and self.mask_branch.assigner
        return match(layer, targets, self.assigner, mask_assigner)

    def _matching(self, layer: Layer, targets: Targets) -> Sums:
        pairs = self.pairs(layer, targets)
        counted = torch.ones_like(layer.boxes[..., 0], dtype=torch.bool)
        return self._sums(layer, counted, pairs, targets)

    def _denoising(self, layer: Layer, targets: Targets, num_groups: int) -> Sums:
        numbers = [len(one) for one in targets.instances]
        num_queries, device = layer.boxes.shape[1], layer.boxes.device
        pairs, counted = noised_pairs(numbers, num_queries, num_groups, device)
        sums = self._sums(layer, counted, pairs, targets)
        return {name: value / num_groups for name, value in sums.items()}

    def _sums(self, layer: Layer, counted: Tensor, pairs: Pairs, targets: Targets) -> Sums:
        """Compare pairs. Of the other queries, those that are `counted` (B, Q) shall find
        nothing."""
        images, queries = pairs.places()
        labels = torch.zeros_like(layer.logits)
        labels[images, queries, pairs.of_targets([one.labels for one in targets.instances])] = 1.0
        judged = targets.routes[:, None] & counted[..., None]  # (B, Q, R)
        predicted, scale = layer.boxes[images, queries], targets.sizes[images]  # (M, 4)
        wanted = centred_boxes(pairs.of_targets([one.bboxes for one in targets.instances]) / scale)
        sums = {
            "loss_cls": self.loss_cls(layer.logits[judged], labels[judged]),
            "loss_bbox": self.loss_bbox(predicted, wanted),
            "loss_iou": self.loss_iou(box_corners(predicted) * scale, box_corners(wanted) * scale),
        }
        if layer.masks is not None:
            sums |= self.mask_branch.sums(layer.masks, targets.points, pairs)
        return sums


def _added(parts: Iterable[Sums], prefix: str = "") -> Sums:
    """The sums of several layers as one, under names with a prefix."""
    total: Sums = {}
    for part in parts:
        for name, value in part.items():
            total[prefix + name] = total.get(prefix + name, 0) + value
    return total
