"""The settings of the decoders that make pictures."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

__all__ = ["MAP_WIDTH", "ImageEditingConfig", "LoraSettings", "PictureConfig", "TextToImageConfig"]

MAP_WIDTH = 64
"""Channels that shared maps of a source take of a model's input."""

FamilyName = Literal["unet", "sdxl", "sd3", "pixart", "sana", "flux"]


class LoraSettings(BaseModel):
    """Low-rank matrices (arXiv 2106.09685) in the attention of a diffusion model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: PositiveInt = 16
    """Rank of the matrices."""
    alpha: PositiveInt = 16
    """Their product is multiplied by `alpha / rank`."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of their input that is dropped in training."""
    targets: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0")
    """How the names of the layers end that get them."""


class PictureConfig(BaseModel):
    """What both decoders can be told.

    The defaults are a UNet of 25 M parameters in the space of pixels, for pictures of 64 x 64.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: FamilyName = "unet"
    """Of which kind the diffusion model is: `unet` (Stable Diffusion 1.5 and 2.1), `sdxl`, `sd3`,
    `pixart`, `sana` or `flux`."""
    source: str | None = None
    """A folder in the layout of diffusers, or an id on the Hugging Face Hub, whose weights are
    used. None: the parts are made of the settings below, with random weights."""
    revision: str | None = None
    """Branch, tag or commit of `source` on the Hub."""
    variant: str | None = None
    """Of several sets of weights in `source`, the one with this suffix: `fp16`."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the weights of the diffusion model and of the autoencoder. What the link needs beside, the
    loss, and matrices of LoRA are float32."""

    model: dict[str, Any] = Field(default_factory=dict)
    """Without `source`: settings of the class in diffusers. Empty: a small UNet for the family
    `unet`."""
    vae: dict[str, Any] = Field(default_factory=dict)
    """Without `source`, the autoencoder: `{type: pixels, patch: 4}` for none, each patch of pixels
    being a cell of as many channels; with `channels: 12` the coarsest cosines of a patch instead,
    as JPEG keeps them; `{source: FOLDER}` for a trained one; or a class of diffusers as `type` with
    its settings, for random weights. Empty: pixels in patches of 4."""
    scheduler: dict[str, Any] = Field(default_factory=dict)
    """The class of a scheduler of diffusers as `type`, and its settings. It says what the model
    predicts (`prediction_type`, or flow matching) and makes the steps of a prediction. Empty: that
    of `source`, or one that suits the family. Settings alone change those."""
    image_size: tuple[PositiveInt, PositiveInt] = (64, 64)
    """Height and width of pictures, in training and where a user asks for no other size."""

    connector: Literal["mapper", "plain"] = "mapper"
    """What makes the condition: `mapper` is the paper's, an MLP and a small transformer with a
    learned query for each place of the condition; `plain` is an MLP alone, and the condition has
    as many places as there are super-link queries."""
    mapper_layers: PositiveInt = 1
    """Layers of the mapper's encoder, and of its decoder."""
    condition_length: PositiveInt | None = None
    """Places of the mapper's condition. None: as many as the text encoders of the family give."""
    condition_drop: float = Field(0.1, ge=0, lt=1)
    """Share of routes that train without their condition, on a learned one in its place, which
    guidance needs."""
    caption_loss: float = Field(0.0, ge=0)
    """Weight of the squared distance of the condition from what the text encoders of `source` make
    of the caption. The paper has 0.1. Where it is 0 they are not loaded."""
    min_snr_gamma: float | None = Field(None, gt=0)
    """Cap of the signal-to-noise ratio in the weight of a step (arXiv 2303.09556); 5 is usual.
    None: all steps weigh the same. Not for flow matching."""

    train: Literal["connector", "model", "lora"] = "model"
    """What is trained: the connector alone, with it the diffusion model, or LoRA in it. The
    autoencoder never is."""
    lora: LoraSettings = Field(default_factory=LoraSettings)
    """Its matrices, with `train: lora`."""

    num_inference_steps: PositiveInt = 30
    """Steps of a prediction."""
    guidance_scale: float = Field(5.0, ge=1)
    """How far a prediction moves away from the one without a condition; 1 is no guidance."""
    vae_tiling: bool = False
    """Whether large pictures pass the autoencoder in tiles, which saves memory."""
    vae_slicing: bool = False
    """Whether the pictures of a batch pass the autoencoder one by one, which saves memory."""

    @model_validator(mode="after")
    def _source_or_settings(self) -> Self:
        if self.source is not None and (self.model or self.vae):
            raise ValueError(
                "With source the parts and their settings come from there: leave model and vae "
                f"out. Received: source={self.source!r} and "
                f"{sorted(name for name in ('model', 'vae') if getattr(self, name))}"
            )
        if self.source is None and not self.model and self.family != "unet":
            raise ValueError(
                f"The family {self.family!r} needs a source, or a model with the settings of its "
                "class. Received: neither"
            )
        if self.source is None and self.caption_loss:
            raise ValueError(
                "caption_loss compares with the text encoders of a source. Received: "
                f"caption_loss={self.caption_loss} without a source"
            )
        return self

    @model_validator(mode="after")
    def _training_fits(self) -> Self:
        if self.guidance_scale > 1 and not self.condition_drop:
            raise ValueError(
                "Guidance needs a model that knows to do without its condition: set condition_drop "
                "to 0.1 or so, or guidance_scale to 1. Received: condition_drop=0, "
                f"guidance_scale={self.guidance_scale}"
            )
        if self.train == "model" and self.dtype == "float16":
            raise ValueError(
                "A model in float16 cannot be trained: choose bfloat16, or float32 and let the "
                "trainer use half precision; or train connector or lora. Received: train='model', "
                "dtype='float16'"
            )
        if self.caption_loss and self.connector == "plain":
            raise ValueError(
                "caption_loss needs a condition as long as that of the text encoders, which the "
                "mapper makes. Received: connector='plain'"
            )
        return self

    @property
    def further_inputs(self) -> int:
        """Channels that the model is given beside noised latents and those of a source."""
        return 0

    def further_outputs(self, factor: int) -> int:
        """Channels that it predicts beside latents, which are smaller than pictures by `factor`."""
        return 0


class TextToImageConfig(PictureConfig):
    """What `diffusers.text_to_image` can be told."""


class ImageEditingConfig(PictureConfig):
    """What `diffusers.image_editing` can be told."""

    image_drop: float = Field(0.1, ge=0, lt=1)
    """Share of routes that train without their source image. As in InstructPix2Pix half of those
    without a condition are among them."""
    image_guidance_scale: float | None = Field(None, ge=1)
    """How far a prediction moves away from the one without a source image, in the families `unet`
    and `sdxl`; None is 1.5 there, and 1, which is none, where `image_drop` is 0. The others have no
    such guidance."""

    shared_channels: tuple[PositiveInt, ...] = ()
    """Channels of the maps of the LLM's image encoder that the model sees beside the latents of the
    source, for the families `unet` and `sdxl`: where a small model learns from nothing, they tell
    it what is where. Empty: none."""
    blend: bool = False
    """Whether the model also predicts which pixels change; the others stay those of the source, in
    its full size. For the families `unet` and `sdxl`, a model made of its settings,
    `prediction_type: sample` and `image_drop: 0`."""
    changed_loss: float = Field(0.3, ge=0)
    """Weight, with `blend`, of the binary cross entropy of that prediction, for samples that know
    what an edit may change."""
    changed_weight: float = Field(0.0, ge=0)
    """How much more the error of a cell weighs that an edit may change, for the same samples: 4
    makes it count five times."""

    @property
    def further_inputs(self) -> int:
        """Those of the shared maps."""
        return MAP_WIDTH if self.shared_channels else 0

    def further_outputs(self, factor: int) -> int:
        """Where the picture changes: a logit for each pixel of a cell."""
        return factor**2 if self.blend else 0

    @model_validator(mode="after")
    def _drops_fit(self) -> Self:
        if self.condition_drop / 2 + self.image_drop > 1:
            raise ValueError(
                "image_drop and half of condition_drop must not exceed 1 together. Received: "
                f"image_drop={self.image_drop}, condition_drop={self.condition_drop}"
            )
        return self

    @model_validator(mode="after")
    def _family_knows_sources(self) -> Self:
        if (self.shared_channels or self.blend) and self.family not in ("unet", "sdxl"):
            raise ValueError(
                "shared_channels and blend are for the families unet and sdxl; leave them out. "
                f"Received: family={self.family!r}"
            )
        return self

    @model_validator(mode="after")
    def _keeps_its_source(self) -> Self:
        if not self.blend:
            return self
        if self.source is not None:
            raise ValueError(
                "A model of a source cannot blend: it predicts no changes. Leave blend out. "
                f"Received: source={self.source!r}"
            )
        guidance = self.image_guidance_scale or 1.0
        if self.image_drop or guidance > 1:
            raise ValueError(
                "A model that blends keeps its source, and is never without: set image_drop to 0, "
                f"and leave image_guidance_scale out. Received: image_drop={self.image_drop}, "
                f"image_guidance_scale={self.image_guidance_scale}"
            )
        return self

    @model_validator(mode="after")
    def _image_guidance_fits(self) -> Self:
        if self.image_guidance_scale is not None and self.family not in ("unet", "sdxl"):
            raise ValueError(
                "image_guidance_scale is for the families unet and sdxl; leave it out. Received: "
                f"family={self.family!r}, image_guidance_scale={self.image_guidance_scale}"
            )
        return self
