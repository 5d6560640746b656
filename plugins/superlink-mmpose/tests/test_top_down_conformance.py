import pytest

from superlink.testing import DECODER_CHECKS, DecoderCase, parametrize_with_decoder_checks
from superlink.testing.checks import run_checks

from .conftest import draw_call
from .crops import TINY_CROPS, TINY_DETECTOR

OTHERS = {
    "deformable_detr": {
        "boxes": "mmdet.deformable_detr",
        "detector": TINY_DETECTOR,
        "max_boxes": 5,
    },
    "simcc_head": {"head": {"type": "SimCCHead", "deconv_out_channels": None}},
    "stretched": {"keep_ratio": False},
    "grounding_dino": {
        "boxes": "mmdet.grounding_dino",
        "detector": TINY_DETECTOR | {"num_denoising_queries": 12},
    },
    "shared_features": {
        "boxes": "mmdet.deformable_detr",
        "keep_ratio": False,
        "detector": TINY_DETECTOR | {"shared_features": True, "in_channels": (16, 24, 32)},
    },
}


def calls(num_routes, seed):
    return draw_call(num_routes, seed, num_keypoints=2 + seed % 3, per_route=1 + 2 * (seed % 2))


@parametrize_with_decoder_checks([DecoderCase("mmpose.top_down", TINY_CROPS, calls=calls)])
def test_conformance(case, check):
    check(case)


@pytest.mark.parametrize("changes", OTHERS.values(), ids=OTHERS)
def test_conformance_of_other_heads_and_stages(changes):
    checks = [check for check in DECODER_CHECKS if check.topic != "isolation"]
    case = DecoderCase("mmpose.top_down", TINY_CROPS | changes, calls=calls)
    results = run_checks(checks, case)
    assert [result for result in results if result.status == "failed"] == []
