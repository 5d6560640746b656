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
    ],
)
def test_regions_that_do_not_fit_the_rest(tiny_demo_model, arguments, message):
    image = str(tiny_demo_model / "scene.png")
    command = ["predict", str(tiny_demo_model / "model"), *arguments, "--image", image]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert message in " ".join(line.strip("│ ") for line in result.stderr.splitlines())
