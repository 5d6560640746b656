"""Checks of a contract: named functions, run in their order, a basic failure skips the rest."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic, Literal, TypeVar

__all__ = ["Check", "CheckResult", "NotApplicable", "docs_of", "expect", "run_checks"]

Subject = TypeVar("Subject")
Status = Literal["passed", "failed", "skipped", "expected"]


class NotApplicable(Exception):
    """A check has nothing to look at in this subject; its text says why."""


def expect(holds: bool, expected: str, received: object) -> None:
    """Raise `AssertionError` in the usual words where something does not hold."""
    if not holds:
        raise AssertionError(f"Expected {expected}. Received: {received}")


@dataclass(frozen=True)
class Check(Generic[Subject]):
    """One thing that must hold."""

    name: str
    """Its name in tables and in `expected_failed_checks`."""
    topic: str
    """What it belongs to."""
    run: Callable[[Subject], str | None]
    """Raises where it does not hold; may return what it measured. Its docstring says which fault
    the check stops."""
    cure: str = ""
    """What to do where it fails."""
    basic: bool = False
    """Whether nothing else is worth a look where it fails."""


@dataclass(frozen=True)
class CheckResult:
    """How one check ended."""

    name: str
    topic: str
    status: Status
    """`expected` is a failure that was said before."""
    detail: str = ""
    """What was measured, or why it failed or was skipped."""
    cure: str = ""
    """What to do, where it failed."""
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The result in plain JSON types."""
        return asdict(self)


def run_checks(
    checks: Iterable[Check[Subject]],
    subject: Subject,
    *,
    expected_failed_checks: Mapping[str, str] | None = None,
    on_result: Callable[[CheckResult], None] = lambda result: None,
) -> list[CheckResult]:
    """Run checks in their order.

    Args:
        checks: What to run.
        subject: What is checked.
        expected_failed_checks: Name to reason; such a failure is no failure.
        on_result: Told of each result as it comes.
    """
    expected, results, broken = expected_failed_checks or {}, list[CheckResult](), ""
    for check in checks:
        if broken:
            result = CheckResult(check.name, check.topic, "skipped", f"{broken} failed")
        else:
            result = _run(check, subject, expected.get(check.name))
        if check.basic and result.status in ("failed", "expected"):
            broken = check.name
        results.append(result)
        on_result(result)
    return results


def _run(check: Check[Subject], subject: Subject, reason: str | None) -> CheckResult:
    start = time.perf_counter()
    status: Status = "passed"
    cure = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            detail = check.run(subject) or ""
    except NotApplicable as why:
        status, detail = "skipped", str(why)
    except Exception as error:  # whatever a third party's code raises is the result
        status, detail, cure = "failed", _describe(error), check.cure
        if reason is not None:
            status, detail, cure = "expected", reason, ""
    return CheckResult(
        check.name, check.topic, status, detail, cure, round(time.perf_counter() - start, 3)
    )


def _describe(error: Exception) -> str:
    text = str(error).strip()
    kind = type(error).__name__
    return text if isinstance(error, AssertionError) and text else f"{kind}: {text}".strip(": ")


def docs_of(checks: Sequence[Check[Any]]) -> dict[str, str]:
    """For each check the fault that it stops."""
    return {check.name: " ".join((check.run.__doc__ or "").split()) for check in checks}
