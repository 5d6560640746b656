"""Runs the blocks of a Markdown page: Python, `superlink` commands, and what both print."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import shlex
import unittest
from pathlib import Path

from sybil import Document, Example
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser, SkipParser

INLINE_OUTPUT = re.compile(r"^\s*# > ?(.*)$", re.MULTILINE)
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
SHELL_SYNTAX = re.compile(r"[|<>;&$`]")


class Page:
    """One page: its blocks share a namespace and run from top to bottom."""

    def __init__(self, path: Path) -> None:
        self.output: str | None = None  # of the block that stands right above
        self.end = 0
        self.run_source = PythonEvaluator()
        parsers = {"python": self.run_python, "bash": self.run_bash, "text": self.compare_text}
        self.document = Document.parse(
            str(path), SkipParser(), *(CodeBlockParser(*item) for item in parsers.items())
        )

    def run(self) -> None:
        """Run every block that no `skip` comment excepts."""
        for example in self.document.examples():
            with contextlib.suppress(unittest.SkipTest):
                example.evaluate()

    def run_python(self, example: Example) -> str | None:
        """Run a Python block; lines `# > ...` in it are what it prints."""
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            self.run_source(example)
        self.output, self.end = printed.getvalue(), example.end
        expected = INLINE_OUTPUT.findall(example.parsed)
        return difference("\n".join(expected), self.output) if expected else None

    def run_bash(self, example: Example) -> str | None:
        """Run the commands of a block that begin with `superlink`, in this process."""
        lines = example.parsed.replace("\\\n", " ").splitlines()
        commands = [line for line in lines if line.startswith("superlink ")]
        if any(SHELL_SYNTAX.search(QUOTED.sub("", command)) for command in commands):
            return "A superlink command in the docs stands alone, without pipes or redirections."
        results = [run_command(command) for command in commands]
        self.output, self.end = "".join(output for _, output in results), example.end
        broken = [
            f"{command}\n{output}"
            for command, (status, output) in zip(commands, results, strict=True)
            if status
        ]
        return "\n".join(broken) or None

    def compare_text(self, example: Example) -> str | None:
        """Compare a `text` block with the output of the block right above; others are figures."""
        between = self.document.text[self.end : example.start]
        if self.output is None or between.strip():
            return None
        return difference(example.parsed, self.output)


def run_command(command: str) -> tuple[int, str]:
    """Exit status and standard output of one `superlink` command."""
    from typer.testing import CliRunner

    from superlink.cli.main import app

    arguments = shlex.split(command, comments=True)[1:]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    return result.exit_code, result.stdout if result.exit_code == 0 else result.output


def difference(expected: str, received: str) -> str | None:
    """None where the output fits; `...` stands for anything, and line breaks may differ."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    if doctest.OutputChecker().check_output(expected + "\n", received, flags):
        return None
    return f"The page shows:\n{expected}\nThe block prints:\n{received}"
