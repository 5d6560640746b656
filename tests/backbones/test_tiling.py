"""Tiles of large images for backbones whose processor has none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from superlink.backbones.grids import TILES
from superlink.backbones.loading import TransformersConfig, build_backbone
from superlink.backbones.tiling import tile_grid, tiles
from superlink.backbones.tiny_llava import TinyLlavaConfig, build_tiny_llava
from superlink.backbones.transformers import TransformersBackbone
from superlink.errors import ConfigError, InputError
from superlink.interfaces import IMAGE, Message
from superlink.testing.backbones import tiny_backbone
from superlink.testing.matrix import tiny_architecture

SIDES = st.integers(1, 3000)
SMALL = {"hidden_size": 64, "num_layers": 2, "num_heads": 4, "image_size": 64, "encoder": "conv"}


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    return build_tiny_llava(TinyLlavaConfig(**SMALL, max_tiles=4)).eval()


def noise(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(90, 160, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def encode(backbone, *rows, side="right"):
    messages = [Message("user", (*[IMAGE] * len(row), "find a dog")) for row in rows]
    return backbone.encode([backbone.render([m]) for m in messages], rows, padding_side=side)


def as_the_paper_says(width, height, tile_size, max_tiles):
    """Grids one by one, from small to large; a later one of the same ratio wins by its area."""
    best, least = (1, 1), float("inf")
    for total in range(1, max_tiles + 1):
        for columns in range(1, total + 1):
            rows, rest = divmod(total, columns)
            gap = abs(width / height - columns / rows)
            larger = width * height > 0.5 * tile_size**2 * total
            if not rest and (gap < least or (gap == least and larger)):
                best, least = (columns, rows), gap
    return best


@given(SIDES, SIDES, st.integers(8, 448), st.integers(1, 12))
def test_grid_is_that_of_the_paper(width, height, tile_size, max_tiles):
    expected = as_the_paper_says(width, height, tile_size, max_tiles)
    assert tile_grid((width, height), tile_size, max_tiles) == expected


@given(SIDES, SIDES, st.integers(1, 12))
def test_no_grid_is_closer_to_the_shape_of_an_image(width, height, max_tiles):
    columns, rows = tile_grid((width, height), 336, max_tiles)
    assert columns * rows <= max_tiles
    gap = abs(width / height - columns / rows)
    others = [(c, r) for c in range(1, 13) for r in range(1, 13) if c * r <= max_tiles]
    assert all(abs(width / height - c / r) >= gap for c, r in others)


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((336, 336), (1, 1)),
        ((672, 672), (2, 2)),  # of one shape with 1 x 1, and filled by more than half
        ((400, 400), (1, 1)),
        ((640, 480), (2, 2)),
        ((440, 330), (1, 1)),
        ((800, 400), (2, 1)),
        ((300, 900), (1, 3)),
        ((3000, 100), (4, 1)),
    ],
)
def test_grid_of_known_images(size, grid):
    assert tile_grid(size, 336, 4) == grid


def test_tiles_are_the_parts_of_the_large_image_and_last_the_whole():
    image = noise(200, 100)
    cut = tiles(image, 32, 4)
    assert [tile.size for tile in cut] == [(32, 32)] * 3
    large = np.asarray(image.resize((64, 32), Image.Resampling.BICUBIC))
    assert np.array_equal(np.concatenate([np.asarray(t) for t in cut[:2]], axis=1), large)
    whole = image.resize((32, 32), Image.Resampling.BICUBIC)
    assert np.array_equal(np.asarray(cut[2]), np.asarray(whole))


def test_image_of_one_tile_is_one_image():
    assert len(tiles(noise(40, 40), 32, 6)) == 1
    assert len(tiles(noise(200, 100), 32, 1)) == 1


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
def test_images_of_any_mode_are_cut(mode):
    assert {tile.mode for tile in tiles(noise(200, 100).convert(mode), 32, 4)} == {"RGB"}


def test_placeholder_comes_once_for_each_tile(backbone):
    inputs = encode(backbone, [noise(200, 100), noise(64, 64)], [noise(60, 180)])
    assert inputs[TILES].tolist() == [3, 1, 4]
    assert inputs["pixel_values"].shape == (8, 3, 64, 64)
    image = backbone.model.config.image_token_id
    assert (inputs["input_ids"] == image).sum(1).tolist() == [4 * 16, 4 * 16]
    assert TILES not in encode(backbone, [])


@torch.no_grad()
def test_rows_with_tiles_are_together_what_they_are_alone(backbone):
    rows = [[noise(200, 100)], [noise(64, 64, 1), noise(60, 180, 2)], []]
    for side in ("left", "right"):
        inputs = encode(backbone, *rows, side=side)
        features = backbone.image_features(inputs)
        batch = backbone(inputs, image_features=features)
        assert torch.equal(batch.logits, backbone(inputs).logits)
        for index, row in enumerate(rows):
            alone = backbone(encode(backbone, row)).last_hidden_state[0]
            mine = inputs["attention_mask"][index].bool()
            assert (batch.last_hidden_state[index, mine] - alone).abs().max() <= 1e-4


@torch.no_grad()
def test_tiles_reach_the_logits(backbone):
    image = noise(200, 100)
    image_with_detail = image.copy()
    image_with_detail.paste((255, 0, 0), (10, 10, 14, 14))
    one, other = (backbone(encode(backbone, [i])).logits for i in (image, image_with_detail))
    assert (one - other).abs().max() > 1e-4


@torch.no_grad()
def test_decoders_share_the_maps_of_the_whole(backbone):
    rows = [[noise(200, 100), noise(64, 64, 1)], [noise(60, 180, 2)]]
    maps = backbone.image_features(encode(backbone, *rows)).maps
    plain = TransformersBackbone(backbone.model, backbone.bare_processor)
    whole = [[image.resize((64, 64), Image.Resampling.BICUBIC) for image in row] for row in rows]
    expected = plain.image_features(encode(plain, *whole)).maps
    assert [m.shape[0] for m in maps] == [3, 3, 3]
    gaps = [(a - b).abs().max() for a, b in zip(maps, expected, strict=True)]
    assert max(gaps) <= 1e-5


@torch.no_grad()
@pytest.mark.parametrize("size", [(200, 100), (60, 180)])
def test_region_covers_the_cells_that_it_moves_in_its_tile_and_in_the_whole(backbone, size):
    image = noise(*size)
    before = backbone.image_features(encode(backbone, [image])).grids[0]
    assert before.shape == (len(before), backbone.grid_width)
    columns, rows = tile_grid(size, 64, 4)
    for tile in range(columns * rows):
        x, y = tile % columns * size[0] // columns, tile // columns * size[1] // rows
        box = (x, y, x + size[0] // columns // 2, y + size[1] // rows // 2)
        changed, mask = image.copy(), np.zeros(size[::-1], bool)
        changed.paste((255, 0, 0), box)
        mask[box[1] : box[3], box[0] : box[2]] = True
        shares = backbone.region_shares(image, [mask])[0]
        after = backbone.image_features(encode(backbone, [changed])).grids[0]
        moved = (after - before).norm(dim=-1).view(columns * rows + 1, -1)  # the whole last
        covered = shares.view(moved.shape)
        assert covered[tile, moved[tile].argmax()] > 0.3
        for one in (tile, -1):
            inside, outside = covered[one] > 0.5, covered[one] < 0.01
            assert inside.any()
            assert moved[one, inside].mean() > 3 * moved[one, outside].mean()
        others = [i for i in range(columns * rows) if i != tile]
        assert covered[others].max() < 0.1
        assert moved[others].max() < 0.1 * moved[tile].max()


@pytest.mark.parametrize("architecture", ["qwen2_5_vl", "internvl", "llava_next", "mistral3"])
def test_max_tiles_is_refused_where_it_has_no_place(architecture):
    other = tiny_architecture(architecture)
    if architecture == "internvl":
        tiles_of_its_own = other.processor.form | {"layout": "tiles"}
        other.bare_processor.form = tiles_of_its_own
    with pytest.raises(ConfigError, match="max_tiles=4 for"):
        TransformersBackbone(other.model, other.bare_processor, max_tiles=4)


def test_other_number_of_images_is_refused(backbone):
    text = backbone.render([Message("user", (IMAGE, "a dog"))])
    with pytest.raises(InputError, match=r"one <image> in the text.*Received: 1 for 0"):
        backbone.encode([text], [[]])


def test_saved_backbone_loads_again_with_its_tiles(backbone, tmp_path):
    backbone.save(tmp_path)
    for again in (
        build_backbone(TransformersConfig(source=str(tmp_path), max_tiles=4)),
        build_tiny_llava(TinyLlavaConfig(source=str(tmp_path), max_tiles=4)),
    ):
        inputs = encode(again, [noise(200, 100)])
        assert torch.equal(again(inputs).logits, backbone(inputs).logits)
        assert inputs[TILES].tolist() == [3]


def test_without_the_setting_an_image_goes_whole():
    assert TILES not in encode(tiny_backbone(), [noise(200, 100)])
