import pytest

from superlink.testing import DECODER_CHECKS, DecoderCase, parametrize_with_decoder_checks
from superlink.testing.checks import run_checks

from .conftest import TINY, draw_call

STREAMS = {
    "keep_ratio": {"keep_ratio": True, "image_size": (64, 96)},
    "shared_features": {
        "shared_features": True,
        "in_channels": (16, 24, 32),
        "fine_channels": None,
    },
    "no_fine_map": {
        "fine_channels": None,
        "backbone": TINY["backbone"] | {"out_indices": (1, 2, 3)},
    },
    "no_denoising": {"num_denoising_queries": 0},
}


def calls(num_routes, seed):
    return draw_call(num_routes, seed, num_keypoints=2 + seed % 3, per_route=1 + 2 * (seed % 2))


@parametrize_with_decoder_checks([DecoderCase("mmpose.group_pose", TINY, calls=calls)])
def test_conformance(case, check):
    check(case)


@pytest.mark.parametrize("changes", STREAMS.values(), ids=STREAMS)
def test_conformance_of_other_streams(changes):
    checks = [check for check in DECODER_CHECKS if check.topic != "isolation"]
    case = DecoderCase("mmpose.group_pose", TINY | changes, calls=calls)
    results = run_checks(checks, case)
    assert [result for result in results if result.status == "failed"] == []
