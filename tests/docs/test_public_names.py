"""Every public name and every command is documented.

A name is, where a line `::: path` of a page renders it (mkdocstrings shows what has a docstring),
or where a page of the reference has it between backticks. A command is, where the page of the
command line, which a hook of MkDocs writes, has its section.
"""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import griffe
import pytest
import yaml

from superlink.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MODULES = ("superlink", "superlink.interfaces", "superlink.errors")
DIRECTIVE = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)
IN_BACKTICKS = re.compile(r"`([A-Za-z_]\w*)`")
HOOK = "hooks/cli_reference.py"


def load_package(name, folder):
    """Read a package as mkdocstrings does, without importing it."""
    loader = griffe.GriffeLoader(search_paths=[folder])
    package = loader.load(name)
    loader.resolve_aliases()
    return package


def object_at(package, path):
    """What `path` means, wherever it is defined."""
    inner = path.removeprefix(package.path).removeprefix(".")
    found = package[inner] if inner else package
    return found.final_target if found.is_alias else found


def rendered(package, pages):
    """Paths of all objects that the directives of `pages` show."""
    shown = set()
    for path in (path for page in pages for path in DIRECTIVE.findall(page)):
        found = object_at(package, path)
        names = [f"{path}.{name}" for name in found.exports or ()] if found.is_module else [path]
        objects = [object_at(package, name) for name in names]
        shown |= {obj.path for obj in objects if obj.docstring}
    return shown


def undocumented(package, module, names, pages, reference):
    """The `names` of `module` that neither a directive shows nor the reference has in words."""
    shown = rendered(package, pages)
    told = {name for page in reference for name in IN_BACKTICKS.findall(page)}
    return [
        name
        for name in names
        if object_at(package, f"{module}.{name}").path not in shown and name not in told
    ]


@cache
def superlink_package():
    return load_package("superlink", ROOT)


def texts(folder):
    return [path.read_text() for path in sorted(folder.rglob("*.md"))]


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_documented(module):
    names = import_module(module).__all__
    missing = undocumented(
        superlink_package(), module, names, texts(DOCS), texts(DOCS / "reference")
    )
    assert not missing, (
        f"{module}.__all__ has names that no page of docs/ tells: {', '.join(missing)}. Give each "
        f"a docstring and, on a page of docs/reference, a line `::: {module}.NAME` (names of "
        "superlink.interfaces and superlink.errors need the docstring alone)."
    )


@pytest.fixture(scope="module")
def command_page():
    """The page of the command line, as the hook of mkdocs.yml writes it."""
    spec = importlib.util.spec_from_file_location("cli_reference", DOCS / HOOK)
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    page = SimpleNamespace(file=SimpleNamespace(src_uri=hook.PAGE))
    return hook.on_page_markdown((DOCS / hook.PAGE).read_text(), page=page)


def test_site_has_the_hook_and_the_page():
    assert f"docs/{HOOK}" in yaml.safe_load((ROOT / "mkdocs.yml").read_text())["hooks"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command_page, command):
    _, found, section = command_page.partition(f"## `superlink {command}`")
    assert found, (
        f"docs/reference/cli.md has no section on `superlink {command}`: {DOCS / HOOK} writes one "
        "for each command of COMMANDS in superlink/cli/main.py."
    )
    words = section.partition("**Usage**")[0].split()
    assert len(words) > 3, f"`superlink {command}` says nothing of itself: write its docstring."


@pytest.fixture
def package(tmp_path):
    """A package with a documented function, a constant without a docstring, and an alias."""
    folder = tmp_path / "thing"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from .inner import told, silent, LIMIT\n\n__all__ = ['told', 'silent', 'LIMIT']\n"
    )
    (folder / "inner.py").write_text(
        "LIMIT = 3\n\n\ndef told():\n    '''Says it.'''\n\n\ndef silent():\n    pass\n"
    )
    return load_package("thing", tmp_path)


@pytest.mark.parametrize(
    ("page", "reference", "missing"),
    [
        ("", "", ["told", "silent", "LIMIT"]),
        ("::: thing\n    options: {}\n", "", ["silent", "LIMIT"]),
        ("::: thing.inner.told\n", "", ["silent", "LIMIT"]),
        ("::: thing.silent\n", "", ["told", "silent", "LIMIT"]),
        ("::: thing\n", "`LIMIT` is 3, LIMITED or `silent(x)`", ["silent"]),
    ],
)
def test_name_without_docstring_or_directive_is_missing(package, page, reference, missing):
    names = ["told", "silent", "LIMIT"]
    assert undocumented(package, "thing", names, [page], [reference]) == missing
