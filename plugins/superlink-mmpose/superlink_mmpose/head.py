"""The head of poses: Grounding DINO's finds instances, and groups refine them with keypoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from superlink_mmdet.head import LinkHead
from superlink_mmdet.library import TASK_UTILS, DetDataSample
from superlink_mmdet.matching import Layer, Targets, box_corners, centred_boxes
from superlink_mmdet.pairs import NoisedQueries, Pairs

from .config import GroupPoseConfig
from .groups import Asked, KeypointGroups
from .library import OKSLoss
from .matching import PoseLayer, match_poses, pose_costs
from .ragged import padded_index
from .targets import PoseTargets, first_copies, joined_pairs

__all__ = ["PoseHead"]

Sums = dict[str, Tensor]
Memory = dict[str, Any]


class PoseHead(LinkHead):
    """Losses are sums over a batch, as in the base class.

    Args:
        pose: The settings of groups.
        box_assigner: What pairs queries with targets by routes and boxes, in mmdet's words.
        **config: What the base class wants.
    """

    def __init__(
        self, *, pose: GroupPoseConfig, box_assigner: Mapping[str, Any], **config: Any
    ) -> None:
        super().__init__(**config)
        self.groups = KeypointGroups(pose)
        costs = [*box_assigner["match_costs"], *pose_costs(pose)]
        self.pose_assigner = TASK_UTILS.build({**box_assigner, "match_costs": costs})
        self.similarity = OKSLoss(reduction="sum", norm_target_weight=True)
        self.pose = pose

    def pairs(self, layer: Layer, targets: Targets) -> Pairs:
        """Which queries of a layer stand for which targets."""
        if isinstance(layer, PoseLayer):
            return match_poses(layer, targets, self.pose_assigner)
        return super().pairs(layer, targets)

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
        *,
        asked: Asked,
        memory: Memory,
        **unused: Any,
    ) -> Sums:
        """The losses of the base class, and those of groups.

        A group is made of each query that stands for a target, and of the positive copy of each
        target in the first group of denoising. The targets hold `keypoints` (N, K, 2) in pixels of
        the stream, `labelled` (N, K), `units` (N, K), the pixels of one deviation of OKS, and
        `sizes` (N,), the square roots of areas.

        Returns:
            Beside the base class's, of all steps of groups `loss_keypoints`, `loss_oks`,
            `loss_pose_bbox`, `loss_pose_iou` and `loss_keypoint_score`, and the same of denoising.
        """
        layers = self.layers(hidden_states, references, memory_text, text_token_mask)
        queries = self.groups.queries(hidden_states[-1], asked)
        starts = self.groups.starts(queries, layers[-1].boxes.detach())
        last = layers[-1]
        layers[-1] = PoseLayer(last.logits, last.boxes, keypoints=starts[..., :2])
        targets = Targets.of(batch_data_samples, text_token_mask, None)
        proposals = Layer(enc_outputs_class[..., : text_token_mask.shape[1]], enc_outputs_coord)
        losses = self.compare(layers, proposals, targets, noised)
        first = noised.number if noised else 0
        pairs = self.pairs(layers[-1].part(slice(first, None)), targets)
        pairs = Pairs(tuple(one + first for one in pairs.queries), pairs.targets)
        if noised:
            pairs = joined_pairs(pairs, first_copies(targets))
        return losses | self._pose_sums(
            _Groups(queries, last.boxes.detach(), starts),
            pairs,
            first if noised else None,
            targets,
            asked,
            memory,
        )

    def predict_groups(
        self,
        hidden_states: Tensor,
        references: Sequence[Tensor],
        memory_text: Tensor,
        text_token_mask: Tensor,
        *,
        asked: Asked,
        memory: Memory,
        **unused: Any,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The best instances of each image, at most `max_groups`.

        Returns:
            Logits of routes (B, G, R), boxes (B, G, 4) and keypoints (B, G, K, 2) as shares of the
            image, and logits of keypoints (B, G, K).
        """
        last = self.layers(hidden_states, references, memory_text, text_token_mask)[-1]
        number = min(self.pose.max_groups, last.logits.shape[1])
        best = last.logits.amax(-1).topk(number, dim=1).indices[..., None]  # (B, G, 1)
        states = hidden_states[-1].take_along_dim(best, 1)
        boxes = last.boxes.take_along_dim(best, 1)
        queries = self.groups.queries(states, asked)
        starts = self.groups.starts(queries, boxes)
        places, scores = self.groups(queries, boxes, starts, asked, memory)
        logits = last.logits.take_along_dim(best, 1)
        return logits, places[-1, :, :, 0], places[-1, :, :, 1:, :2], scores

    def _pose_sums(
        self,
        groups: _Groups,
        pairs: Pairs,
        num_noised: int | None,
        targets: Targets,
        asked: Asked,
        memory: Memory,
    ) -> Sums:
        """Run the groups of pairs, and compare them with their targets. The first `num_noised`
        queries are those of denoising, where there is some."""
        index, real = padded_index(pairs.queries)  # (B, G), at least one: no weight is left out
        chosen = groups.take(index)
        places, scores = self.groups(chosen.queries, chosen.boxes, chosen.starts, asked, memory)
        # (steps, M, 1 + K, 4), (M, K): group by group, as the targets of the pairs are
        found, certain = places[:, real], scores[real]
        wanted = PoseTargets.of(pairs, targets, asked.mask.shape[1])
        noised = index[real] < (num_noised or 0)
        sums = self._part_sums(found[:, ~noised], certain[~noised], wanted.part(~noised))
        if num_noised is not None:
            own = self._part_sums(found[:, noised], certain[noised], wanted.part(noised))
            sums |= {f"dn_{name}": value for name, value in own.items()}
        unused = 0.0 * (places[:, ~real].sum() + scores[~real].sum())
        return sums | {"loss_keypoint_score": sums["loss_keypoint_score"] + unused}

    def _part_sums(self, places: Tensor, scores: Tensor, wanted: PoseTargets) -> Sums:
        """The differences of M groups, places (steps, M, 1 + K, 4) and logits (M, K)."""
        sums: Sums = {}
        for step, place in enumerate(places):
            found = place[:, 1:, :2] * wanted.scale[:, None, :2]
            step_sums = self._keypoint_sums(found, wanted)
            if step:  # they start from boxes of the detector, which has losses of its own
                step_sums |= self._box_sums(place[:, 0], wanted)
            for name, value in step_sums.items():
                sums[name] = sums.get(name, 0) + value
        return sums | {"loss_keypoint_score": self._score_sum(scores, found, wanted)}

    def _keypoint_sums(self, found: Tensor, wanted: PoseTargets) -> Sums:
        """The differences of keypoints (M, K, 2) in pixels of the stream."""
        gaps = (found - wanted.keypoints).abs().sum(-1) / wanted.sizes[:, None]
        # Where nothing is labelled, nothing differs: no gradient, and no constant either.
        labelled = wanted.labelled > 0
        found = torch.where(labelled[..., None], found, wanted.keypoints)
        some = labelled.any(1)
        units = wanted.units[some][..., None]
        unlike = self.similarity(
            found[some] / units, wanted.keypoints[some] / units, wanted.labelled[some]
        )
        return {
            "loss_keypoints": self.pose.loss_keypoints * (gaps * wanted.labelled).sum(),
            "loss_oks": self.pose.loss_oks * unlike,
        }

    def _box_sums(self, boxes: Tensor, wanted: PoseTargets) -> Sums:
        """The differences of boxes (M, 4), cx, cy, w, h as shares."""
        right = centred_boxes(wanted.bboxes / wanted.scale)
        return {
            "loss_pose_bbox": self.loss_bbox(boxes, right),
            "loss_pose_iou": self.loss_iou(box_corners(boxes) * wanted.scale, wanted.bboxes),
        }

    def _score_sum(self, logits: Tensor, found: Tensor, wanted: PoseTargets) -> Tensor:
        """The cross-entropy of the scores (M, K) with the similarity that keypoints have."""
        gaps = (found.detach() - wanted.keypoints).norm(dim=-1) / wanted.units
        similar = (-(gaps**2) / 2).exp()
        each = nn.functional.binary_cross_entropy_with_logits(logits, similar, reduction="none")
        return self.pose.loss_keypoint_score * (each * wanted.labelled).sum()


@dataclass(frozen=True)
class _Groups:
    """What groups start from, (B, queries, ...) each."""

    queries: Tensor
    boxes: Tensor
    starts: Tensor

    def take(self, index: Tensor) -> _Groups:
        """Those of some queries (B, G)."""
        chosen = index[..., None]
        return _Groups(
            self.queries.take_along_dim(chosen[..., None], 1),
            self.boxes.take_along_dim(chosen, 1),
            self.starts.take_along_dim(chosen[..., None], 1),
        )
