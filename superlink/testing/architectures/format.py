"""What a processor knows of its model: how pixels lie, and the tokens that an image has."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["PixelFormat"]


class PixelFormat(BaseModel):
    """How images and texts become the tensors of one model; it is saved as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: str
    """Name of a function of `pixels.py`, or of `special.py`."""
    height: int = 32
    """Of what the model sees; layouts that keep the shape of an image take it as a limit."""
    width: int = 32
    patch_size: int = 8
    merge_size: int = 1
    """Patches along one side that become one token together."""
    row_by_row: bool = False
    """Whether patches of one image lie row by row, rather than those of one token together."""
    temporal_patch_size: int = 1
    num_tiles: int = 1
    """Parts of one image, in layouts that cut images up."""
    tokens: float = 0
    """Tokens of one unit of the layout, which is an image or a patch; 0: texts have no tokens for
    images, and the placeholder is stripped."""
    before: str = ""
    """Token before the tokens of an image."""
    after: str = ""
    one_image: bool = False
    """Whether each text of a batch must have one image, or none of them."""
    blank: bool = False
    """Whether texts without images have pixels too, which show nothing and are not looked at."""
    side: tuple[str, ...] = ()
    """Tensors beside the pixels: names of functions of `sides.py`, or of `special.py`."""
    pad_id: int = 0
    end_id: int = 0
    """Of the token that ends a turn."""
    types: dict[str, tuple[int, int]] = Field(default_factory=dict)
    """Tensors of token types: their value at tokens of images, and elsewhere."""
