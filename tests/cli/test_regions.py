"""`--region`: what a command line says of a picture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from superlink.cli.main import app
from superlink.cli.regions import read_region
from superlink.errors import InputError


def test_a_mask_is_read_from_its_file(tmp_path):
    pixels = np.zeros((20, 30), np.uint8)
    pixels[4:9, 10:20] = 255
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    region = read_region(f"mask:{tmp_path / 'mask.png'}")
    assert np.array_equal(region.raster((20, 30)), pixels > 0)
    with pytest.raises(InputError, match=r"\(40, 30\)"):
        region.raster((40, 30))


def test_a_photograph_is_no_mask_and_soft_edges_are_none_either(tmp_path):
    shades = np.linspace(0, 255, 400).astype(np.uint8).reshape(20, 20)
    Image.fromarray(shades).save(tmp_path / "photo.png")
    with pytest.raises(InputError, match=r"black and white.*this has \d+ shades.*photo.png"):
        read_region(f"mask:{tmp_path / 'photo.png'}")
    soft = np.zeros((20, 20), np.uint8)
    soft[5:15, 5:15], soft[5, 5:15] = 255, [100, 140, *[255] * 8]
    Image.fromarray(soft).save(tmp_path / "soft.png")
    assert read_region(f"mask:{tmp_path / 'soft.png'}").raster((20, 20)).sum() == 99


def test_other_regions_are_their_numbers():
    assert read_region("box:1,2,9,8").points == ((1.0, 2.0), (9.0, 8.0))


@pytest.mark.parametrize("name", ["missing.png", "black.png"])
def test_a_mask_that_marks_nothing_is_refused(tmp_path, name):
    Image.new("L", (8, 8)).save(tmp_path / "black.png")
    with pytest.raises(InputError, match=name):
        read_region(f"mask:{tmp_path / name}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("segment <region>", "--region", "blob:1,2"), "'blob:1,2'"),
        (("segment <region>", "--region", "box:1,2,9,9"), "no region encoder"),
        (("--classes", "apple", "--region", "box:1,2,9,9"), "--classes as well"),
        (("segment <region>", "--region", "blob:1,2"), "mask:FILE.png"),
        (("segment <region>", "--region", "point:0.5,0.3"), "pixels, not shares of the image"),
    ],
)
def test_regions_that_do_not_fit_the_rest(tiny_demo_model, arguments, message):
    image = str(tiny_demo_model / "scene.png")
    command = ["predict", str(tiny_demo_model / "model"), *arguments, "--image", image]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert message in " ".join(line.strip("│ ") for line in result.stderr.splitlines())


def test_a_region_needs_an_image_and_a_mark_a_region(tiny_demo_model):
    command = ["predict", str(tiny_demo_model / "regions" / "model"), "segment <region>"]
    lost = CliRunner().invoke(app, [*command, "--region", "point:1,2"])
    assert lost.exit_code == 2 and "give it with --image" in lost.stderr
    told = CliRunner().invoke(app, [*command, "--image", str(tiny_demo_model / "scene.png")])
    assert told.exit_code == 0 and "<region> is text here, as no --region" in told.stderr
