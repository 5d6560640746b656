"""Whether runs agree with a claim: differences of means against their spread."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from ..evaluation.cards import JudgedClaim, Spread
from .experiment import Claim

__all__ = ["RULE", "judge", "least_difference"]

RULE = (
    "A claim agrees where all differences of means that its order names are larger than the "
    "half-width of their 95 % confidence intervals by Welch's t-test over the seeds; it disagrees "
    "where one is so with the other sign; else the variants are not told apart."
)

# Two-sided 95 % quantiles of Student's t for 1, 2, ... 30 degrees of freedom; the last one serves
# beyond, which is 4 % too careful at most.
_T95 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


def judge(claim: Claim, measured: Mapping[str, Spread]) -> JudgedClaim:
    """Test a claim.

    Args:
        claim: What is said.
        measured: The claim's metric by variant; variants without finished runs are missing.
    """
    verdict, reasons = "not tested", []
    if missing := [name for name in claim.best_first if name not in measured]:
        verdict, reasons = "not measured", [f"no runs of {', '.join(missing)}"]
    elif claim.order is not None:
        found = [
            _compare(name, other, measured[name], measured[other])
            for name, other in combinations(claim.best_first, 2)
        ]
        reasons = [reason for _, reason in found]
        signs = {sign for sign, _ in found}
        verdict = "disagrees" if -1 in signs else "not told apart" if 0 in signs else "agrees"
    return JudgedClaim(claim.text, claim.source, claim.metric, claim.order, verdict, tuple(reasons))


def least_difference(first: Spread, second: Spread) -> float | None:
    """From which difference on two means are told apart; None where a run is alone.

    The half-width of the 95 % confidence interval of Welch's t-test. Degrees of freedom, which
    Welch and Satterthwaite estimate, are rounded down.
    """
    if first.std is None or second.std is None:
        return None
    parts = [s**2 / n for s, n in ((first.std, first.num_runs), (second.std, second.num_runs))]
    if not sum(parts):
        return 0.0
    nums = (first.num_runs - 1, second.num_runs - 1)
    freedom = sum(parts) ** 2 / sum(p**2 / n for p, n in zip(parts, nums, strict=True))
    # A hair more, as rounding may leave what is 4 just below it.
    return float(_T95[min(int(freedom + 1e-9), len(_T95)) - 1] * sum(parts) ** 0.5)


def _compare(name: str, other: str, first: Spread, second: Spread) -> tuple[int, str]:
    """1 where the first is greater, -1 where the second is, 0 where nobody can tell; and why."""
    difference, least = first.mean - second.mean, least_difference(first, second)
    said = f"{name} - {other} = {difference:+.3f}"
    if least is None:
        return 0, f"{said}, a single run has no spread"
    if abs(difference) <= least:
        return 0, f"{said}, told apart from {least:.3f} on"
    return (1 if difference > 0 else -1), f"{said}, more than {least:.3f}"
