"""Tables of what `superlink data` finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from ..inspection.counts import Counts, rows_of
from ..inspection.samples import ShownSample
from ..inspection.validation import Finding
from .output import stdout

__all__ = ["print_counts", "print_reasons", "print_sample", "print_verdict", "print_warnings"]

_TOP_CLASSES = 20


def print_counts(counts: Counts) -> None:
    """Print what there is, and the most frequent classes."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for name, value in rows_of(counts):
        table.add_row(name, value)
    stdout.print(table)
    if not counts.classes:
        return
    classes = _table("class", "objects")
    found = [(name, number) for name, number in counts.classes.most_common() if number]
    for name, number in found[:_TOP_CLASSES]:
        classes.add_row(Text(name), f"{number:,}")
    if rest := found[_TOP_CLASSES:]:
        total = sum(number for _, number in rest)
        classes.add_row(Text(f"{len(rest):,} others", "dim"), Text(f"{total:,}", "dim"))
    if absent := len(counts.classes) - len(found):
        classes.add_row(Text(f"{absent:,} others", "dim"), Text("0", "dim"))
    stdout.print()
    stdout.print(classes)


def print_reasons(findings: Sequence[Finding], examples: int = 0) -> None:
    """Print how often each reason occurs, and the first few of each."""
    if not findings:
        return
    reasons = _table("number", "what is wrong")
    counts = Counter(finding.reason for finding in findings)
    for reason, number in counts.most_common():
        reasons.add_row(f"{number:,}", Text(reason))
        mine = [finding for finding in findings if finding.reason == reason]
        for finding in mine[:examples]:
            reasons.add_row("", Text(f"{finding.item} in {finding.file}", "dim"))
        if examples and number > examples:
            reasons.add_row("", Text("…", "dim"))
    stdout.print()
    stdout.print(reasons)


def print_warnings(warnings: Sequence[str]) -> None:
    """Print what is not broken and looks wrong."""
    for warning in warnings:
        stdout.print()
        stdout.print(Text(f"warning: {warning}", "yellow"), soft_wrap=True)


def print_sample(shown: ShownSample) -> None:
    """Print a conversation; what it says is no markup."""
    stdout.print()
    stdout.print(Text(shown.heading, "bold"), soft_wrap=True)
    for speaker, said in shown.lines():
        stdout.print(Text.assemble((f"  {speaker:<10} ", "dim"), said), soft_wrap=True)


def print_verdict(records: int, broken: int, left_out: int, lost: int) -> None:
    """Print the one line that says whether a set is whole."""
    line = f"{records} records, {records - broken} whole, {broken} broken"
    if left_out:
        line += f"; {left_out} item{'' if left_out == 1 else 's'} left out, {lost} of them broken"
    stdout.print(line, highlight=False)


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for header in headers:
        numbers = header in ("objects", "number")
        table.add_column(header, justify="right" if numbers else "left", overflow="fold")
    return table
