"""The command `superlink` itself: its help, its version, its errors."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module, metadata
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from superlink.cli import main
from superlink.errors import ConfigError

runner = CliRunner()


@pytest.fixture
def failing(monkeypatch):
    """Install a command `fail` that raises what `failing.error` holds."""
    app, holder = typer.Typer(add_completion=False), SimpleNamespace()

    @app.command()
    def fail():
        raise holder.error

    monkeypatch.setitem(main.COMMANDS, "fail", "Fail.")
    monkeypatch.setitem(sys.modules, "superlink.cli.fail", SimpleNamespace(app=app))
    return holder


def test_version_is_that_of_the_distribution():
    result = runner.invoke(main.app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"superlink {metadata.version('superlink')}\n")


def test_without_arguments_shows_the_help():
    result = runner.invoke(main.app, [])
    assert all(name in result.output for name in main.COMMANDS)


@pytest.mark.parametrize("name", main.COMMANDS)
def test_help_line_of_command_is_the_first_of_its_own_help(name):
    module = import_module(f"superlink.cli.{name.replace('-', '_')}")
    assert typer.main.get_command(module.app).help.splitlines()[0] == main.COMMANDS[name]
    assert runner.invoke(main.app, [name, "--help"]).exit_code == 0


def test_misspelt_command_suggests_the_nearest():
    result = runner.invoke(main.app, ["plugin"])
    assert result.exit_code == 2
    assert "plugins" in result.stderr


def test_superlink_error_becomes_a_panel_on_stderr(failing):
    failing.error = ConfigError("lr must be positive. Received: [red]-1")
    result = runner.invoke(main.app, ["fail"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "ConfigError" in result.stderr
    assert "Received: [red]-1" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [(["--traceback", "fail"], {}), (["fail"], {"SUPERLINK_TRACEBACK": "1"})],
)
def test_superlink_error_shows_its_traceback_when_asked(failing, arguments, environment):
    failing.error = ConfigError("lr must be positive")
    failing.error.__cause__ = KeyError("the cause")
    result = runner.invoke(main.app, arguments, env=environment)
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert "the cause" in result.stderr
    assert "ConfigError" in result.stderr


def test_other_errors_are_defects_and_go_on(failing):
    failing.error = ZeroDivisionError("a defect")
    result = runner.invoke(main.app, ["fail"])
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)


def test_help_and_plugins_load_nothing_heavy():
    script = """
import sys
from typer.testing import CliRunner
from superlink.cli.main import app
heavy = {"transformers", "mmdet", "mmcv", "diffusers"}
assert CliRunner().invoke(app, ["--help"]).exit_code == 0
assert "superlink.cli.plugins" not in sys.modules
assert CliRunner().invoke(app, ["plugins"]).exit_code == 0
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
