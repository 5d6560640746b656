import numpy as np
import pytest
import torch
from PIL import Image

from superlink.errors import ConfigError
from superlink_diffusers.images import covering, pixels, stretched
from superlink_diffusers.pixel_space import PixelSpace

from .conftest import picture


def test_pixels_are_between_minus_one_and_one_in_their_place():
    values = np.zeros((2, 3, 3), np.uint8)
    values[0, 2] = (255, 0, 128)
    found = pixels(Image.fromarray(values))
    assert found.shape == (3, 2, 3)
    assert found[:, 0, 2].tolist() == pytest.approx([1, -1, 1 / 255], abs=1e-6)
    assert found[:, 1, 0].tolist() == [-1, -1, -1]


@pytest.mark.parametrize("resized", [covering, stretched])
def test_a_picture_of_the_right_size_is_left_as_it_is(resized):
    image = picture(0, (16, 24))
    assert resized(image, (16, 24)).tobytes() == image.tobytes()


def test_covering_cuts_what_stands_out_on_both_sides():
    image = Image.new("RGB", (90, 30), "red")
    image.paste("blue", (30, 0, 60, 30))
    found = np.asarray(covering(image, (10, 10)))
    assert found.shape == (10, 10, 3) and (found == (0, 0, 255)).all()


def test_stretching_keeps_all_of_a_picture():
    image = Image.new("L", (90, 30))
    image.paste(255, (45, 0, 90, 30))
    found = np.asarray(stretched(image, (10, 10)))
    assert found[:, :4].max() < 10 and found[:, 6:].min() > 245


@pytest.mark.parametrize("patch", [1, 2, 8])
def test_the_space_of_pixels_loses_nothing(patch):
    space, images = PixelSpace(patch), torch.randn(2, 3, 16, 24)
    cells = space.encode(images).latent_dist.mode()
    assert cells.shape == (2, 3 * patch**2, 16 // patch, 24 // patch)
    assert cells.shape[1] == space.config.latent_channels
    assert 2 ** (len(space.config.block_out_channels) - 1) == patch
    assert torch.equal(space.decode(cells, return_dict=False)[0], images)


@pytest.mark.parametrize(("patch", "channels"), [(2, 5), (4, 12), (8, 100)])
def test_few_cosines_of_a_patch_keep_the_squares_of_errors(patch, channels):
    space, images = PixelSpace(patch, channels), torch.randn(2, 3, 16, 24)
    cells = space.encode(images).mode()
    assert cells.shape == (2, channels, 16 // patch, 24 // patch)
    kept = space.decode(cells)[0]
    assert torch.allclose(space.encode(kept).mode(), cells, atol=1e-5)
    squares = images.square().sum() - (images - kept).square().sum()
    assert torch.allclose(cells.square().sum(), squares, rtol=1e-5)


def test_the_coarsest_cosines_come_first():
    ramp = torch.linspace(-1, 1, 16).expand(1, 3, 16, 16)
    flat = torch.tensor([0.9, -0.3, 0.1]).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    for images, channels in [(ramp, 3), (flat, 8), (flat[:, :1].expand(1, 3, 16, 16), 1)]:
        space = PixelSpace(4, channels)
        (again,) = space.decode(space.encode(images).mode())
        assert (again - images).abs().max() < 0.05


@pytest.mark.parametrize("channels", [0, 49])
def test_more_channels_than_a_patch_has_are_refused(channels):
    with pytest.raises(ConfigError, match=r"has 1 to 48 channels\. Received"):
        PixelSpace(4, channels)


def test_patches_that_pipelines_cannot_count_are_refused():
    with pytest.raises(ConfigError, match=r"power of 2\. Received: patch=6"):
        PixelSpace(6)


def test_a_picture_much_smaller_than_the_size_is_not_lost():
    found = covering(Image.new("RGB", (3, 3), "red"), (64, 512))
    assert found.getpixel((10, 10)) == (255, 0, 0)
