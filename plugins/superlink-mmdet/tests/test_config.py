import pytest
from pydantic import ValidationError

from superlink_mmdet.config import GroundingDinoConfig


def test_config_without_arguments_is_whole():
    assert GroundingDinoConfig().embed_dims == 256


def test_config_survives_json():
    config = GroundingDinoConfig(embed_dims=64, nms_iou=0.5)
    assert GroundingDinoConfig.model_validate_json(config.model_dump_json()).nms_iou == 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embed_dim": 64}, "Extra inputs"),
        ({"embed_dims": 96, "num_heads": 4}, "power of two"),
        ({"embed_dims": 100, "num_heads": 3}, "power of two"),
        ({"num_levels": 2}, "in_channels"),
        ({"in_channels": ()}, "in_channels"),
        ({"shared_features": True, "keep_ratio": True}, "keep_ratio"),
        ({"keep_ratio": True, "image_size": (32, 640)}, "size_divisor"),
        ({"nms_iou": 0.0}, "greater than 0"),
        ({"mask_channels": 64}, "set masks"),
        ({"masks": True, "mask_dims": 30}, "multiple of 4"),
        ({"masks": True, "num_mask_points": 0}, "greater than 0"),
        ({"masks": True, "mask_oversampling": 0.5}, "greater than or equal to 1"),
        ({"masks": True, "mask_importance": 1.5}, "less than or equal to 1"),
        ({"masks": True, "loss_dice": -1}, "greater than or equal to 0"),
    ],
)
def test_config_that_cannot_be_built_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        GroundingDinoConfig(**changes)


def test_config_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        GroundingDinoConfig().embed_dims = 64


def test_finer_map_for_masks_comes_first():
    assert GroundingDinoConfig(in_channels=(8, 16)).map_channels == (8, 16)
    fine = GroundingDinoConfig(in_channels=(8, 16), masks=True, mask_channels=4)
    assert fine.map_channels == (4, 8, 16)
