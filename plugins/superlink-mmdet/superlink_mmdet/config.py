"""The settings of the detection decoders: those of all families, then those of each."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

__all__ = ["DeformableDetrConfig", "GroundingDinoConfig", "QueryDetectorConfig"]


def _resnet18() -> dict[str, Any]:
    """A ResNet-18 without weights, with maps at strides 8, 16 and 32."""
    return {
        "type": "ResNet",
        "depth": 18,
        "num_stages": 4,
        "out_indices": (1, 2, 3),
        # No statistics of a batch: images must not change each other.
        "norm_cfg": {"type": "GN", "num_groups": 32, "requires_grad": True},
        "style": "pytorch",
    }


class QueryDetectorConfig(BaseModel):
    """Sizes, image stream, losses and prediction of a detector with object queries."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    embed_dims: PositiveInt = 256
    """Width of the detector, and of the condition that it wants."""
    encoder_layers: PositiveInt = 3
    """Deformable layers over the image."""
    decoder_layers: PositiveInt = 3
    """Layers over the object queries."""
    num_object_queries: PositiveInt = 300
    """Candidates for each image; they start from the best places of the encoder."""
    num_points: PositiveInt = 4
    """Sampling points of deformable attention, for each head and level."""
    num_levels: PositiveInt = 4
    """Feature levels of the encoder."""
    num_heads: PositiveInt = 8
    """Attention heads; `embed_dims / num_heads` must be a power of two."""
    feedforward_dims: PositiveInt = 1024
    """Hidden width of the feed-forward blocks."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout in attention and feed-forward blocks."""
    max_routes: PositiveInt = 256
    """The most routes that one call may have."""

    shared_features: bool = False
    """Whether the maps of the LLM's image encoder are used in place of an own backbone."""
    backbone: dict[str, Any] = Field(default_factory=_resnet18)
    """The own backbone, as mmdet configures it. With norms that look at a whole batch, as BN does
    without `norm_eval`, losses depend on how batches are laid out on devices."""
    in_channels: tuple[PositiveInt, ...] = (128, 256, 512)
    """Channels of the maps of the backbone, or of the LLM's image encoder, finest first. Of the
    latter, as many of the coarsest are taken as there are numbers here (and one more for
    `mask_channels`)."""
    neck: dict[str, Any] | None = None
    """What makes `num_levels` maps of `embed_dims` channels, finest first, of those of
    `in_channels`, as mmdet configures it. None: each map gets a convolution and a norm, and levels
    beyond them are made by strided convolutions."""
    image_size: tuple[PositiveInt, PositiveInt] = (512, 512)
    """Height and width of the stream in pixels. With `keep_ratio`, the largest sides, in any
    order."""
    keep_ratio: bool = False
    """Whether images keep their proportions, up to `size_divisor`, instead of being stretched."""
    size_divisor: PositiveInt = 64
    """With `keep_ratio`, both sides become multiples of it: the stride of the coarsest level."""
    pixel_mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    """Mean of red, green and blue, on the scale of 0 to 255."""
    pixel_std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    """Standard deviation of red, green and blue, on the scale of 0 to 255."""

    match_cls: float = 2.0
    """Weight of the class in the matching."""
    match_bbox: float = 5.0
    """Weight of the L1 distance of boxes in the matching."""
    match_iou: float = 2.0
    """Weight of the generalised IoU in the matching."""
    loss_cls: float = 1.0
    """Weight of the focal loss."""
    loss_bbox: float = 5.0
    """Weight of the L1 loss."""
    loss_iou: float = 2.0
    """Weight of the loss on the generalised IoU."""

    masks: bool = False
    """Whether instances get masks, and targets are asked for them."""
    mask_dims: int = Field(256, gt=0, multiple_of=4)
    """Width of the embeddings of pixels and masks, whose products are the logits of masks."""
    mask_channels: PositiveInt | None = None
    """Channels of one more, finer map, as of stride 4, that stands before those of `in_channels`
    in the list of maps and gives masks their detail; None: masks are as fine as the finest level
    of the encoder."""
    match_mask: float = Field(5.0, ge=0)
    """Weight of the cross-entropy of masks in the matching."""
    match_dice: float = Field(5.0, ge=0)
    """Weight of the dice loss of masks in the matching."""
    loss_mask: float = Field(5.0, ge=0)
    """Weight of the cross-entropy of masks."""
    loss_dice: float = Field(5.0, ge=0)
    """Weight of the dice loss of masks."""
    num_mask_points: PositiveInt = 12544
    """Points on which a mask is compared with its target, but at most one for 4 x 4 pixels of
    `image_size`. Some hundreds do for small images."""
    mask_oversampling: float = Field(3.0, ge=1)
    """How many times as many points are drawn for the uncertain ones to be chosen from."""
    mask_importance: float = Field(0.75, ge=0, le=1)
    """Share of the points where a mask is the least certain; the others are random ones."""

    score_threshold: float = Field(0.0, ge=0, le=1)
    """Instances below this score are left out of predictions."""
    nms_iou: float | None = Field(None, gt=0, le=1)
    """Overlap above which the weaker of two instances of one route is dropped; None keeps all."""
    max_per_image: PositiveInt = 100
    """The most instances of a prediction."""

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        head_dims, rest = divmod(self.embed_dims, self.num_heads)
        if rest or head_dims & (head_dims - 1) or self.embed_dims % 4:
            raise ValueError(
                "embed_dims must be a multiple of 4, and embed_dims / num_heads a power of two. "
                f"Received: embed_dims={self.embed_dims}, num_heads={self.num_heads}"
            )
        return self

    @model_validator(mode="after")
    def _levels_fit(self) -> Self:
        if not self.in_channels or (self.neck is None and len(self.in_channels) > self.num_levels):
            raise ValueError(
                "in_channels needs one number for each map and, without a neck of your own, at "
                "most num_levels of them. "
                f"Received: in_channels={self.in_channels}, num_levels={self.num_levels}"
            )
        return self

    @model_validator(mode="after")
    def _masks_fit(self) -> Self:
        if self.mask_channels is not None and not self.masks:
            raise ValueError(
                "mask_channels is of a map that only masks use: set masks, or leave it out. "
                f"Received: mask_channels={self.mask_channels}, masks=False"
            )
        return self

    @model_validator(mode="after")
    def _stream_fits(self) -> Self:
        if self.shared_features and self.keep_ratio:
            raise ValueError(
                "shared_features come at the size that the LLM's image encoder has chosen: "
                "leave keep_ratio off"
            )
        if self.keep_ratio and min(self.image_size) < self.size_divisor:
            raise ValueError(
                "With keep_ratio, both sides of image_size must reach size_divisor. "
                f"Received: image_size={self.image_size}, size_divisor={self.size_divisor}"
            )
        return self

    @property
    def map_channels(self) -> tuple[int, ...]:
        """Channels of all maps that are taken of the backbone, finest first."""
        fine = () if self.mask_channels is None else (self.mask_channels,)
        return (*fine, *self.in_channels)


class GroundingDinoConfig(QueryDetectorConfig):
    """What `mmdet.grounding_dino` can be told.

    The defaults are a middle size. Grounding DINO as published has 6 encoder and 6 decoder layers,
    900 object queries, a feed-forward width of 2048, fusion and text layers.
    """

    fusion: bool = True
    """Whether encoder layers let image and routes attend to each other."""
    fusion_dims: PositiveInt | None = None
    """Width of that attention; None is half of `embed_dims`. Published: 1024."""
    fusion_heads: PositiveInt | None = None
    """Its heads; None is half of `num_heads`."""
    text_layers: bool = True
    """Whether encoder layers let the routes of a call attend to each other."""
    text_heads: PositiveInt | None = None
    """Heads of these layers; None is `num_heads`. Published: 4."""
    text_feedforward_dims: PositiveInt | None = None
    """Their feed-forward width; None is `feedforward_dims`. Published: 1024."""
    placed_queries: bool = False
    """Whether object queries keep the place that they stand at in what is compared with routes, so
    that `the left one` can be told by it. Grounding DINO as published lets attention alone see
    places."""

    num_denoising_queries: int = Field(100, ge=0)
    """About how many noised pairs of the targets, one positive and one negative copy each, are
    added for an image in training; each target has at least one. 0 turns denoising off."""
    label_noise: float = Field(0.5, ge=0, le=1)
    """Twice the share of noised copies whose route is drawn anew."""
    box_noise: float = Field(1.0, gt=0)
    """How far corners of positive copies move, in halves of the box's size; negative ones move up
    to twice as far."""


class DeformableDetrConfig(QueryDetectorConfig):
    """What `mmdet.deformable_detr` can be told.

    The defaults are a middle size. Deformable DETR as published, with two stages, has 6 encoder and
    6 decoder layers, 300 object queries and a feed-forward width of 1024; its class loss weighs 2.
    """
