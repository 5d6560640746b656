"""The decoder keeps superlink's contract."""

from superlink.testing import parametrize_with_decoder_checks


@parametrize_with_decoder_checks(["sam.masks"])
def test_conformance(case, check):
    check(case)
