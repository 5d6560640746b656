import pytest
from pydantic import ValidationError

from superlink_mmdet.config import (
    DeformableDetrConfig,
    GroundingDinoConfig,
    QueryDetectorConfig,
)

FAMILIES = [GroundingDinoConfig, DeformableDetrConfig]


@pytest.mark.parametrize("family", FAMILIES)
def test_config_without_arguments_is_whole(family):
    assert family().embed_dims == 256


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
@pytest.mark.parametrize("family", FAMILIES)
def test_config_that_cannot_be_built_is_refused(family, changes, message):
    with pytest.raises(ValidationError, match=message):
        family(**changes)


def test_neck_may_make_fewer_levels_than_it_gets_maps():
    config = GroundingDinoConfig(num_levels=2, neck={"type": "FPN"})
    assert len(config.in_channels) == 3


@pytest.mark.parametrize("name", ["fusion", "text_layers", "num_denoising_queries", "box_noise"])
def test_settings_of_one_family_are_refused_by_another(name):
    value = getattr(GroundingDinoConfig(), name)
    with pytest.raises(ValidationError, match="Extra inputs"):
        DeformableDetrConfig(**{name: value})


@pytest.mark.parametrize("family", FAMILIES)
def test_settings_of_all_families_fit_each(family):
    common = QueryDetectorConfig(embed_dims=64, masks=True, image_size=(64, 64)).model_dump()
    made = family(**common).model_dump()
    assert common == {name: made[name] for name in common}


def test_config_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        GroundingDinoConfig().embed_dims = 64


def test_finer_map_for_masks_comes_first():
    assert GroundingDinoConfig(in_channels=(8, 16)).map_channels == (8, 16)
    fine = GroundingDinoConfig(in_channels=(8, 16), masks=True, mask_channels=4)
    assert fine.map_channels == (4, 8, 16)
