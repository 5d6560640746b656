"""A conformance test of a third party: one test for each check, skipped or expected as it says."""

from __future__ import annotations

import subprocess
import sys

import pytest

import superlink.testing
from superlink.errors import ConfigError
from superlink.testing import (
    BACKBONE_CHECKS,
    DECODER_CHECKS,
    TOY_BOX,
    BackboneCase,
    DecoderCase,
    parametrize_with_backbone_checks,
    parametrize_with_decoder_checks,
    tiny_backbone,
)
from superlink.testing.plain_backbone import PlainBackbone, PlainConfig, build_plain_backbone

pytest_plugins = ["pytester"]

CONFORMANCE = """
from superlink.testing import TOY_BOX, DecoderCase, parametrize_with_decoder_checks

@parametrize_with_decoder_checks([DecoderCase(TOY_BOX)])
def test_conformance(case, check):
    check(case)
"""
BROKEN = """
from dataclasses import replace
import pytest
from superlink.testing import TOY_BOX, DecoderCase, ToyBoxDecoder, parametrize_with_decoder_checks

class Mean(ToyBoxDecoder):
    def loss(self, links, inputs):
        value, count = super().loss(links, inputs)["l1"]
        return {"l1": (value / max(count, 1.0), count)}

case = DecoderCase(replace(TOY_BOX, factory=f"{__name__}:Mean"))

@parametrize_with_decoder_checks([case], expected_failed_checks={"batch": "an old mean"})
def test_conformance(case, check):
    check(case)
"""
IN_PROCESS = ("-k", "not (light or offline or idle)", "-p", "no:cacheprovider")


@parametrize_with_decoder_checks([DecoderCase(TOY_BOX)])
def test_decoder(case, check):
    check(case)


def reload(folder):
    return build_plain_backbone(PlainConfig(source=str(folder)))


@parametrize_with_backbone_checks([BackboneCase(PlainBackbone, reload, "plain")])
def test_plain_backbone(case, check):
    check(case)


def test_names_are_read_in_reports(pytester):
    pytester.makepyfile(CONFORMANCE)
    listed = pytester.runpytest("--collect-only", "-q")
    listed.stdout.fnmatch_lines(
        [f"*::test_conformance[[]toy.box-{c.name}]" for c in DECODER_CHECKS]
    )


def test_decoder_passes_and_what_does_not_apply_is_skipped(pytester):
    pytester.makepyfile(CONFORMANCE)
    result = pytester.runpytest(*IN_PROCESS)
    isolation = sum(check.topic == "isolation" for check in DECODER_CHECKS)
    result.assert_outcomes(passed=len(DECODER_CHECKS) - isolation, deselected=isolation)
    pytester.runpytest("-k", "light", "-rs").stdout.fnmatch_lines(["*no installed distribution*"])


def test_expected_failure_is_an_xfail_with_its_reason(pytester):
    pytester.makepyfile(BROKEN)
    result = pytester.runpytest(*IN_PROCESS, "-rx")
    assert result.parseoutcomes()["xfailed"] == 1
    assert "failed" not in result.parseoutcomes()
    result.stdout.fnmatch_lines(["XFAIL*toy.box-batch* - an old mean"])


def test_failure_shows_the_line_and_what_to_do(pytester):
    pytester.makepyfile(BROKEN.replace(', expected_failed_checks={"batch": "an old mean"}', ""))
    result = pytester.runpytest(*IN_PROCESS)
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(["*AssertionError: Expected sums*", "E*What to do: Return sums*"])


def test_basic_failure_skips_the_rest(pytester):
    pytester.makepyfile(CONFORMANCE.replace("DecoderCase(TOY_BOX)", '"no.such_decoder"'))
    result = pytester.runpytest("-rs")
    result.assert_outcomes(failed=1, skipped=len(DECODER_CHECKS) - 1)
    result.stdout.fnmatch_lines(["*There is no decoder of this name*", "*spec failed"])


def test_one_case_is_shared_and_built_when_its_first_check_runs():
    case = DecoderCase(TOY_BOX)
    parameters = parametrize_with_decoder_checks([case]).args[1]
    assert {id(parameter.values[0]) for parameter in parameters} == {id(case)}
    assert "decoder" not in vars(case)


def test_backbone_without_a_name_gets_one():
    mark = parametrize_with_backbone_checks([BackboneCase(tiny_backbone)])
    assert [p.id for p in mark.args[1]] == [f"backbone-{c.name}" for c in BACKBONE_CHECKS]


def test_expected_failure_of_no_check_is_refused():
    with pytest.raises(ConfigError, match=r"no check 'bach'. Did you mean 'batch'"):
        parametrize_with_decoder_checks(["toy.box"], expected_failed_checks={"bach": "x"})


def test_import_of_the_package_loads_neither_pytest_nor_models():
    code = (
        "import sys, superlink.testing\n"
        "from superlink.testing import DecoderCase, check_decoder, installed_plugin\n"
        "heavy = {'pytest', '_pytest', 'transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_functions_are_not_hidden_by_the_modules_that_bear_their_names():
    code = (
        "import superlink.testing.decoder_checks, superlink.testing.backbone_checks\n"
        "from superlink.testing import backbone_checks, decoder_checks\n"
        "assert callable(decoder_checks) and callable(backbone_checks)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_are_there_and_no_others():
    assert all(getattr(superlink.testing, name) is not None for name in superlink.testing.__all__)
    assert {*superlink.testing.__all__} <= {*dir(superlink.testing)}
    with pytest.raises(AttributeError, match="nothing"):
        _ = superlink.testing.nothing


def test_missing_pytest_names_the_extra():
    code = (
        "import sys\n"
        "sys.modules['pytest'] = None\n"
        "from superlink.errors import MissingDependencyError\n"
        "try: from superlink.testing import parametrize_with_decoder_checks\n"
        "except MissingDependencyError as error: assert 'superlink[plugin-dev]' in str(error)\n"
        "else: raise SystemExit('no error')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
