"""Groups of one instance: a box query and a query for each keypoint that was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from superlink_mmdet.layers import LinkDecoder
from superlink_mmdet.library import MLP, DeformableDetrTransformerDecoderLayer, ModuleList
from superlink_mmdet.settings import attention, deformable, feedforward

from .config import GroupPoseConfig

__all__ = ["Asked", "KeypointGroups"]

_REACH = 0.6
"""How far from the middle of its box a keypoint may start, as a share of the box's size."""


@dataclass(frozen=True)
class Asked:
    """The keypoints that calls ask for."""

    states: Tensor
    """(B, K, C) link states, padded."""
    mask: Tensor
    """(B, K) true for real ones."""


class KeypointGroups(nn.Module):
    """Refines instances with their keypoints, after UniPose (arXiv 2310.08530, section 3.3).

    Queries of one instance attend to each other, and all of them to the image. Those of other
    instances are not seen: memory grows with K^2 for an instance. The order of keypoints has no
    meaning.
    """

    def __init__(self, config: GroupPoseConfig) -> None:
        super().__init__()
        dims = config.embed_dims
        self.keypoint_map = nn.Linear(dims, dims)
        self.keypoint_norm, self.state_norm = nn.LayerNorm(dims), nn.LayerNorm(dims)
        self.start = MLP(dims, dims, 4, 3)
        fine = config.fine_channels is not None
        look = deformable(config) | {"num_levels": config.num_levels + fine}
        layer = {
            "self_attn_cfg": attention(config) | {"batch_first": True},
            "cross_attn_cfg": look,
            "ffn_cfg": feedforward(config),
        }
        self.decoder = _GroupDecoder(
            num_layers=config.pose_layers,
            return_intermediate=True,
            layer_cfg=layer,
            post_norm_cfg=None,
        )
        steps = range(config.pose_layers)
        self.box_steps = nn.ModuleList(MLP(dims, dims, 4, 3) for _ in steps)
        self.keypoint_steps = nn.ModuleList(MLP(dims, dims, 4, 3) for _ in steps)
        self.score = nn.Linear(dims, 1)
        self._start_small()

    def _start_small(self) -> None:
        """First layers leave boxes as they are, and keypoints in the middle."""
        for parameter in self.decoder.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        for layer in self.decoder.layers:
            layer.cross_attn.init_weights()
        for steps in (self.start, *self.box_steps, *self.keypoint_steps):
            nn.init.zeros_(steps.layers[-1].weight)
            nn.init.zeros_(steps.layers[-1].bias)
        nn.init.constant_(self.score.bias, -1.0)

    def queries(self, states: Tensor, asked: Asked) -> Tensor:
        """The queries (B, G, 1 + K, C) of instances whose states are (B, G, C)."""
        box = self.state_norm(states)[:, :, None]
        points = self.keypoint_norm(self.keypoint_map(asked.states))[:, None]  # (B, 1, K, C)
        return torch.cat([box, box + points], dim=2)

    def starts(self, queries: Tensor, boxes: Tensor) -> Tensor:
        """Where keypoints start, and how far they look around: cx, cy, w, h (B, G, K, 4) as shares
        of the image, from queries (B, G, 1 + K, C) and boxes (B, G, 4) of the same form."""
        where, size = self.start(queries[:, :, 1:]).split(2, dim=-1)
        middle, sides = boxes[:, :, None].split(2, dim=-1)
        places = middle + _REACH * where.tanh() * sides
        return torch.cat([places.clamp(1e-3, 1 - 1e-3), sides * (size - 1).sigmoid()], dim=-1)

    def forward(
        self, queries: Tensor, boxes: Tensor, starts: Tensor, asked: Asked, memory: dict[str, Any]
    ) -> tuple[Tensor, Tensor]:
        """Refine G instances of each image.

        Args:
            queries: (B, G, 1 + K, C) of `queries`.
            boxes: (B, G, 4) cx, cy, w, h as shares of the image.
            starts: (B, G, K, 4) of `starts`.
            asked: The keypoints.
            memory: The image as the layers want it.

        Returns:
            Boxes and keypoints (1 + layers, B, G, 1 + K, 4) as they start and after each layer, and
            the logits (B, G, K) of keypoint scores.
        """
        batch, groups, width, _ = queries.shape
        hidden = torch.cat([asked.mask.new_zeros(batch, 1), ~asked.mask], dim=1)  # (B, 1 + K)
        states, places = self.decoder(
            query=queries.flatten(1, 2),
            reference_points=torch.cat([boxes[:, :, None], starts], dim=2).flatten(1, 2),
            reg_branches=[
                _Steps(box, point, width)
                for box, point in zip(self.box_steps, self.keypoint_steps, strict=True)
            ],
            group_mask=hidden[:, None].expand(-1, groups, -1).flatten(0, 1),
            **memory,
        )
        last = states[-1].unflatten(1, (groups, width))[:, :, 1:]
        return places.unflatten(2, (groups, width)), self.score(last).squeeze(-1)


class _Steps:
    """What moves the boxes and the keypoints of groups of `width` queries."""

    def __init__(self, box: nn.Module, point: nn.Module, width: int) -> None:
        self.box, self.point, self.width = box, point, width

    def __call__(self, states: Tensor) -> Tensor:
        grouped = states.unflatten(1, (-1, self.width))
        moved = torch.cat([self.box(grouped[:, :, :1]), self.point(grouped[:, :, 1:])], dim=2)
        return moved.flatten(1, 2)


class _GroupLayer(DeformableDetrTransformerDecoderLayer):
    """mmdet's layer, in which the queries of one group attend to each other alone."""

    def forward(
        self,
        query: Tensor,
        query_pos: Tensor,
        group_mask: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None,
        **image: Any,
    ) -> Tensor:
        """Run the layer on queries (B, G * width, C); `group_mask` (B * G, width) is true on
        padding."""
        size, width = query.shape, group_mask.shape[1]
        own, place = (one.reshape(-1, width, size[-1]) for one in (query, query_pos))
        own = self.self_attn(query=own, query_pos=place, key_pos=place, key_padding_mask=group_mask)
        query = self.norms[0](own.view(size))
        query = self.cross_attn(
            query, value=value, query_pos=query_pos, key_padding_mask=key_padding_mask, **image
        )
        out: Tensor = self.norms[2](self.ffn(self.norms[1](query)))
        return out


class _GroupDecoder(LinkDecoder):
    """Grounding DINO's refinement, over layers of groups that see no routes."""

    def _init_layers(self) -> None:
        self.layers = ModuleList(_GroupLayer(**self.layer_cfg) for _ in range(self.num_layers))
        self.embed_dims = self.layers[0].embed_dims
        self.ref_point_head = MLP(2 * self.embed_dims, self.embed_dims, self.embed_dims, 2)
        self.norm = nn.LayerNorm(self.embed_dims)
