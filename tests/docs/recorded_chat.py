"""The chat that docs/how-to/chat.md shows. `python tests/docs/recorded_chat.py` records it again:
the lines behind `>` are kept, and may be edited first; the answers are written anew."""

from __future__ import annotations

import contextlib
import re
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "chat.md"
RECORDED = re.compile(
    r"(?<=<!-- recorded: superlink )(?P<command>[^\n]+?) -->\n\n```text\n(?P<talk>.*?)```",
    re.DOTALL,
)
NUMBER = re.compile(r"(\d+\.\d+)")
TOLERANCE = 0.03
"""Of scores: another processor rounds otherwise."""


def replay(command: str, talk: str) -> str:
    """What a `superlink` command says to the lines of a talk, in the current folder."""
    from superlink.cli.main import app

    typed = [line.removeprefix("> ") for line in talk.splitlines() if line.startswith("> ")]
    result = CliRunner().invoke(
        app, shlex.split(command), input="\n".join(typed), catch_exceptions=False
    )
    assert result.exit_code == 0 and not result.stderr, result.output
    return result.stdout


def alike(one: str, other: str) -> bool:
    """Whether two talks are the same, up to the tolerance of scores."""
    words, numbers = NUMBER.split(one)[::2], NUMBER.split(one)[1::2]
    if words != NUMBER.split(other)[::2]:
        return False
    pairs = zip(numbers, NUMBER.split(other)[1::2], strict=True)
    return all(abs(float(a) - float(b)) <= TOLERANCE for a, b in pairs)


def recorded(text: str, say: Callable[[str, str], str] = replay) -> str:
    """A page with all its talks held again."""
    return RECORDED.sub(lambda m: m.group().replace(m["talk"], say(m["command"], m["talk"])), text)


if __name__ == "__main__":
    from superlink.demo import run_demo

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        run_demo("demo", num_scenes=2, progress=False)
        PAGE.write_text(recorded(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
