import pytest
import torch

from superlink.interfaces import Geometry
from superlink_mmdet.library import point_sample
from superlink_mmdet.pixels import PixelEmbedding, PixelMap
from superlink_mmdet.samples import data_sample
from superlink_mmdet.settings import detector_settings


def samples_of(*sizes):
    canvas = tuple(max(sides) for sides in zip(*sizes, strict=True))
    return [data_sample(Geometry.identity(size), canvas) for size in sizes]


def test_pixels_are_as_fine_as_the_finer_map(config):
    made = PixelEmbedding(config(masks=True, mask_dims=8))
    memory, fine = torch.randn(2, 64, 8, 8), torch.randn(2, 8, 16, 16)
    pixels = made(memory, fine, samples_of((64, 64), (64, 64)))
    assert pixels.values.shape == (2, 8, 16, 16)
    assert pixels.sizes == ((16, 16), (16, 16))


def test_without_a_finer_map_pixels_are_cells_of_the_memory(config):
    made = PixelEmbedding(config(masks=True, mask_dims=8, mask_channels=None))
    assert made.lateral is None
    pixels = made(torch.randn(1, 64, 8, 8), None, samples_of((64, 64)))
    assert pixels.values.shape == (1, 8, 8, 8)


@pytest.mark.parametrize("mask_channels", [8, None])
def test_padding_changes_no_pixel(config, mask_channels):
    made = PixelEmbedding(config(masks=True, mask_channels=mask_channels))
    memory = torch.randn(2, 64, 8, 12)  # whatever is in the padding
    fine = torch.randn(2, 8, 16, 24) if mask_channels else None
    samples = samples_of((64, 64), (32, 96))
    pixels = made(memory, fine, samples)
    factor = 2 if mask_channels else 1
    for index, (height, width) in enumerate(((8, 8), (4, 12))):
        own = memory[index : index + 1, :, :height, :width]
        its = None if fine is None else fine[index : index + 1, :, : height * 2, : width * 2]
        alone = made(own, its, samples_of((height * 8, width * 8)))
        assert pixels.sizes[index] == (height * factor, width * factor)
        torch.testing.assert_close(pixels.of(index), alone.values[0])
    assert not pixels.values[1, :, 4 * factor :].any()


def test_masks_at_points_are_products_of_pixels_at_points():
    pixels = PixelMap(torch.randn(2, 4, 6, 8), ((6, 8), (3, 4)))
    pixels.values[1, :, 3:] = pixels.values[1, :, :, 4:] = 0.0
    points, embeddings = torch.rand(2, 50, 2), torch.randn(2, 5, 4)
    sampled = embeddings @ pixels.at(points)
    for index in range(2):
        masks = torch.einsum("qc,chw->qhw", embeddings[index], pixels.of(index))
        expected = point_sample(masks[None], points[index : index + 1])[0]
        torch.testing.assert_close(sampled[index], expected)


def test_groups_of_norms_have_four_channels_at_least(config):
    made = PixelEmbedding(config(masks=True, mask_dims=16))
    assert made.output.norm.num_groups == 4
    wide = PixelEmbedding(config(masks=True, embed_dims=256, num_heads=8, mask_dims=256))
    assert wide.lateral.norm.num_groups == wide.output.norm.num_groups == 32


def test_weights_of_matching_and_losses_reach_mmdet(config):
    made = config(masks=True, match_mask=1, match_dice=2, loss_mask=3, loss_dice=4)
    head = detector_settings(made, torch.nn.Identity)["bbox_head"]
    costs = [cost["weight"] for cost in head["masks"]["assigner"]["match_costs"]]
    assert costs == [2, 5, 2, 1, 2]
    assert (head["masks"]["mask_weight"], head["masks"]["dice_loss"]["loss_weight"]) == (3, 4)
    assert detector_settings(config(), torch.nn.Identity)["bbox_head"]["masks"] is None
