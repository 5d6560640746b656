"""mmdet's Deformable DETR with link features in the place of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from .config import DeformableDetrConfig
from .detector import LinkDetector
from .head import LinkHead
from .layers import DeformableEncoder
from .library import DeformableDetrTransformerDecoder, DetDataSample
from .settings import detector_settings

__all__ = ["LinkDeformableDETR"]


class LinkDeformableDETR(LinkDetector):
    """Link features say which places queries start from and what they find, and no more: the
    transformer looks at the image alone."""

    encoder_class = DeformableEncoder
    decoder_class = DeformableDetrTransformerDecoder

    @classmethod
    def settings(cls, config: DeformableDetrConfig) -> dict[str, Any]:
        """The keyword arguments of mmdet's `DeformableDETR`."""
        return detector_settings(config, LinkHead)

    def _init_queries(self) -> None:
        self.pos_trans_fc = nn.Linear(self.embed_dims * 2, self.embed_dims * 2)
        self.pos_trans_norm = nn.LayerNorm(self.embed_dims * 2)

    def init_weights(self) -> None:
        """Initialise all that is learned, the way in of link features as Grounding DINO does."""
        super().init_weights()
        nn.init.zeros_(self.text_feat_map.bias)
        nn.init.xavier_uniform_(self.text_feat_map.weight)

    def forward_encoder(self, text_dict: Any, **image: Any) -> dict[str, Any]:
        """Run the encoder; link features pass by."""
        encoded = super().forward_encoder(**image)
        return encoded | {
            "valid_ratios": image["valid_ratios"],
            "memory_text": text_dict["embedded"],
            "text_token_mask": text_dict["text_token_mask"],
        }

    def start_queries(
        self,
        boxes: Tensor,
        memory_text: Tensor,
        text_token_mask: Tensor,
        samples: Sequence[DetDataSample],
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Contents and positions that are made of the boxes (arXiv 2010.04159, appendix A.4)."""
        position = self.get_proposal_pos_embed(boxes, num_pos_feats=self.embed_dims // 2)
        made = self.pos_trans_norm(self.pos_trans_fc(position))
        query_pos, query = made.split(self.embed_dims, dim=2)
        decoder = {"query": query, "query_pos": query_pos, "reference_points": boxes.sigmoid()}
        return decoder, {}
