"""Writes `docs/reference/backbones.md` from the matrix in `docs/reference/backbones.json`.

superlink verify --all --json > docs/reference/backbones.json
python docs/hooks/backbones.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

REFERENCE = Path(__file__).parents[1] / "reference"
MATRIX, PAGE = REFERENCE / "backbones.json", REFERENCE / "backbones.md"

GROUPS = {
    "forward": ("forward", "own", "attach", "untouched", "detach"),
    "pixels": ("pixels",),
    "gradient": ("gradient",),
    "generation": ("block", "stepwise", "written_batch"),
    "batch": ("batch",),
    "padding": ("padding",),
    "save": ("save",),
    "text": ("text",),
    "bfloat16": ("half",),
    "LoRA": ("lora",),
    "regions": ("region_cells", "region_place", "region_batch", "region_block"),
}
"""Columns of the table, and the checks that each stands for."""
REQUIRED = ("forward", "pixels", "gradient", "generation", "batch", "padding", "save")
"""What a backbone must hold for images; the other columns are told beside it."""

INTRO = Path(__file__).with_name("backbones_intro.md")


def page(matrix: dict[str, Any]) -> str:
    """The page as Markdown."""
    rows = matrix["architectures"]
    lines = [
        f"| architecture | {' | '.join(GROUPS)} | slots enter |",
        f"|---|{'---|' * (len(GROUPS) + 1)}",
        *map(_line, rows),
    ]
    works = sum(_passes(row, ("forward", "gradient")) for row in rows)
    exact = sum(_passes(row, REQUIRED) for row in rows)
    figures = {"total": len(rows), "works": works, "exact": exact, **matrix["versions"]}
    intro = INTRO.read_text(encoding="utf-8").format(**figures)
    reasons = [f"- **{row['architecture']}**: {_reasons(row)}" for row in rows if _reasons(row)]
    return intro + "\n".join([*lines, "", "## Why not", "", *reasons, ""])


def _line(row: dict[str, Any]) -> str:
    marks = [_mark(row, checks) for checks in GROUPS.values()]
    block = row["checks"].get("block", {"status": "", "detail": ""})
    entering = block["detail"].rpartition(", ")[2] if block["status"] == "passed" else ""
    return f"| {row['architecture']} | {' | '.join(marks)} | {entering.removeprefix('in ')} |"


def _mark(row: dict[str, Any], checks: tuple[str, ...]) -> str:
    """`yes` where all passed; checks with nothing to look at do not count, unless all have none."""
    states = {row["checks"][name]["status"] for name in checks if name in row["checks"]}
    blocked = any(
        check["status"] == "skipped" and check["detail"].endswith(" failed")
        for name, check in row["checks"].items()
        if name in checks
    )
    if blocked or states <= {"skipped"}:
        return "-"
    return "no" if states & {"failed", "expected"} else "yes"


def _passes(row: dict[str, Any], columns: tuple[str, ...]) -> bool:
    return all(_mark(row, GROUPS[column]) == "yes" for column in columns)


def _reasons(row: dict[str, Any]) -> str:
    """Why a row is not exact, each reason once with its checks."""
    if row["refused"]:
        return f"not built. {row['refused']}"
    by_reason: dict[str, list[str]] = {}
    for name, check in row["checks"].items():
        if check["status"] in ("failed", "expected"):
            by_reason.setdefault(check["detail"], []).append(name)
    return " ".join(f"{', '.join(names)}: {reason}" for reason, names in by_reason.items())


if __name__ == "__main__":
    PAGE.write_text(page(json.loads(MATRIX.read_text(encoding="utf-8"))), encoding="utf-8")
