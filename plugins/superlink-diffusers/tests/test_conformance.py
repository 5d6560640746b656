import pytest

from superlink.testing import DECODER_CHECKS, DecoderCase, parametrize_with_decoder_checks
from superlink.testing.checks import run_checks

from .conftest import FAMILIES, draw_call, edit_call, settings

DRAWING, EDITING = "diffusers.text_to_image", "diffusers.image_editing"


@parametrize_with_decoder_checks([DecoderCase(DRAWING, settings(), calls=draw_call)])
def test_conformance(case, check):
    check(case)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", [DRAWING, EDITING])
def test_conformance_of_families(family, name):
    # Fresh processes are a matter of the package, which one case has shown.
    checks = [check for check in DECODER_CHECKS if check.topic != "isolation"]
    calls = draw_call if name == DRAWING else edit_call
    results = run_checks(checks, DecoderCase(name, settings(family), calls=calls))
    assert [result for result in results if result.status == "failed"] == []
