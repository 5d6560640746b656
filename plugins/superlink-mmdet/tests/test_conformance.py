import pytest

from superlink.testing import DECODER_CHECKS, DecoderCase, parametrize_with_decoder_checks
from superlink.testing.checks import run_checks

TINY = {
    "embed_dims": 32,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "num_object_queries": 12,
    "num_points": 2,
    "num_levels": 3,
    "num_heads": 4,
    "feedforward_dims": 32,
    "backbone": {
        "type": "ResNet",
        "depth": 18,
        "base_channels": 8,
        "stem_channels": 8,
        "out_indices": [1, 2, 3],
    },
    "in_channels": [16, 32, 64],
    "image_size": [64, 64],
}
FAMILIES = {
    "mmdet.grounding_dino": TINY | {"num_denoising_queries": 12},
    "mmdet.deformable_detr": TINY,
}
OF_BACKBONE = {"backbone", "in_channels"}
KEPT = {"keep_ratio": True, "image_size": [64, 96], "size_divisor": 32}
SHARED = {"shared_features": True, "in_channels": [16, 24, 32]}
COARSE_MASKS = {"masks": True, "mask_dims": 16, "num_mask_points": 64}
FINE_MASKS = COARSE_MASKS | {
    "mask_channels": 8,
    "backbone": TINY["backbone"] | {"out_indices": [0, 1, 2, 3]},
}
STREAMS = {
    "keep_ratio": KEPT,
    "shared_features": SHARED,
    "fine_masks_keep_ratio": FINE_MASKS | KEPT,
    "masks_shared_features": COARSE_MASKS | SHARED,
}


@parametrize_with_decoder_checks(
    [
        DecoderCase(name, settings | masks)
        for name, settings in FAMILIES.items()
        for masks in ({}, FINE_MASKS)
    ]
)
def test_conformance(case, check):
    check(case)


@pytest.mark.parametrize("name", FAMILIES)
def test_calls_do_not_change_each_other_in_the_default_backbone(name):
    settings = {key: FAMILIES[name][key] for key in FAMILIES[name] if key not in OF_BACKBONE}
    (batch,) = (check for check in DECODER_CHECKS if check.name == "batch")
    batch.run(DecoderCase(name, settings))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("changes", STREAMS.values(), ids=STREAMS)
def test_conformance_of_other_streams(name, changes):
    checks = [check for check in DECODER_CHECKS if check.topic != "isolation"]
    results = run_checks(checks, DecoderCase(name, FAMILIES[name] | changes))
    assert [result for result in results if result.status == "failed"] == []
