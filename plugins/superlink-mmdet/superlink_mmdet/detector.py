"""mmdet's Grounding DINO with link features in the place of its text encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from superlink.errors import ConfigError

from .config import GroundingDinoConfig
from .denoising import LinkDenoising
from .head import LinkHead
from .layers import LinkDecoder, LinkEncoder
from .library import DetDataSample, GroundingDINO, SinePositionalEncoding
from .pixels import PixelEmbedding
from .places import cell_places, start_boxes
from .ragged import joined
from .settings import detector_settings

__all__ = ["LinkGroundingDINO"]


class LinkGroundingDINO(GroundingDINO):
    """Detects what the link features of an image ask for.

    Samples are mmdet's `DetDataSample` with `img_shape` and `batch_input_shape`; for losses they
    hold `gt_instances` (`bboxes` in pixels of the stream, `labels`, and `masks` (N, H, W) where
    they are known), a `noise_seed` and a `point_seed`.
    """

    def __init__(self, config: GroundingDinoConfig) -> None:
        super().__init__(language_model=None, **detector_settings(config, LinkHead))
        self.dn_query_generator = LinkDenoising(
            embed_dims=config.embed_dims,
            num_matching_queries=config.num_object_queries,
            label_noise_scale=config.label_noise,
            box_noise_scale=config.box_noise,
            group_cfg={"num_dn_queries": config.num_denoising_queries},
        )
        self.denoise = config.num_denoising_queries > 0
        self.pixel_embedding = PixelEmbedding(config) if config.masks else None
        self.map_channels = config.map_channels

    def _init_layers(self) -> None:
        self.positional_encoding = SinePositionalEncoding(**self.positional_encoding)
        self.encoder = LinkEncoder(**self.encoder)
        self.decoder = LinkDecoder(**self.decoder)
        self.embed_dims = self.encoder.embed_dims
        self.query_embedding = nn.Embedding(self.num_queries, self.embed_dims)
        self.level_embed = nn.Parameter(torch.empty(self.num_feature_levels, self.embed_dims))
        self.memory_trans_fc = nn.Linear(self.embed_dims, self.embed_dims)
        self.memory_trans_norm = nn.LayerNorm(self.embed_dims)
        self.text_feat_map = nn.Linear(self.embed_dims, self.embed_dims)

    def _dump_init_info(self) -> None:
        """mmengine would log a line for each parameter."""

    def image_features(self, images: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Run backbone and neck over images (3, H, W), and pad the maps of smaller ones with zeros.

        Each size runs alone: padded pixels would leak into the maps through convolutions and group
        norms, and an image would not be seen as it is alone.
        """
        if len({image.shape for image in images}) == 1:
            return self.extract_feat(torch.stack(tuple(images)))
        single = [self.extract_feat(image[None]) for image in images]
        return tuple(joined(maps) for maps in zip(*single, strict=True))

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """The maps of images (B, 3, H, W), as `level_features` gives them."""
        return self.level_features(tuple(self.backbone(batch_inputs)))

    def level_features(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Make the levels (B, C, H, W) of the encoder, finest first, of the maps of a backbone.

        The finer map for masks, where there is one, goes before them as it is.
        """
        channels = tuple(one.shape[1] for one in maps)
        if channels != self.map_channels:
            raise ConfigError(
                "The backbone must give a map for each number of mask_channels, where that is set, "
                f"and in_channels: {self.map_channels}. Received: channels={channels}. Change its "
                "out_indices, or these numbers"
            )
        fine = len(maps) - len(self.neck.convs)
        return (*maps[:fine], *self.neck(maps[fine:]))

    def forward_links(
        self,
        features: tuple[Tensor, ...],
        states: Tensor,
        mask: Tensor,
        samples: Sequence[DetDataSample],
    ) -> dict[str, Any]:
        """Run the transformer and, for masks, embed the pixels.

        Args:
            features: What `level_features` gave.
            states: (B, R, C) link states, padded.
            mask: (B, R) true for real routes.
            samples: One for each image.

        Returns:
            What the head wants.
        """
        text = {"embedded": self.text_feat_map(states), "text_token_mask": mask}
        levels = features[-self.num_feature_levels :]
        fine = features[0] if len(features) > len(levels) else None
        found: dict[str, Any] = self.forward_transformer(levels, text, samples)
        memory = found.pop("memory")
        if self.pixel_embedding is not None:
            height, width = levels[0].shape[-2:]
            finest = memory[:, : height * width].mT.unflatten(2, (height, width))
            found["pixels"] = self.pixel_embedding(finest, fine, samples)
        return found

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

    def pre_decoder(
        self,
        memory: Tensor,
        memory_text: Tensor,
        text_token_mask: Tensor,
        batch_data_samples: Sequence[DetDataSample],
        **image: Any,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Choose the places to start from and, in training, add denoising queries."""
        logits, boxes = self._proposals(memory, memory_text, text_token_mask, **image)
        query = self.query_embedding.weight.expand(len(memory), -1, -1)
        references, dn_mask = boxes.detach(), None
        head: dict[str, Any] = {
            "memory": memory,
            "memory_text": memory_text,
            "text_token_mask": text_token_mask,
        }
        if "gt_instances" in batch_data_samples[0]:
            meta = {"num_denoising_queries": 0, "num_denoising_groups": 0}
            if self.training and self.denoise:
                content, noised, dn_mask, meta = self._denoising(
                    memory_text, text_token_mask, batch_data_samples
                )
                query = torch.cat([content, query], dim=1)
                references = torch.cat([noised, references], dim=1)
            head |= {
                "enc_outputs_class": logits,
                "enc_outputs_coord": boxes.sigmoid(),
                "dn_meta": meta,
            }
        decoder = {
            "query": query,
            "memory": memory,
            "reference_points": references.sigmoid(),
            "dn_mask": dn_mask,
            "memory_text": memory_text,
            "text_attention_mask": ~text_token_mask,
        }
        return decoder, head

    def _proposals(
        self,
        memory: Tensor,
        memory_text: Tensor,
        text_token_mask: Tensor,
        *,
        memory_mask: Tensor | None,
        spatial_shapes: Tensor,
        valid_ratios: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The logits (B, queries, routes) and boxes (B, queries, 4), before the sigmoid, of the
        places whose best route scores highest."""
        if memory.shape[1] < self.num_queries:
            raise ConfigError(
                "num_object_queries must not exceed the cells of the feature maps: lower it, or "
                "make image_size larger. "
                f"Received: num_object_queries={self.num_queries}, cells={memory.shape[1]}"
            )
        anchors, usable = start_boxes(*cell_places(spatial_shapes, valid_ratios))
        if memory_mask is not None:
            usable = usable & ~memory_mask
        features = self.memory_trans_fc(memory.masked_fill(~usable[..., None], 0.0))
        features = self.memory_trans_norm(features)
        classify = self.bbox_head.cls_branches[self.decoder.num_layers]
        regress = self.bbox_head.reg_branches[self.decoder.num_layers]
        logits = classify(features, memory_text, text_token_mask)
        # Padding comes last: it does not exist where the image is alone.
        best = logits.amax(-1).masked_fill(~usable, -torch.inf)
        index = best.topk(self.num_queries, dim=1).indices[..., None]
        boxes = regress(features.take_along_dim(index, 1)) + anchors.take_along_dim(index, 1)
        return logits.take_along_dim(index, 1), boxes

    def _denoising(
        self, memory_text: Tensor, mask: Tensor, samples: Sequence[DetDataSample]
    ) -> tuple[Tensor, Tensor, Tensor, dict[str, int]]:
        boxes = []
        for sample in samples:
            height, width = sample.img_shape
            bboxes = sample.gt_instances.bboxes
            boxes.append(bboxes / bboxes.new_tensor([width, height, width, height]))
        labels = [sample.gt_instances.labels for sample in samples]
        seeds = [sample.noise_seed for sample in samples]
        return self.dn_query_generator(boxes, labels, seeds, memory_text, mask.sum(1))

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
