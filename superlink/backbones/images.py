"""The image half of a backbone of transformers: its image encoder, and how images lie in what it
gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor

from ..errors import BackboneError, ConfigError
from ..interfaces import IMAGE, ImageFeatures, Message
from ..interfaces.regions import Mask
from .grids import TILES, Grids, grid_kind, num_tiles
from .text import TextOfProcessor
from .tiling import Tiling

__all__ = ["ImagesOfModel"]

_OF_TEXT = ("input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids", TILES)


class ImagesOfModel(TextOfProcessor):
    """What a backbone sees, by a model of transformers and its processor.

    Args:
        model: With an image encoder.
        processor: Of the same model.
        max_tiles: Tiles that an image is cut into at most.
        region_levels: Hidden states of the image encoder that a region reads; see `Grids`.
    """

    def __init__(self, model: Any, processor: Any, max_tiles: int, region_levels: int = 1) -> None:
        super().__init__(processor)
        # transformers types few of the attributes that its models share
        self.model: Any = model
        kind = grid_kind(model)
        if kind is None and region_levels > 1:
            raise ConfigError(
                "region_levels above 1 reads the cells of an image encoder. Received: "
                f"region_levels={region_levels} of {type(model).__name__}, which tells none"
            )
        self._grids = None if kind is None else Grids(model, kind, region_levels)
        self.grid_width = None if self._grids is None else self._grids.width
        self._num_tiles: dict[tuple[int, int], int] = {}
        self._tiling = None
        if max_tiles > 1:
            self._tiling = Tiling.of(model.config, processor, self._bare, max_tiles)

    def encode(
        self,
        texts: Sequence[str],
        images: Sequence[Sequence[Image.Image]],
        *,
        padding_side: Literal["left", "right"] = "right",
    ) -> dict[str, Tensor]:
        """See `Backbone.encode`; beside it the tiles of each image, where it has several."""
        if self._tiling is None:
            inputs = super().encode(texts, images, padding_side=padding_side)
            counts = self._own_tiles(inputs, [image for row in images for image in row])
        else:
            texts, images, counts = self._tiling.cut(texts, images)
            inputs = super().encode(texts, images, padding_side=padding_side)
        return inputs | ({TILES: torch.tensor(counts)} if counts else {})

    def _own_tiles(self, inputs: Mapping[str, Tensor], images: Sequence[Image.Image]) -> list[int]:
        """Tiles of each image that the processor cut; for other layouts the model tells."""
        total = num_tiles(inputs)
        if self._grids is None or self._grids.kind != "tiles" or total == len(images):
            return []
        return [total] if len(images) == 1 else [self._tiles_of(image.size) for image in images]

    def _tiles_of(self, size: tuple[int, int]) -> int:
        """How many tiles the processor makes of an image, which it says for no batch."""
        if size not in self._num_tiles:
            self._num_tiles[size] = num_tiles(self._bare([Image.new("RGB", size)]))
        return self._num_tiles[size]

    def _bare(self, images: Sequence[Image.Image]) -> dict[str, Tensor]:
        """What the processor makes of images alone, one behind the other."""
        text = self.render([Message("user", (IMAGE,) * len(images))])
        return super().encode([text], [images])

    def _alone(self, image: Image.Image) -> dict[str, Tensor]:
        return self.encode([self.render([Message("user", (IMAGE,))])], [[image]])

    def _cast(self, value: Tensor) -> Tensor:
        """Pixels come in float32, whatever the weights are."""
        floating = isinstance(value, Tensor) and value.is_floating_point()
        return value.to(self.model.dtype) if floating else value

    def _without_tiles(self, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
        """What the model itself is given."""
        return {name: self._cast(value) for name, value in inputs.items() if name != TILES}

    def image_features(self, inputs: Mapping[str, Tensor]) -> ImageFeatures | None:
        """Run the image encoder alone; its maps are the hidden states that are maps, of an image
        that was cut those of the whole.

        Raises:
            BackboneError: The model cannot take back what its image encoder gave.
        """
        if "pixel_values" not in inputs:
            return None
        if not self.model._supports_mm_encoder_outputs():
            raise BackboneError(
                "A decoder shares the feature maps of the backbone's image encoder. Received: "
                f"{type(self.model).__name__}, which runs its image encoder in each forward and "
                "takes no features. Choose a decoder with an encoder of its own."
            )
        visual = {k: self._cast(v) for k, v in inputs.items() if k not in _OF_TEXT}
        raw = self.model.get_image_features(**visual, output_hidden_states=True, return_dict=True)
        maps = tuple(state for state in raw.hidden_states or () if state.dim() == 4)
        if self._tiling is not None and TILES in inputs:
            maps = tuple(level[inputs[TILES].cumsum(0) - 1] for level in maps)
        grids = () if self._grids is None else self._grids.features(raw, inputs)
        return ImageFeatures(maps, raw, grids)

    def region_shares(self, image: Image.Image, masks: Sequence[Mask]) -> Tensor:
        """See `Backbone.region_shares`."""
        if self._grids is None:
            return super().region_shares(image, masks)
        return self._grids.shares(image, masks, self._alone)
