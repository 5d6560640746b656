"""Conformance of a task decoder or of a backbone as one pytest test for each check."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ..errors import ConfigError, MissingDependencyError

try:
    import pytest
except ImportError as error:
    raise MissingDependencyError(
        "Conformance tests run under pytest, which is not installed. "
        "Run: pip install 'superlink[plugin-dev]'"
    ) from error

from ..registry.suggestions import suggest
from .backbone_case import BackboneCase
from .backbone_checks import BACKBONE_CHECKS
from .checks import Check, NotApplicable
from .decoder_case import DecoderCase
from .decoder_checks import DECODER_CHECKS

__all__ = ["parametrize_with_backbone_checks", "parametrize_with_decoder_checks"]

Subject = TypeVar("Subject")


def parametrize_with_decoder_checks(
    decoders: Iterable[str | DecoderCase],
    *,
    expected_failed_checks: Mapping[str, str] | None = None,
) -> pytest.MarkDecorator:
    """Make a test of `case` and `check` run every check on every decoder.

    A decoder is built when its first check runs, and shared by the others. Example:

        @parametrize_with_decoder_checks(["acme.boxes"])
        def test_conformance(case, check):
            check(case)

    Args:
        decoders: Names of registered decoders, or cases with settings and calls.
        expected_failed_checks: Name of a check to the reason why it fails; its test is marked
            `xfail`.
    """
    cases = [DecoderCase(one) if isinstance(one, str) else one for one in decoders]
    named = [(case.name, case) for case in cases]
    return _parametrize(named, DECODER_CHECKS, expected_failed_checks or {})


def parametrize_with_backbone_checks(
    backbones: Iterable[BackboneCase],
    *,
    expected_failed_checks: Mapping[str, str] | None = None,
) -> pytest.MarkDecorator:
    """The same for backbones; see `parametrize_with_decoder_checks`."""
    named = [(case.name or "backbone", case) for case in backbones]
    return _parametrize(named, BACKBONE_CHECKS, expected_failed_checks or {})


def _parametrize(
    cases: Sequence[tuple[str, Subject]],
    checks: Sequence[Check[Subject]],
    expected: Mapping[str, str],
) -> pytest.MarkDecorator:
    names = [check.name for check in checks]
    for name in expected:
        if name not in names:
            raise ConfigError(f"There is no check {name!r}. {suggest(name, names)}")
    parameters = list(_parameters(cases, checks, expected))
    return pytest.mark.parametrize(("case", "check"), parameters)


def _parameters(
    cases: Sequence[tuple[str, Subject]],
    checks: Sequence[Check[Subject]],
    expected: Mapping[str, str],
) -> Iterator[Any]:
    for name, case in cases:
        broken: list[str] = []
        for check in checks:
            reason = expected.get(check.name)
            # Not strict: as in a table of checks, an unexpected pass is a pass.
            marks = [] if reason is None else [pytest.mark.xfail(reason=reason, strict=False)]
            runner = _Runner(check.name, check.run, check.cure, check.basic, broken)
            yield pytest.param(case, runner, marks=marks, id=f"{name}-{check.name}")


@dataclass(frozen=True)
class _Runner(Generic[Subject]):
    """A check that a test calls."""

    name: str
    run: Callable[[Subject], str | None] = field(repr=False)
    cure: str = field(repr=False)
    basic: bool = field(repr=False)
    broken: list[str] = field(repr=False)
    """Basic checks of the same subject that failed; all of its runners share the list."""

    def __call__(self, case: Subject) -> None:
        if self.broken:
            pytest.skip(f"{self.broken[0]} failed")
        reason = None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.run(case)
        except NotApplicable as why:
            reason = str(why)
        except Exception as error:
            if self.basic:
                self.broken.append(self.name)
            error.add_note(f"What to do: {self.cure}")
            raise
        if reason is not None:
            pytest.skip(reason)
