"""Every block of the documentation runs, and prints what the page shows.

A block is excepted by a comment above it that says why: `<!-- skip: next "trains for minutes" -->`.
A page that needs files names the fixture whose folder it finds as `demo`:
`<!-- fixture: tiny_demo_model -->`.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from .blocks import Page

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FIXTURE = re.compile(r"<!-- fixture: (\w+) -->")
SKIP_WITHOUT_REASON = re.compile(r'<!--+ *skip: *next(?! *(if\(.*, reason=)?"[^"]+)')


@pytest.fixture
def write_page(tmp_path):
    def write(text):
        path = tmp_path / "page.md"
        path.write_text(text)
        return Page(path)

    return write


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_blocks_run(path, request, tmp_path, monkeypatch):
    text = path.read_text()
    for name in FIXTURE.findall(text):
        shutil.copytree(request.getfixturevalue(name), tmp_path / "demo")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    Page(path).run()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_skipped_block_has_a_reason(path):
    assert not SKIP_WITHOUT_REASON.findall(path.read_text())


def test_blocks_of_a_page_share_names(write_page):
    write_page("```python\nx = 1\n```\nthen\n```python\nassert x == 1\n```\n").run()


def test_output_right_below_a_block_is_compared(write_page):
    page = write_page("```python\nprint('one')\n```\n\n```text\ntwo\n```\n")
    with pytest.raises(AssertionError, match="two"):
        page.run()


def test_output_in_comments_is_compared(write_page):
    write_page("```python\nprint(1, 2)\n# > 1 2\n```\n").run()
    with pytest.raises(AssertionError, match="The block prints"):
        write_page("```python\nprint(1)\n# > 2\n```\n").run()


def test_ellipsis_stands_for_anything(write_page):
    write_page("```python\nprint('score 0.913')\n```\n```text\nscore 0...\n```\n").run()


def test_text_apart_from_a_block_is_a_figure(write_page):
    write_page("```python\nprint(1)\n```\nA figure:\n```text\nA -> B\n```\n").run()


def test_skipped_block_does_not_run(write_page):
    write_page('<!-- skip: next "raises" -->\n\n```python\n1 / 0\n```\n').run()


def test_failing_block_names_its_line(write_page):
    page = write_page("# Title\n\n```python\nprint(1)\n1 / 0\n```\n")
    with pytest.raises(ZeroDivisionError) as failure:
        page.run()
    assert failure.traceback[-1].lineno + 1 == 5


def test_failing_command_fails_the_page(write_page):
    pytest.importorskip("superlink.cli.main")
    with pytest.raises(AssertionError, match="no-such-command"):
        write_page("```bash\nsuperlink no-such-command\n```\n").run()


def test_command_with_shell_syntax_is_refused(write_page):
    with pytest.raises(AssertionError, match="stands alone"):
        write_page("```bash\nsuperlink plugins | head\n```\n").run()


def test_other_commands_are_left_alone(write_page):
    write_page("```bash\nmake demo\n```\n").run()
