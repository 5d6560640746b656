"""Transformers for any width and any padding: Deformable DETR's encoder, and both halves of
Grounding DINO's, with fusion and text layers optional."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from .library import (
    DeformableDetrTransformerEncoder,
    DeformableDetrTransformerEncoderLayer,
    DetrTransformerEncoderLayer,
    GroundingDinoTransformerDecoder,
    GroundingDinoTransformerEncoder,
    ModuleList,
    MultiheadAttention,
    SingleScaleBiAttentionBlock,
    coordinate_to_encoding,
    inverse_sigmoid,
)
from .places import level_places

__all__ = ["DeformableEncoder", "LinkDecoder", "LinkEncoder"]


class DeformableEncoder(DeformableDetrTransformerEncoder):
    """Deformable DETR's; torch would warn of how the base class asks for the places of cells."""

    @staticmethod
    def get_encoder_reference_points(
        spatial_shapes: Tensor, valid_ratios: Tensor, device: object = None
    ) -> Tensor:
        """Where each cell looks on each level, as `level_places` has it."""
        return level_places(spatial_shapes, valid_ratios)


class LinkEncoder(GroundingDinoTransformerEncoder):
    """Image features and link features look at each other.

    Unlike the base class it masks the padded routes of a batch in fusion and text layers (the base
    class hands over masks that hide nothing, mmdetection#11803, or that belong to other samples of
    the batch), and it gives routes no positions: their order has no meaning.
    """

    def _init_layers(self) -> None:
        self.layers = _stack(DeformableDetrTransformerEncoderLayer, self.layer_cfg, self.num_layers)
        self.text_layers = _stack(DetrTransformerEncoderLayer, self.text_layer_cfg, self.num_layers)
        self.fusion_layers = _stack(
            SingleScaleBiAttentionBlock, self.fusion_layer_cfg, self.num_layers
        )
        self.embed_dims = self.layers[0].embed_dims

    def forward(
        self, query: Tensor, memory_text: Tensor, text_token_mask: Tensor, **image: Any
    ) -> tuple[Tensor, Tensor]:
        """Run the layers.

        Args:
            query: (B, P, C) image features of all levels.
            memory_text: (B, R, C) link features.
            text_token_mask: (B, R) true for real routes.
            **image: What the deformable layers want: `query_pos`, `key_padding_mask`,
                `spatial_shapes`, `level_start_index` and `valid_ratios`.

        Returns:
            Both features, of the same shapes.
        """
        valid_ratios = image.pop("valid_ratios")
        references = level_places(image["spatial_shapes"], valid_ratios)
        for index, layer in enumerate(self.layers):
            if self.fusion_layers:
                query, memory_text = self.fusion_layers[index](
                    visual_feature=query,
                    lang_feature=memory_text,
                    attention_mask_v=image["key_padding_mask"],
                    attention_mask_l=text_token_mask.to(query.dtype),  # a bool would hide nothing
                )
            if self.text_layers:
                memory_text = self.text_layers[index](
                    query=memory_text, query_pos=None, key_padding_mask=~text_token_mask
                )
            query = layer(query=query, reference_points=references, **image)
        return query, memory_text


class LinkDecoder(GroundingDinoTransformerDecoder):
    """Object queries look at each other, at the link features and at the image.

    Unlike the base class it serves any width, and where a query stands in its image does not depend
    on the padding of the batch.

    Args:
        placed_queries: Whether each layer leaves the place of a query in its content.
        **config: What the base class wants.
    """

    def __init__(self, *, placed_queries: bool = False, **config: Any) -> None:
        super().__init__(**config)
        self.placed_queries = placed_queries

    def _init_layers(self) -> None:
        super()._init_layers()
        for layer in self.layers:
            layer.cross_attn_text = _RouteAttention(**layer.cross_attn_text_cfg)

    def forward(
        self,
        query: Tensor,
        reference_points: Tensor,
        valid_ratios: Tensor,
        reg_branches: Iterable[nn.Module],
        **inputs: Any,
    ) -> tuple[Tensor, Tensor]:
        """Run the layers, each of which refines the boxes of the one before.

        Args:
            query: (B, queries, C).
            reference_points: (B, queries, 4) cx, cy, w, h as shares of the image.
            valid_ratios: (B, levels, 2) shares of width and height that are not padding.
            reg_branches: For each layer, what maps queries to steps of their boxes.
            **inputs: What the layers want of image and links.

        Returns:
            Queries (layers, B, queries, C), and boxes (1 + layers, B, queries, 4), the first as
            given.
        """
        states, references = [], [reference_points]
        ratios = valid_ratios.repeat(1, 1, 2)[:, None]  # (B, 1, levels, 4)
        for layer, regress in zip(self.layers, reg_branches, strict=False):
            position = coordinate_to_encoding(reference_points, num_feats=self.embed_dims // 2)
            place = self.ref_point_head(position)
            query = layer(
                query,
                query_pos=place,
                reference_points=reference_points[:, :, None] * ratios,
                **inputs,
            )
            if self.placed_queries:
                query = query + place
            refined = (regress(query) + inverse_sigmoid(reference_points, eps=1e-3)).sigmoid()
            states.append(self.norm(query))
            references.append(refined)
            reference_points = refined.detach()
        return torch.stack(states), torch.stack(references)


class _RouteAttention(MultiheadAttention):
    """Attention to routes, which have no positions.

    The base class would warn of that, and lend them the positions of the object queries where there
    happen to be as many queries as routes.
    """

    def forward(self, query: Tensor, key: Tensor, **kwargs: Any) -> Tensor:
        return super().forward(query, key, key_pos=key.new_zeros(()), **kwargs)


def _stack(kind: type[nn.Module], config: Any, num_layers: int) -> ModuleList:
    """`num_layers` layers of `kind`, none where there is no config."""
    return ModuleList(kind(**config) for _ in range(num_layers if config else 0))
