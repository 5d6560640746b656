"""Every check and every hook is documented."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from superlink.registry import hookspecs
from superlink.testing import BACKBONE_CHECKS, DECODER_CHECKS

DOCS = Path(__file__).parents[2] / "docs"


def reference():
    path = DOCS / "hooks" / "checks_reference.py"
    spec = importlib.util.spec_from_file_location("checks_reference", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.checks_reference()


def test_every_check_has_its_line_with_fault_and_cure():
    lines = [line for line in reference().splitlines() if line.startswith("| `")]
    assert len(lines) == len(BACKBONE_CHECKS) + len(DECODER_CHECKS)
    for check, line in zip((*DECODER_CHECKS, *BACKBONE_CHECKS), lines, strict=True):
        cells = [cell.strip() for cell in line.split(" | ")]
        assert cells[0] == f"| `{check.name}`"
        assert cells[2].startswith("Stops ")
        assert len(cells[3]) > 5


def test_every_hook_is_shown():
    page = (DOCS / "reference" / "hooks.md").read_text(encoding="utf-8")
    assert f"::: {hookspecs.__name__}" in page
    names = [name for name in dir(hookspecs) if name.startswith("superlink_")]
    assert len(names) == 3
    assert all(getattr(hookspecs, name).__doc__ for name in names)
