"""Tiles of large images, for backbones whose processor makes a small square of any image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image

from ..errors import ConfigError, InputError

__all__ = ["Tiling", "tile_grid", "tiles"]


def tile_grid(size: tuple[int, int], tile_size: int, max_tiles: int) -> tuple[int, int]:
    """Columns and rows of tiles whose aspect ratio is closest to that of an image.

    Of grids of the same ratio the largest is taken that is at most twice as large as the image.
    Source: `find_closest_aspect_ratio` of InternVL 1.5 (arXiv 2404.16821), as VisionLLM v2 uses it.

    Args:
        size: Width and height of the image.
        tile_size: Side of a tile.
        max_tiles: Tiles of the grid at most.
    """
    width, height = size
    sides = range(1, max_tiles + 1)
    grids = [(c, r) for c in sides for r in sides if c * r <= max_tiles]
    grids.sort(key=lambda grid: (grid[0] * grid[1], grid))
    gaps = {grid: abs(width / height - grid[0] / grid[1]) for grid in grids}
    least = min(gaps.values())
    closest = [grid for grid in grids if gaps[grid] == least]
    filled = [(c, r) for c, r in closest if width * height > tile_size**2 * c * r / 2]
    return filled[-1] if filled else closest[0]


def tiles(image: Image.Image, tile_size: int, max_tiles: int) -> list[Image.Image]:
    """An image as squares: the tiles of its grid row by row, then the whole of it, small.

    A grid of 1 x 1 gives the whole alone.

    Args:
        image: Any image.
        tile_size: Side of each square.
        max_tiles: Tiles of the grid at most; the whole comes on top.
    """
    columns, rows = tile_grid(image.size, tile_size, max_tiles)
    image = image.convert("RGB")
    whole = image.resize((tile_size, tile_size), Image.Resampling.BICUBIC)
    if columns * rows == 1:
        return [whole]
    large = image.resize((columns * tile_size, rows * tile_size), Image.Resampling.BICUBIC)
    corners = [(x * tile_size, y * tile_size) for y in range(rows) for x in range(columns)]
    return [*(large.crop((x, y, x + tile_size, y + tile_size)) for x, y in corners), whole]


class Tiling:
    """Cuts the images of texts into tiles, each behind a placeholder of its own.

    Args:
        placeholder: What stands for an image in a rendered text.
        tile_size: Side of a tile.
        max_tiles: Tiles of an image at most, the small whole not counted.
    """

    def __init__(self, placeholder: str, tile_size: int, max_tiles: int) -> None:
        self.placeholder, self.tile_size, self.max_tiles = placeholder, tile_size, max_tiles

    @classmethod
    def of(
        cls, config: Any, processor: Any, encode: Callable[[list[Image.Image]], Any], max_tiles: int
    ) -> Tiling:
        """The tiling of a model.

        Args:
            config: Of the model.
            processor: Of the model.
            encode: Makes images alone the inputs of the model, as its processor does.
            max_tiles: Tiles of an image at most.

        Raises:
            ConfigError: Its processor cuts images itself, keeps their shape, or writes no
                placeholder that can be repeated.
        """
        size = getattr(getattr(config, "vision_config", None), "image_size", None)
        placeholder = getattr(processor, "image_token", None)
        if isinstance(size, int) and isinstance(placeholder, str):
            inputs = encode([Image.new("RGB", (4 * size, 2 * size))] * 2)
            if inputs["pixel_values"].shape == (2, 3, size, size):
                return cls(placeholder, size, max_tiles)
        raise ConfigError(
            "`max_tiles` is for models whose processor makes one square of any image, such as "
            f"LLaVA 1.5. Received: max_tiles={max_tiles} for {config.model_type}, whose "
            f"{type(processor).__name__} cuts images itself or keeps their shape. Leave it out."
        )

    def cut(
        self, texts: Sequence[str], images: Sequence[Sequence[Image.Image]]
    ) -> tuple[list[str], list[list[Image.Image]], list[int]]:
        """Texts with a placeholder for each tile, all tiles of each text, and how many each image
        has.

        Raises:
            InputError: A text has more or fewer placeholders than images.
        """
        rows = [[tiles(image, self.tile_size, self.max_tiles) for image in row] for row in images]
        counts = [[len(cut) for cut in row] for row in rows]
        texts = [self._repeated(text, row) for text, row in zip(texts, counts, strict=True)]
        flat = [[tile for cut in row for tile in cut] for row in rows]
        return texts, flat, [count for row in counts for count in row]

    def _repeated(self, text: str, counts: Sequence[int]) -> str:
        first, *rest = text.split(self.placeholder)
        if len(rest) != len(counts):
            raise InputError(
                f"Expected one {self.placeholder} in the text for each image. "
                f"Received: {len(rest)} for {len(counts)} images."
            )
        pairs = zip(counts, rest, strict=True)
        return first + "".join(self.placeholder * count + part for count, part in pairs)
