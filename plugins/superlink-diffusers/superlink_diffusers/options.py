"""What a user asks of the pictures of a reply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator

__all__ = ["EditingOptions", "PictureOptions"]


class PictureOptions(BaseModel):
    """Options of `diffusers.text_to_image`; what is left out is as the config has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    """Gives other pictures of the same request. The seed of each picture is made of it, of the key
    of the sample, and of the place of its route in the call."""
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**63)], ...] = ()
    """Seeds of the first pictures of each call, as `ImagePrediction.seeds` tells them: these
    pictures are made again."""
    size: tuple[PositiveInt, PositiveInt] | None = None
    """Height and width, or as text: `384x512`."""
    num_inference_steps: PositiveInt | None = None
    """Steps of a prediction."""
    guidance_scale: float | None = Field(None, ge=1)
    """How far a prediction moves away from the one without a condition; 1 is no guidance."""
    progress: bool = False
    """Whether a bar shows the steps."""

    @field_validator("seeds", mode="before")
    @classmethod
    def _from_one(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [part for part in value.strip("[]() ").split(",") if part.strip()]
        return (value,) if isinstance(value, int) else value

    @field_validator("size", mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if isinstance(value, str) and value.lower().count("x") == 1:
            return value.lower().split("x")
        if isinstance(value, str) or not isinstance(value, Sequence | None):
            raise ValueError("a size is height and width, as 48x64")
        return value


class EditingOptions(PictureOptions):
    """Options of `diffusers.image_editing`. Without `size` a picture has that of its source."""

    image_guidance_scale: float | None = Field(None, ge=1)
    """How far a prediction moves away from the one without a source image; 1.5 is usual. In the
    families `unet` and `sdxl` alone, and with `guidance_scale` above 1."""
