"""mmdet's Grounding DINO with link features in the place of its text encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .config import GroundingDinoConfig
from .denoising import LinkDenoising
from .detector import LinkDetector
from .head import LinkHead
from .layers import LinkDecoder, LinkEncoder
from .library import DetDataSample, GroundingDINO
from .pairs import NoisedQueries
from .settings import grounding_dino_settings

__all__ = ["LinkGroundingDINO"]


class LinkGroundingDINO(LinkDetector, GroundingDINO):
    """Link features meet the image in every layer; in training, noised targets are queries too."""

    encoder_class = LinkEncoder
    decoder_class = LinkDecoder

    @classmethod
    def settings(cls, config: GroundingDinoConfig) -> dict[str, Any]:
        """The keyword arguments of mmdet's `GroundingDINO`."""
        return grounding_dino_settings(config, LinkHead)

    def _init_queries(self) -> None:
        self.query_embedding = nn.Embedding(self.num_queries, self.embed_dims)

    def _init_noise(self, config: GroundingDinoConfig) -> None:
        self.dn_query_generator = LinkDenoising(
            embed_dims=config.embed_dims,
            num_matching_queries=config.num_object_queries,
            label_noise_scale=config.label_noise,
            box_noise_scale=config.box_noise,
            group_cfg={"num_dn_queries": config.num_denoising_queries},
        )
        self.denoise = config.num_denoising_queries > 0

    def forward_encoder(
        self,
        feat: Tensor,
        feat_mask: Tensor | None,
        feat_pos: Tensor,
        text_dict: Any,
        **shapes: Any,
    ) -> dict[str, Any]:
        """Run the encoder; the base class would pass a mask that hides nothing."""
        memory, memory_text = self.encoder(
            query=feat,
            query_pos=feat_pos,
            key_padding_mask=feat_mask,
            memory_text=text_dict["embedded"],
            text_token_mask=text_dict["text_token_mask"],
            **shapes,
        )
        return {
            "memory": memory,
            "memory_mask": feat_mask,
            "spatial_shapes": shapes["spatial_shapes"],
            "valid_ratios": shapes["valid_ratios"],
            "memory_text": memory_text,
            "text_token_mask": text_dict["text_token_mask"],
        }

    def start_queries(
        self,
        boxes: Tensor,
        memory_text: Tensor,
        text_token_mask: Tensor,
        samples: Sequence[DetDataSample],
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Learned contents at the boxes and, in training, denoising queries before them."""
        query = self.query_embedding.weight.expand(len(boxes), -1, -1)
        dn_mask, head = None, {}
        if self.training and self.denoise and "gt_instances" in samples[0]:
            made = self._denoising(memory_text, text_token_mask, samples)
            content, moved, dn_mask, head["noised"] = made
            query = torch.cat([content, query], dim=1)
            boxes = torch.cat([moved, boxes], dim=1)
        decoder = {
            "query": query,
            "reference_points": boxes.sigmoid(),
            "dn_mask": dn_mask,
            "memory_text": memory_text,
            "text_attention_mask": ~text_token_mask,
        }
        return decoder, head

    def _denoising(
        self, memory_text: Tensor, mask: Tensor, samples: Sequence[DetDataSample]
    ) -> tuple[Tensor, Tensor, Tensor, NoisedQueries]:
        boxes = []
        for sample in samples:
            height, width = sample.img_shape
            bboxes = sample.gt_instances.bboxes
            boxes.append(bboxes / bboxes.new_tensor([width, height, width, height]))
        labels = [sample.gt_instances.labels for sample in samples]
        seeds = [sample.noise_seed for sample in samples]
        content, moved, hidden, noised = self.dn_query_generator(
            boxes, labels, seeds, memory_text, mask.sum(1)
        )
        # Attention wants a mask for each head, and would make numbers of it in each layer.
        num_heads = self.decoder.layers[0].self_attn.num_heads
        added = torch.zeros_like(hidden, dtype=content.dtype).masked_fill_(hidden, -torch.inf)
        return content, moved, added.repeat_interleave(num_heads, 0), noised

    def forward_decoder(
        self,
        query: Tensor,
        memory: Tensor,
        memory_mask: Tensor | None,
        dn_mask: Tensor | None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Run the decoder; the base class would touch the label embedding that is gone."""
        states, references = self.decoder(
            query=query,
            value=memory,
            key_padding_mask=memory_mask,
            self_attn_mask=dn_mask,
            reg_branches=self.bbox_head.reg_branches,
            **kwargs,
        )
        return {"hidden_states": states, "references": list(references)}
