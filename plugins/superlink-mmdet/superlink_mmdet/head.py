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
from .pairs import NoisedQueries, Pairs
from .pixels import PixelMap

__all__ = ["LinkHead"]

Sums = dict[str, Tensor]


class LinkHead(GroundingDINOHead):
    """Losses are sums over a batch: whoever adds up batches divides once.

    The loss modules of its config must have `reduction="sum"`. Denoising sums are means over the
    groups of each image, so that a target weighs the same whatever its image and its batch hold.

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
        noised: NoisedQueries | None = None,
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
            noised: The places of the denoising queries, where a family has them.
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
        return self.compare(layers, proposals, targets, noised)

    def compare(
        self,
        layers: Sequence[Layer],
        proposals: Layer,
        targets: Targets,
        noised: NoisedQueries | None,
    ) -> Sums:
        """The sums of `loss`, of what the layers and the encoder have made."""
        first = noised.number if noised else 0
        matching = [self._matching(layer.part(slice(first, None)), targets) for layer in layers]
        losses = _added(matching) | _added([self._matching(proposals, targets)], "enc_")
        if noised:
            device = targets.sizes.device
            pairs, weights = noised.pairs(device), noised.weights().to(device)
            parts = [layer.part(slice(first)) for layer in layers]
            sums = [self._sums(layer, weights, pairs, targets) for layer in parts]
            losses |= _added(sums, "dn_")
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
        weights = torch.ones_like(layer.boxes[..., 0])
        return self._sums(layer, weights, pairs, targets)

    def _sums(self, layer: Layer, weights: Tensor, pairs: Pairs, targets: Targets) -> Sums:
        """Compare pairs; the other queries shall find nothing. Each query weighs as `weights`
        (B, Q) tell; those of weight 0 are not looked at."""
        images, queries = pairs.places()
        labels = torch.zeros_like(layer.logits)
        labels[images, queries, pairs.of_targets([one.labels for one in targets.instances])] = 1.0
        judged = targets.routes[:, None] & (weights > 0)[..., None]  # (B, Q, R)
        each, paired = weights[..., None].expand_as(judged)[judged], weights[images, queries]
        predicted, scale = layer.boxes[images, queries], targets.sizes[images]  # (M, 4)
        wanted = centred_boxes(pairs.of_targets([one.bboxes for one in targets.instances]) / scale)
        sums = {
            "loss_cls": self.loss_cls(layer.logits[judged], labels[judged], each),
            "loss_bbox": self.loss_bbox(predicted, wanted, paired[:, None]),
            "loss_iou": self.loss_iou(
                box_corners(predicted) * scale, box_corners(wanted) * scale, paired
            ),
        }
        if layer.masks is not None:
            sums |= self.mask_branch.sums(layer.masks, targets.points, pairs, weights)
        return sums


def _added(parts: Iterable[Sums], prefix: str = "") -> Sums:
    """The sums of several layers as one, under names with a prefix."""
    total: Sums = {}
    for part in parts:
        for name, value in part.items():
            total[prefix + name] = total.get(prefix + name, 0) + value
    return total
