"""The settings of the mask decoder, as a recipe writes them."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

__all__ = ["SamMaskConfig", "SamSizes"]


class SamSizes(BaseModel):
    """Sizes of a SAM with random weights; the defaults are tiny."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_size: int = Field(default=128, gt=0, multiple_of=16)
    """Height and width of the image stream in pixels; patches have 16, as published."""
    hidden_size: int = Field(default=32, gt=0, multiple_of=16)
    """Width of the vision encoder and of the mask decoder."""
    num_layers: PositiveInt = 2
    """Layers of the vision encoder; the last one attends to the whole image."""


class SamMaskConfig(BaseModel):
    """Where SAM comes from, what of it is trained, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str | None = None
    """Hub id or folder of a SAM or SAM 2 in safetensors, for instance `facebook/sam-vit-base`;
    None: random weights, for tests and for training from nothing."""
    revision: str | None = None
    """Commit or tag on the Hub."""
    sizes: SamSizes = SamSizes()
    """Of a SAM with random weights; a source brings its own."""
    train_vision: bool = False
    """Whether the vision encoder is trained too, and not the mask decoder alone."""
    num_prompt_tokens: PositiveInt = 1
    """Prompt tokens that the condition of one route becomes."""
    loss_mask: float = Field(default=2.0, ge=0)
    """Weight of the binary cross entropy, a mean over the image."""
    loss_dice: float = Field(default=0.5, ge=0)
    """Weight of the dice loss."""
    loss_iou: float = Field(default=1.0, ge=0)
    """Weight of the squared error of the expected IoU."""

    @model_validator(mode="after")
    def _source_brings_sizes(self) -> Self:
        if self.source is not None and self.sizes != SamSizes():
            raise ValueError(f"{self.source!r} brings its own sizes: leave `sizes` out")
        return self
