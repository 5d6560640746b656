"""Images from outside, made safe: upright, RGB, of a bounded size, or a typed error."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ..errors import InputError

__all__ = ["MAX_PIXELS", "ImageSource", "open_image", "open_images"]

ImageSource = str | Path | Image.Image
"""Where an image comes from: a file, or a picture that is open already."""

MAX_PIXELS = 100_000_000
"""Images with more pixels are refused before they are decoded: 100 megapixels are 300 MB in RGB."""


def open_image(source: str | Path | Image.Image) -> Image.Image:
    """Open an image as the user sees it: the EXIF orientation applied, in RGB.

    Transparent parts become white, 16-bit grey is scaled to 8 bits, and of an animation the first
    frame is taken. A PIL image goes the same way and is left as it was.

    Raises:
        InputError: The file is missing, is a folder, is no whole image, or exceeds `MAX_PIXELS`.
    """
    if isinstance(source, Image.Image):
        return _decode(source, "the PIL image")
    if not isinstance(source, str | Path):
        raise InputError(
            "An image must be a path or a PIL image. "
            f"Received: {type(source).__module__}.{type(source).__qualname__}. "
            "Convert arrays with PIL.Image.fromarray."
        )
    path = Path(source)
    if path.is_dir():
        raise InputError(f"An image must be a file. Received a folder: {str(source)!r}")
    if not path.is_file():
        raise InputError(f"No such image file: {str(source)!r}. Check the path.")
    return _decode(path, repr(str(source)))


def open_images(sources: ImageSource | Sequence[ImageSource] | None) -> list[Image.Image]:
    """Open one image, several or none; see `open_image`."""
    if sources is None:
        return []
    if isinstance(sources, str | Path | Image.Image) or not isinstance(sources, Iterable):
        return [open_image(sources)]
    return [open_image(source) for source in sources]


def _decode(source: Path | Image.Image, name: str) -> Image.Image:
    try:
        # PIL warns of large images and of odd metadata; the size is checked here, the rest is moot.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if isinstance(source, Image.Image):
                return _upright_rgb(source, name)
            with Image.open(source) as image:
                return _upright_rgb(image, name)
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(_too_large(name, str(error))) from error
    except Exception as error:  # PIL's format plugins raise almost anything on broken bytes
        raise InputError(
            f"{name} cannot be read as an image: {error}. Expected a whole PNG, JPEG or other file "
            "that Pillow knows; it may be damaged or cut short."
        ) from error


def _upright_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.width * image.height > MAX_PIXELS:
        raise InputError(_too_large(name, f"{image.width} x {image.height} pixels"))
    if image.width * image.height == 0:
        raise InputError(f"{name} has no pixels. Received: {image.width} x {image.height}")
    image.load()
    return _to_rgb(ImageOps.exif_transpose(image))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # wide grey, which Pillow would clip to white
        grey = np.asarray(image).clip(0, 65535)
        grey = grey // 257 if image.mode != "I" or grey.max() > 255 else grey
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _too_large(name: str, received: str) -> str:
    return (
        f"{name} is too large: at most {MAX_PIXELS:,} pixels are decoded. "
        f"Received: {received}. Make it smaller first."
    )
