"""A detector of mmdet with two stages and object queries, driven by link features.

What all families share; `grounding_dino` and `deformable_detr` have what they do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from superlink.errors import ConfigError

from .config import QueryDetectorConfig
from .library import ConfigDict, DeformableDETR, DetDataSample, SinePositionalEncoding
from .pixels import PixelEmbedding
from .places import cell_places, start_boxes
from .ragged import joined

__all__ = ["LinkDetector"]


class LinkDetector(DeformableDETR):
    """Detects what the link features of an image ask for.

    Samples are mmdet's `DetDataSample` with `img_shape` and `batch_input_shape`; for losses they
    hold `gt_instances` (`bboxes` in pixels of the stream, `labels`, and `masks` (N, H, W) where
    they are known), a `noise_seed` and a `point_seed`.

    A family names its transformer and gives `settings` and `start_queries`.
    """

    encoder_class: ClassVar[type[nn.Module]]
    decoder_class: ClassVar[type[nn.Module]]

    def __init__(self, config: QueryDetectorConfig) -> None:
        # mmdet writes into what it is given: these are new dicts, all the way down.
        super().__init__(**ConfigDict(self.settings(config)))
        self._init_noise(config)
        self.map_channels = config.map_channels
        self.num_fine = len(config.map_channels) - len(config.in_channels)
        self.pixel_embedding = PixelEmbedding(config) if config.masks else None

    @classmethod
    def settings(cls, config: Any) -> dict[str, Any]:
        """The keyword arguments of the detector of mmdet."""
        raise NotImplementedError

    def start_queries(
        self,
        boxes: Tensor,
        memory_text: Tensor,
        text_token_mask: Tensor,
        samples: Sequence[DetDataSample],
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Make the object queries of the first layer.

        Args:
            boxes: (B, queries, 4) to start from, before the sigmoid, without a gradient.
            memory_text: (B, R, C) link features.
            text_token_mask: (B, R) true for real routes.
            samples: One for each image.

        Returns:
            What the transformer's decoder and what the head want, beside what all families give.
        """
        raise NotImplementedError

    def _init_layers(self) -> None:
        self.positional_encoding = SinePositionalEncoding(**self.positional_encoding)
        self.encoder = self.encoder_class(**self.encoder)
        self.decoder = self.decoder_class(**self.decoder)
        self.embed_dims = self.encoder.embed_dims
        self._init_queries()
        self.level_embed = nn.Parameter(torch.empty(self.num_feature_levels, self.embed_dims))
        self.memory_trans_fc = nn.Linear(self.embed_dims, self.embed_dims)
        self.memory_trans_norm = nn.LayerNorm(self.embed_dims)
        self.text_feat_map = nn.Linear(self.embed_dims, self.embed_dims)

    def _init_queries(self) -> None:
        """Make what `start_queries` learns."""

    def _init_noise(self, config: Any) -> None:
        """Make what draws noise for training, in a family that has some."""

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

        Raises:
            ConfigError: Backbone or neck does not give the maps that the config speaks of.
        """
        channels = tuple(one.shape[1] for one in maps)
        if channels != self.map_channels:
            raise ConfigError(
                "The backbone must give a map for each number of mask_channels, where that is set, "
                f"and in_channels: {self.map_channels}. Received: channels={channels}. Change its "
                "out_indices, or these numbers"
            )
        levels = tuple(self.neck(maps[self.num_fine :]))
        widths = tuple(one.shape[1] for one in levels)
        if widths != (self.embed_dims,) * self.num_feature_levels:
            raise ConfigError(
                f"The neck must give num_levels={self.num_feature_levels} maps of "
                f"embed_dims={self.embed_dims} channels. Received: channels={widths}. Change its "
                "num_outs and out_channels, or these numbers"
            )
        return (*maps[: self.num_fine], *levels)

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
        levels = features[self.num_fine :]
        image, places = self.pre_transformer(levels, samples)
        encoded = self.forward_encoder(**image, text_dict=text)
        start, found = self.pre_decoder(**encoded, batch_data_samples=samples)
        found |= self.forward_decoder(**(places | start))
        return found | self.read_memory(features, encoded["memory"], places, samples)

    def read_memory(
        self,
        features: tuple[Tensor, ...],
        memory: Tensor,
        places: dict[str, Any],
        samples: Sequence[DetDataSample],
    ) -> dict[str, Any]:
        """What is made of the encoded image beside instances: the embeddings of its pixels.

        Args:
            features: What `level_features` gave.
            memory: (B, P, C) the same levels, encoded.
            places: Shapes, shares and padding of the levels, as layers want them.
            samples: One for each image.
        """
        if self.pixel_embedding is None:
            return {}
        height, width = features[self.num_fine].shape[-2:]
        finest = memory[:, : height * width].mT.unflatten(2, (height, width))
        fine = features[0] if self.num_fine else None
        return {"pixels": self.pixel_embedding(finest, fine, samples)}

    def pre_decoder(
        self,
        memory: Tensor,
        memory_text: Tensor,
        text_token_mask: Tensor,
        batch_data_samples: Sequence[DetDataSample],
        **image: Any,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Choose the places to start from, and make queries of them."""
        logits, boxes = self._proposals(memory, memory_text, text_token_mask, **image)
        decoder, head = self.start_queries(
            boxes.detach(), memory_text, text_token_mask, batch_data_samples
        )
        head |= {"memory_text": memory_text, "text_token_mask": text_token_mask}
        if "gt_instances" in batch_data_samples[0]:
            head |= {"enc_outputs_class": logits, "enc_outputs_coord": boxes.sigmoid()}
        return decoder | {"memory": memory}, head

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
