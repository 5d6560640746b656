"""What holds for the repository as a whole: sizes, docstrings, words, and what a wheel holds."""

from __future__ import annotations

import importlib
import inspect
import re
import runpy
import socket
import statistics
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_LINES, MAX_MEDIAN_LINES = 400, 130
MACHINE_PATHS = re.compile(
    r"(?<![\w.~/-])/(work|root|home/\w+|Users/\w+)/"  # folders of one machine
    r"|(?<![\w-])(--)?(extra-)?index-url\b|file:///"  # registries of one network
)
HEAVY = {
    "transformers.models",
    "mmdet",
    "mmpose",
    "diffusers",
    "typer",
    "superlink_mmdet",
    "superlink_mmpose",
}


def tracked_files():
    """Files that are committed, or would be by `git add --all`."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [path for line in listed.stdout.splitlines() if (path := ROOT / line).is_file()]


def line_counts(folder):
    paths = [path for path in folder.rglob("*.py") if "scaffold" not in path.parts]
    return {path: len(path.read_text().splitlines()) for path in paths}


@pytest.mark.parametrize("folder", ["superlink", "plugins"])
def test_files_are_short(folder):
    counts = line_counts(ROOT / folder)
    assert [path for path, lines in counts.items() if lines > MAX_LINES] == []
    assert statistics.median(counts.values() or [0]) <= MAX_MEDIAN_LINES


@pytest.mark.parametrize("module", ["superlink", "superlink.errors", "superlink.interfaces"])
def test_public_names_have_docstrings(module):
    public = importlib.import_module(module)
    values = {name: getattr(public, name) for name in public.__all__}
    documented = {name: value for name, value in values.items() if callable(value)}
    # A dataclass without a docstring gets its signature as one.
    bare = [n for n, value in documented.items() if (value.__doc__ or n).startswith(n)]
    assert bare == []
    assert all(inspect.getdoc(value) for value in documented.values())


def test_files_name_no_machine():
    found = []
    for path in tracked_files():
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:  # a picture or another binary
            continue
        found += [
            f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
            for number, line in enumerate(lines, start=1)
            if path != Path(__file__) and MACHINE_PATHS.search(line)
        ]
    assert found == []


@pytest.mark.parametrize("text", ["/work/main", "see /root/x", "--extra-index-url x", "file:///a"])
def test_machine_paths_are_recognised(text):
    assert MACHINE_PATHS.search(text)


@pytest.mark.parametrize("text", ["docs/work/x", "https://example.org/work/", "a/home/b/c"])
def test_other_paths_are_no_machine_paths(text):
    assert not MACHINE_PATHS.search(text)


def test_connection_to_another_host_is_refused():
    with pytest.raises(RuntimeError, match="Tests run offline"):
        socket.create_connection(("example.org", 80), timeout=1)


def test_connection_to_this_machine_is_allowed():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=1).close()


def test_import_of_superlink_is_light():
    code = "import sys, superlink; print(*sys.modules)"
    command = [sys.executable, "-W", "error", "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert HEAVY.intersection(loaded) == set()


def test_every_command_is_documented():
    cli = pytest.importorskip("superlink.cli.main")
    import typer

    hook = runpy.run_path(str(ROOT / "docs" / "hooks" / "cli_reference.py"))
    sections = re.findall(r"^## `superlink ([\w-]+)`", hook["command_reference"](), re.MULTILINE)
    assert set(sections) == set(typer.main.get_command(cli.app).commands)


@pytest.mark.slow
def test_wheel_holds_the_package_and_nothing_else(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(ROOT)], check=True)
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    packed = {name for name in names if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in packed} == {"superlink"}
    assert "superlink/py.typed" in packed
    sources = {path for path in tracked_files() if path.is_relative_to(ROOT / "superlink")}
    assert {str(path.relative_to(ROOT)) for path in sources} <= packed
