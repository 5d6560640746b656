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
    ],
)
def test_config_that_cannot_be_built_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        GroundingDinoConfig(**changes)


def test_config_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        GroundingDinoConfig().embed_dims = 64
