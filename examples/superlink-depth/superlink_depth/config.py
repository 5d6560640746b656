"""Settings of the decoder, as a recipe writes them."""

from pydantic import BaseModel, Field


class DepthConfig(BaseModel, frozen=True, extra="forbid"):
    channels: int = Field(default=16, ge=1)  # width of the condition and of the features
    size: int = Field(default=32, ge=8)  # side of the decoder's own image stream, in pixels
