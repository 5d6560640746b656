"""The settings of the decoder `mmpose.top_down`."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from superlink_mmdet.config import DeformableDetrConfig, GroundingDinoConfig, QueryDetectorConfig

__all__ = ["TopDownConfig"]

_DETECTORS: dict[str, type[QueryDetectorConfig]] = {
    "image": QueryDetectorConfig,
    "mmdet.deformable_detr": DeformableDetrConfig,
    "mmdet.grounding_dino": GroundingDinoConfig,
}
_STREAM = ("embed_dims", "image_size", "keep_ratio", "size_divisor", "pixel_mean", "pixel_std")
_FIXED = {
    "in_channels",
    "out_channels",
    "input_size",
    "in_featuremap_size",
    "simcc_split_ratio",
    "decoder",
}


def _resnet18() -> dict[str, Any]:
    """A ResNet-18 without weights, with one map at stride 32."""
    return {
        "type": "ResNet",
        "depth": 18,
        "out_indices": (3,),
        # Crops must not change each other, and a batch may hold one alone.
        "norm_cfg": {"type": "GN", "num_groups": 32, "requires_grad": True},
    }


def _rtmcc() -> dict[str, Any]:
    """RTMPose's head (arXiv 2303.07399) as published."""
    return {
        "type": "RTMCCHead",
        "gau_cfg": {
            "hidden_dims": 256,
            "s": 128,
            "expansion_factor": 2,
            "dropout_rate": 0.0,
            "drop_path": 0.0,
            "act_fn": "SiLU",
            "use_rel_bias": False,
            "pos_enc": False,
        },
        "loss": {"type": "KLDiscretLoss", "beta": 10.0, "label_softmax": True},
    }


class TopDownConfig(BaseModel):
    """Where boxes come from, what is cut out of them, and the head that reads the crops."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    embed_dims: PositiveInt = 256
    """Width of the condition, of the kernels that are made of it, and of the detector."""

    boxes: Literal["image", "mmdet.deformable_detr", "mmdet.grounding_dino"] = "image"
    """Where the boxes of a reply come from: the whole image is one for each `[POSE]` route, or a
    detector of superlink-mmdet finds them, which is part of the decoder and trained with it."""
    detector: dict[str, Any] = Field(default_factory=dict)
    """The detector's settings, as superlink-mmdet's decoder of that name takes them; those that
    this config has itself are left out of it."""
    max_boxes: PositiveInt = 20
    """The most boxes of a call that are cut out, the best of a detector's; of more targets in
    training some are drawn."""

    image_size: tuple[PositiveInt, PositiveInt] = (512, 512)
    """Height and width of the stream that crops are cut from, and that a detector sees."""
    keep_ratio: bool = True
    """Whether images keep their proportions, up to `size_divisor`, instead of being stretched."""
    size_divisor: PositiveInt = 64
    """With `keep_ratio`, both sides of the stream become multiples of it."""
    pixel_mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    """Mean of red, green and blue, on the scale of 0 to 255."""
    pixel_std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    """Standard deviation of red, green and blue, on the scale of 0 to 255."""

    crop_size: tuple[PositiveInt, PositiveInt] = (256, 192)
    """Height and width of a crop: mmpose's `input_size`, the other way round."""
    padding: float = Field(1.25, ge=1)
    """Factor on the sides of a box before it is cut out; the whole image is taken as it is."""
    box_shift: float = Field(0.1, ge=0)
    """How far target boxes move in training, at most, in their sides."""
    box_scale: float = Field(0.25, ge=0, lt=1)
    """By which share target boxes grow or shrink in training, at most."""

    backbone: dict[str, Any] = Field(default_factory=_resnet18)
    """What reads the crops, as mmpose configures it; with `mmdet.` before its type, one of mmdet.
    The last of its maps is used."""
    in_channels: PositiveInt = 512
    """Channels of that map."""
    stride: PositiveInt = 32
    """Pixels of a crop for each cell of that map."""
    head: dict[str, Any] = Field(default_factory=_rtmcc)
    """mmpose's `RTMCCHead`, or `SimCCHead` without deconvolutions, as mmpose configures it, but for
    its sizes, which follow from the settings here."""
    final_layer_kernel_size: PositiveInt = 7
    """Kernel of the convolution before a keypoint's state picks what it looks for; odd."""
    codec: dict[str, Any] = Field(default_factory=dict)
    """What mmpose's `SimCCLabel` is told beside its size. Left out: two bins a pixel, and sigmas of
    `sqrt(side / 8)` bins, as RTMPose has them."""

    loss_kpt: float = Field(100.0, ge=0)
    """Weight of the Kullback-Leibler divergence of keypoints, which mmpose divides by the number of
    bins."""
    loss_score: float = Field(1.0, ge=0)
    """Weight of the cross-entropy of whether the image shows what a route asks for; with a detector
    its own losses stand instead."""
    score_threshold: float = Field(0.0, ge=0, le=1)
    """Instances whose box scores below this are left out of predictions."""

    @model_validator(mode="after")
    def _detector_fits(self) -> Self:
        if self.boxes == "image" and self.detector:
            raise ValueError(
                "With boxes='image' there is no detector to be told anything. "
                f"Received: detector={self.detector}. Name one in boxes, or leave it out"
            )
        own = {*_STREAM, "max_per_image", "score_threshold"} & set(self.detector)
        if own:
            raise ValueError(
                "A detector sees the stream of this config, whose own settings stand outside of "
                f"detector; max_per_image is max_boxes. Received: detector has {sorted(own)}"
            )
        self.stream()
        return self

    @model_validator(mode="after")
    def _crops_fit(self) -> Self:
        if any(side % self.stride for side in self.crop_size):
            raise ValueError(
                "Both sides of crop_size must be multiples of stride. "
                f"Received: crop_size={self.crop_size}, stride={self.stride}"
            )
        if self.final_layer_kernel_size % 2 == 0:
            raise ValueError(
                "final_layer_kernel_size must be odd, so that a map keeps its size. "
                f"Received: {self.final_layer_kernel_size}"
            )
        if fixed := (_FIXED & set(self.head)) | ({"input_size"} & set(self.codec)):
            raise ValueError(
                "Sizes of head and codec follow from crop_size, stride, in_channels and codec. "
                f"Received: {sorted(fixed)}"
            )
        return self

    def stream(self) -> QueryDetectorConfig:
        """What a detector is told; without one, what says how an image becomes the stream."""
        settings = {name: getattr(self, name) for name in _STREAM}
        settings |= {"max_per_image": self.max_boxes, "score_threshold": self.score_threshold}
        if self.boxes == "image":
            # No layer has this width, and there are rules for those of a detector.
            del settings["embed_dims"]
        return _DETECTORS[self.boxes](**(settings | self.detector))
