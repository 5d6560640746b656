"""Does a task decoder keep its contract? What every one of them must hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .checks import Check, CheckResult, run_checks
from .decoder_batches import BATCH_CHECKS, ROUTES_CHECK
from .decoder_case import DecoderCase
from .decoder_declaration import DECLARATION_CHECKS
from .decoder_isolation import ISOLATION_CHECKS
from .decoder_results import PREDICT_CHECK, RESULT_CHECKS
from .decoder_training import LOSS_CHECK, TRAINING_CHECKS

__all__ = ["DECODER_CHECKS", "check_decoder", "decoder_checks"]

DECODER_CHECKS: tuple[Check[DecoderCase], ...] = (
    *DECLARATION_CHECKS,
    LOSS_CHECK,
    PREDICT_CHECK,
    ROUTES_CHECK,
    *TRAINING_CHECKS,
    *BATCH_CHECKS,
    *RESULT_CHECKS,
    *ISOLATION_CHECKS,
)
"""Every check, basic ones first, those that start processes last."""


def decoder_checks(
    case: DecoderCase,
    *,
    expected_failed_checks: Mapping[str, str] | None = None,
    on_result: Callable[[CheckResult], None] = lambda result: None,
) -> list[CheckResult]:
    """Run every check on a task decoder; the arguments are those of `run_checks`."""
    return run_checks(
        DECODER_CHECKS, case, expected_failed_checks=expected_failed_checks, on_result=on_result
    )


def check_decoder(case: DecoderCase) -> None:
    """Raise `AssertionError` with every check that fails: a conformance test in one line."""
    failed = [result for result in decoder_checks(case) if result.status == "failed"]
    if failed:
        lines = (f"{result.name}: {result.detail} {result.cure}" for result in failed)
        raise AssertionError("\n".join([f"{case.name} fails", *lines]))
