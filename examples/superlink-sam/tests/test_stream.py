"""The image stream is SAM's own, and masks come back to the pixels that they came from."""

import dataclasses

import pytest
import torch
from PIL import Image
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

from superlink import Geometry
from superlink_sam.samples import image_tensor, instances, stream_masks

SIZES = [(60, 100), (100, 60), (33, 257), (128, 128), (41, 40)]


def blobs(size, num_masks=2, seed=0):
    """Smooth random masks (N, H, W)."""
    noise = torch.randn(1, num_masks, 5, 5, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(noise, size, mode="bicubic")[0] > 0


def stream(size, side):
    """The geometry of an image of `size` in the stream, and what it takes of it."""
    _, taken = image_tensor(Image.new("RGB", size[::-1]), side, keep_ratio=True)
    return Geometry.identity(size).resized(taken).padded((side, side)), taken


def back(masks, geometry, taken, cells):
    """Masks through SAM's cells and back into the original image."""
    targets, _ = stream_masks(masks, geometry, taken, cells)
    ious, phrases = torch.linspace(1, 0.5, len(masks)), ("thing",) * len(masks)
    return instances(targets - 0.5, ious, geometry, taken, phrases)


def overlap(first, second):
    return ((first & second).sum((1, 2)) / (first | second).sum((1, 2))).min()


@pytest.mark.parametrize("size", SIZES)
def test_pixels_are_those_of_the_processor_of_sam(call, size):
    image = call(size=size).image
    ours, taken = image_tensor(image, 128, keep_ratio=True)
    processor = SamImageProcessorPil(
        size={"longest_edge": 128}, pad_size={"height": 128, "width": 128}
    )
    theirs = processor(image, return_tensors="pt")
    assert taken == tuple(theirs["reshaped_input_sizes"][0].tolist())
    assert (ours - theirs["pixel_values"][0]).abs().max() < 1e-5


def test_pixels_of_sam2_fill_the_square():
    pixels, taken = image_tensor(Image.new("RGB", (100, 60), "white"), 64, keep_ratio=False)
    assert taken == (64, 64)
    assert pixels.min() > 1


@pytest.mark.parametrize("size", SIZES)
def test_masks_are_those_of_the_processor_of_sam(size):
    geometry, taken = stream(size, 128)
    logits = torch.nn.functional.interpolate(torch.randn(1, 3, 6, 6), (32, 32), mode="bicubic")
    found = instances(logits[0], torch.ones(3), geometry, taken, ("a", "b", "c"))
    processor = SamImageProcessorPil(pad_size={"height": 128, "width": 128})
    (theirs,) = processor.post_process_masks([logits], [size], [taken])
    assert (found.masks == theirs[0][found.labels]).float().mean() > 0.995


@pytest.mark.parametrize("size", [(60, 100), (100, 60), (100, 100)])
def test_masks_come_back_exactly_where_nothing_is_resized(size):
    masks, (geometry, taken) = blobs(size), stream(size, 100)
    assert torch.equal(back(masks, geometry, taken, 100).masks, masks)


@pytest.mark.parametrize("size", SIZES)
def test_masks_come_back_from_the_cells_of_sam(size):
    masks, (geometry, taken) = blobs(size), stream(size, 256)
    found = back(masks, geometry, taken, 64)
    assert overlap(found.masks, masks) > 0.93
    for mask, box in zip(found.masks, found.bboxes, strict=True):
        y, x = mask.nonzero().T
        assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]


def test_flipped_stream_gives_masks_of_the_original():
    masks, (geometry, taken) = blobs((60, 100)), stream((60, 100), 100)
    flipped = Geometry.identity((60, 100)).mirrored().resized(taken).padded((100, 100))
    targets, inside = stream_masks(masks, flipped, taken, 100)
    expected, _ = stream_masks(masks.flip(2), geometry, taken, 100)
    assert torch.allclose(targets, expected, atol=1e-4)
    assert torch.equal(inside, stream_masks(masks, geometry, taken, 100)[1])
    assert torch.equal(back(masks, flipped, taken, 100).masks, masks)


def test_cropped_stream_sees_its_part_and_nothing_else():
    masks = torch.ones(1, 60, 100, dtype=torch.bool)
    cropped = Geometry.identity((60, 100)).cropped((50, -10, 90, 30)).padded((64, 64))
    targets, inside = stream_masks(masks, cropped, (40, 40), 64)
    assert torch.equal(targets[0], inside)
    assert inside.sum() == 40 * 30
    found = instances(torch.ones(1, 64, 64), torch.ones(1), cropped, (40, 40), ("all",))
    assert found.bboxes.tolist() == [[50, 0, 90, 30]]
    assert found.masks.sum() == 40 * 30


def test_padding_is_outside():
    geometry, taken = stream((60, 100), 128)
    targets, inside = stream_masks(torch.ones(2, 60, 100).bool(), geometry, taken, 32)
    assert taken == (77, 128)
    assert inside.sum() * 16 == 77 * 128
    assert torch.allclose(targets, inside.expand(2, -1, -1))


def test_prepare_does_not_change_the_call(decoder, call):
    given = call(blobs((60, 100)), [1, 0])
    copy = dataclasses.replace(given, target={k: v.clone() for k, v in given.target.items()})
    item = decoder().prepare(given, training=True)
    assert item["geometry"].size == (128, 128)
    assert given.geometry == copy.geometry
    assert all(torch.equal(given.target[key], copy.target[key]) for key in copy.target)
