"""`superlink new-decoder`: what is refused, what is written, and that it works as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from superlink.cli.main import app
from superlink.errors import ConfigError, MissingDependencyError
from superlink.registry import Registry
from superlink.scaffold import NewDecoder, write_package
from superlink.testing import installed_plugin

EXAMPLE = Path(__file__).parents[2] / "examples" / "superlink-depth"
FILES = {
    ".github/workflows/ci.yml",
    ".gitignore",
    "README.md",
    "pyproject.toml",
    "recipe.yaml",
    "superlink_depth/__init__.py",
    "superlink_depth/config.py",
    "superlink_depth/data.py",
    "superlink_depth/decoder.py",
    "superlink_depth/evaluation.py",
    "superlink_depth/plugin.py",
    "superlink_depth/samples.py",
    "superlink_depth/task.py",
    "tests/test_conformance.py",
    "tests/test_training.py",
}
LONGEST = "a-decoder-with-long-name"


def command(*arguments):
    return CliRunner().invoke(app, ["new-decoder", *map(str, arguments)])


def words(result):
    return " ".join(result.output.replace("│", " ").split())


def texts(folder):
    """What a package holds; not what running it leaves behind."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    left = {"__pycache__", ".pytest_cache", ".ruff_cache", "runs"}
    kept = [path for path in paths if not left.intersection(path.relative_to(folder).parts)]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in kept}


@pytest.fixture(scope="module")
def depth(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "superlink-depth"
    files = write_package(NewDecoder("depth"), folder)
    assert {path.as_posix() for path in files} == FILES
    return folder


@pytest.mark.parametrize(
    "name",
    ["", "Depth", "2d", "-depth", "depth-", "a--b", "a.b", "a b", "dépth", "../up", "a" * 25],
)
def test_bad_name_is_refused(name):
    with pytest.raises(ConfigError, match=r"lower-case letters.*Received: name="):
        NewDecoder(name)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"token": "DEPTH"}, "in brackets"),
        ({"token": "[depth]"}, "in brackets"),
        ({"num_queries": 0}, "num_queries must be at least 1"),
        ({"license": "Whatever"}, "SPDX"),
        ({"license": 'MIT"'}, "SPDX"),
    ],
)
def test_bad_answer_is_refused(answers, message):
    with pytest.raises(ConfigError, match=message):
        NewDecoder("depth", **answers)


@pytest.mark.parametrize(
    ("name", "key", "distribution", "token"),
    [
        ("depth", "depth", "superlink-depth", "[DEPTH]"),
        ("line-art", "line_art", "superlink-line-art", "[LINE_ART]"),
        ("line_art2", "line_art2", "superlink-line-art2", "[LINE_ART2]"),
    ],
)
def test_names_follow_from_the_name(name, key, distribution, token):
    decoder = NewDecoder(name)
    assert (decoder.key, decoder.distribution, decoder.token) == (key, distribution, token)


@pytest.mark.parametrize("name", ["detection", "class-list", "mmdet"])
def test_name_of_somebody_else_is_refused(name, tmp_path):
    if name == "mmdet":
        pytest.importorskip("superlink_mmdet")
    result = command(name, "--output", tmp_path / "x")
    assert result.exit_code == 2
    assert "Choose another one." in words(result)
    assert not (tmp_path / "x").exists()


def test_package_may_be_made_again_where_it_is_installed(depth, tmp_path):
    with installed(depth):
        assert command("depth", "--output", tmp_path / "again").exit_code == 0
    assert texts(tmp_path / "again") == texts(depth)


def test_folder_with_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    for place in (tmp_path, tmp_path / "mine.txt"):
        result = command("depth", "--output", place)
        assert result.exit_code == 2
        assert "a new or an empty folder" in words(result)
    assert texts(tmp_path) == {"mine.txt": "mine"}


def test_empty_folder_and_missing_parents_are_fine(tmp_path):
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", tmp_path / "a" / "b"):
        write_package(NewDecoder("depth"), place)
        assert (place / "pyproject.toml").is_file()
        assert place.stat().st_mode & 0o777 == 0o777 & ~umask()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "empty"]


def umask():
    value = os.umask(0)
    os.umask(value)
    return value


def test_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_package(NewDecoder("depth"), tmp_path / "file" / "x")


def test_missing_copier_is_named_with_its_cure(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "copier", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'superlink\[plugin-dev\]'"):
        write_package(NewDecoder("depth"), tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failure_leaves_nothing_behind(error, monkeypatch, tmp_path):
    def run_copy(source, target, **_):
        Path(target).mkdir()
        (Path(target) / "half.py").write_text("")
        raise error

    monkeypatch.setattr("copier.run_copy", run_copy)
    with pytest.raises(error):
        write_package(NewDecoder("depth"), tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_next_steps_are_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = command("line_art", "--token", "[ART]")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "cd superlink-line-art",
        "pip install -e '.[dev]'",
        "superlink plugins",
        "superlink check line_art",
        "pytest",
        "superlink train recipe.yaml",
    ]
    assert 'routing_tokens=("[ART]",)' in (
        tmp_path / "superlink-line-art" / "superlink_line_art" / "plugin.py"
    ).read_text(encoding="utf-8")


def test_json_tells_what_was_made(tmp_path):
    result = command("depth", "--num-queries", 5, "--output", tmp_path / "x y", "--json")
    made = json.loads(result.stdout)
    assert set(made["files"]) == FILES
    assert (made["decoder"], made["token"]) == ("depth", "[DEPTH]")
    assert made["next"][0] == f"cd '{tmp_path / 'x y'}'"
    assert "num_queries=5" in (tmp_path / "x y" / "superlink_depth" / "plugin.py").read_text()


def test_example_is_what_the_template_gives(depth):
    assert texts(EXAMPLE) == texts(depth)


def test_decoder_plugin_is_short(depth):
    made = {name: text.splitlines() for name, text in texts(depth).items()}
    taught = [f"superlink_depth/{name}.py" for name in ("plugin", "config", "decoder")]
    assert sum(len(made[name]) for name in taught) <= 80
    assert len(made["tests/test_conformance.py"]) <= 15
    assert all(len(made[name]) <= 110 for name in FILES if name.endswith(".py"))


@pytest.mark.parametrize("name", ["depth", "x", "a1-b2", LONGEST])
def test_rendered_files_are_clean(name, tmp_path):
    folder = tmp_path / "made"
    write_package(NewDecoder(name), folder)
    for arguments in (("check", "--quiet"), ("format", "--check", "--quiet")):
        ruff = [sys.executable, "-m", "ruff", *arguments, "--no-cache", "."]
        done = subprocess.run(ruff, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    for path, text in texts(folder).items():
        assert "{%" not in text and "superlink_{" not in text, path
        assert text.endswith("\n") and not text.endswith("\n\n"), path
        if path.endswith(".py"):
            compile(text, path, "exec")
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    assert list(project["entry-points"]["superlink"]) == [name.replace("-", "_")]
    workflow = yaml.safe_load((folder / ".github" / "workflows" / "ci.yml").read_text())
    setup = workflow["jobs"]["test"]["steps"][1]["with"]
    assert setup == {"python-version": "${{ matrix.python }}", "cache": "pip"}


def installed(folder):
    """The package of a folder, installed for as long as the context lasts."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    sources = {
        name.removesuffix(".py").replace("/", "."): text
        for name, text in texts(folder).items()
        if name.startswith("superlink_depth/") and name.endswith(".py")
    }
    points = project["entry-points"]["superlink"]
    sources["superlink_depth.__init__"] = sources.pop("superlink_depth.__init__")
    return installed_plugin(project["name"], sources, entry_points=points)


def test_package_is_discovered_and_its_paths_lead_somewhere(depth):
    with installed(depth):
        registry = Registry.discover()
        entries = {(e.kind, e.name): e for e in registry.entries()}
        decoder, task = entries["decoder", "depth"], entries["task", "depth"]
        assert (decoder.status, task.status) == ("ok", "ok")
        assert (decoder.tokens, decoder.num_queries) == (("[DEPTH]",), 2)
        assert (decoder.distribution, decoder.license) == ("superlink-depth", "Apache-2.0")
        heavy = {"superlink_depth.decoder", "superlink_depth.config", "superlink_depth.task"}
        assert not heavy & set(sys.modules)

        assert registry.build("decoder", "depth", {"channels": 8}).cond_size == 8
        spec = registry.task("depth")
        for path in (spec.conversation, spec.evaluator, *spec.readers.values()):
            assert callable(registry.load("task", "depth", path))


@pytest.mark.slow
def test_package_installs_passes_its_tests_and_trains(tmp_path):
    folder, python = tmp_path / "superlink-line-art", environment(tmp_path / "env")
    command("line-art", "--output", folder)

    def run(*arguments):
        variables = {name: v for name, v in os.environ.items() if not name.startswith("SUPERLINK")}
        done = subprocess.run(
            [python, *map(str, arguments)],
            cwd=folder,
            capture_output=True,
            text=True,
            env={**variables, "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def superlink(*arguments):
        return run("-c", "from superlink.cli.main import app; app()", *arguments)

    pip = ("-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation")
    run(*pip, "--disable-pip-version-check", "--editable", ".")
    entries = {(e["kind"], e["name"]): e for e in json.loads(superlink("plugins", "--json"))}
    for kind in ("decoder", "task"):
        entry = entries[kind, "line_art"]
        found = (entry["distribution"], entry["version"], entry["status"])
        assert found == ("superlink-line-art", "0.1.0", "ok")

    assert " passed" in run("-m", "pytest", "-q", "-p", "no:cacheprovider")

    steps = ("--set", "stages.0.steps=40")
    trained = superlink("train", "recipe.yaml", "--output", tmp_path / "run", *steps, "--json")
    losses = json.loads(trained)["losses"]
    assert losses[-1] < losses[0] / 2

    run("-m", "superlink_line_art.data", tmp_path / "toy.png")
    question = ("Show: red circle, blue circle", "--image", tmp_path / "toy.png", "--json")
    answer = ("--answer", "<p>red circle</p>[LINE_ART]", "--picture", tmp_path / "reply.png")
    reply = json.loads(superlink("predict", tmp_path / "run" / "model", *question, *answer))
    assert reply["calls"][0]["masks"][0]["phrase"] == "red circle"
    assert (tmp_path / "reply.png").is_file()


def environment(folder):
    """The Python of a fresh environment that sees what this one has."""
    options = ["--system-site-packages", "--without-pip"]
    subprocess.run([sys.executable, "-m", "venv", *options, str(folder)], check=True)
    (own,) = folder.glob("lib/python*/site-packages")
    # As a site folder, so that its own .pth files, of editable installs, count too.
    parent = sysconfig.get_path("purelib")
    (own / "parent.pth").write_text(f"import site; site.addsitedir({parent!r})\n")
    return str(folder / "bin" / "python")
