"""Images from outside: upright RGB, or a typed error."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from superlink.errors import InputError
from superlink.interfaces.images import MAX_PIXELS, open_image


def _png_header(width, height):
    """A PNG that states a size and holds no pixels."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_open_image_converts_every_mode(tmp_path, mode):
    path = tmp_path / ("image.tif" if mode in ("CMYK", "YCbCr") else "image.png")
    Image.new("RGB", (5, 3), "white").convert(mode).save(path)
    image = open_image(str(path))
    assert (image.mode, image.size) == ("RGB", (5, 3))
    assert image.getpixel((2, 1)) == (255, 255, 255)


def test_open_image_of_one_pixel(tmp_path):
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "dot.png")
    assert open_image(tmp_path / "dot.png").getpixel((0, 0)) == (1, 2, 3)


def test_open_image_applies_the_orientation(tmp_path):
    image = Image.fromarray(np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8))  # red, blue
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise
    image.save(tmp_path / "turned.png", exif=exif)
    upright = open_image(tmp_path / "turned.png")
    assert upright.size == (1, 2)
    assert upright.getpixel((0, 0)) == (255, 0, 0)


def test_open_image_puts_transparency_on_white():
    assert open_image(Image.new("RGBA", (2, 2), (9, 9, 9, 0))).getpixel((0, 0)) == (255,) * 3


def test_open_image_scales_16_bit_grey(tmp_path):
    Image.fromarray(np.full((2, 2), 32896, np.uint16)).save(tmp_path / "deep.png")
    assert open_image(tmp_path / "deep.png").getpixel((0, 0)) == (128,) * 3


def test_open_image_leaves_a_pil_image_as_it_was():
    image = Image.new("L", (2, 2), 7)
    open_image(image).putpixel((0, 0), (1, 1, 1))
    assert image.mode == "L" and image.getpixel((0, 0)) == 7
    rgb = Image.new("RGB", (2, 2))
    open_image(rgb).putpixel((0, 0), (1, 1, 1))
    assert rgb.getpixel((0, 0)) == (0, 0, 0)


@pytest.mark.parametrize("size", [(20_000, 20_000), (12_000, 10_000)])
def test_open_image_over_the_limit_is_refused_undecoded(tmp_path, size):
    assert size[0] * size[1] > MAX_PIXELS
    (tmp_path / "huge.png").write_bytes(_png_header(*size))
    with pytest.raises(InputError, match=r"huge\.png.*too large"):
        open_image(tmp_path / "huge.png")


def test_open_image_of_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"No such image file.*gone\.png"):
        open_image(tmp_path / "gone.png")


def test_open_image_of_a_folder(tmp_path):
    with pytest.raises(InputError, match="folder"):
        open_image(tmp_path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
def test_open_image_of_a_truncated_file(tmp_path, suffix):
    whole = tmp_path / f"whole.{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(whole)
    half = tmp_path / f"half.{suffix}"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(InputError, match=rf"half\.{suffix}.*cannot be read"):
        open_image(half)


@pytest.mark.parametrize("content", [b"", b"no image at all", _png_header(3, 3)])
def test_open_image_of_a_corrupt_file(tmp_path, content):
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.png"):
        open_image(tmp_path / "broken.png")


@pytest.mark.parametrize("source", [None, 3, np.zeros((2, 2, 3), np.uint8)])
def test_open_image_of_another_type(source):
    with pytest.raises(InputError, match="path or a PIL image"):
        open_image(source)


def test_open_image_without_pixels():
    with pytest.raises(InputError, match="no pixels"):
        open_image(Image.new("RGB", (0, 4)))
