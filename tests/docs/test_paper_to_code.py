"""What `From paper to code` names is there: names import, tests exist, settings are in schemas.

The tables of the page are read by their headers: `here`, `test` and `setting` hold nothing but such
names in code spans.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from superlink.cli.main import COMMANDS
from superlink.link.routing import STANDARD_TOKENS
from superlink.registry import Registry, load_object
from superlink.training import Recipe, load_recipe

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "paper-to-code.md"
SYMPTOMS = ROOT / "docs" / "how-to" / "symptoms.md"
TEXT = PAGE.read_text(encoding="utf-8")
SPAN = re.compile(r"`([^`]+)`")
DOTTED = re.compile(r"superlink(_\w+)?(\.\w+)+")
RECIPE_KEY = re.compile(r"(model|stages|data)(\.\w+)+")
FILE = re.compile(r"(docs|examples|plugins|superlink|tests)/[\w./-]+")
TESTS_OF = ("tests", "plugins")


@cache
def cells(column, page=PAGE):
    """The cells below one header, of all tables of a page."""
    found, headers = [], []
    for line in page.read_text(encoding="utf-8").splitlines():
        row = [cell.strip() for cell in line.strip("|").split("|")] if line[:1] == "|" else []
        if not row:
            headers = []
        elif not headers:
            headers = row
        elif column in headers and set(row) != {"---"}:
            assert len(row) == len(headers), line
            found.append(row[headers.index(column)])
    return found


def spans(column):
    return sorted({span for cell in cells(column) for span in SPAN.findall(cell)})


def spans_of(path):
    """The code spans of a whole page, outside of its blocks."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    return set(SPAN.findall(text))


def fields_of(owner):
    """Fields of a pydantic model or a dataclass: without a default they are no attributes."""
    if isinstance(owner, type) and issubclass(owner, BaseModel):
        return {name: field.annotation for name, field in owner.model_fields.items()}
    if dataclasses.is_dataclass(owner):
        hints = inspect.get_annotations(owner, eval_str=True)
        return {field.name: hints[field.name] for field in dataclasses.fields(owner)}
    return {}


def resolve(name):
    """The object that a dotted name means; the longest module in it is imported."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:end]))
        except ModuleNotFoundError as error:
            if not name.startswith(str(error.name)):
                raise
            continue
        for part in parts[end:]:
            found = getattr(found, part, None) or fields_of(found)[part]
        return found
    raise ModuleNotFoundError(name)


def kinds_in(annotation):
    """The models and dataclasses that an annotation mentions."""
    if isinstance(annotation, type) and fields_of(annotation):
        return [annotation]
    return [kind for argument in get_args(annotation) for kind in kinds_in(argument)]


@cache
def specs_of(kind):
    """The specs of what is installed; looked for anew, whatever other tests made of the default."""
    registry = Registry.discover()
    return [getattr(registry, kind)(e.name) for e in registry.entries() if e.kind == kind]


def config_classes(kind):
    """The config classes of every decoder, or backbone, that is installed."""
    return [load_object(spec.config_class) for spec in specs_of(kind)]


def arguments_of(part):
    """What readers (`options`) or conversation factories (`conversation`) can be given."""
    tasks = specs_of("task")
    paths = [[t.conversation] if part == "conversation" else t.readers.values() for t in tasks]
    functions = [load_object(path) for some in paths for path in some]
    return {name for function in functions for name in inspect.signature(function).parameters}


def check(name):
    """Raise where there is no such name in Python, or no such key in a recipe."""
    if DOTTED.fullmatch(name):
        resolve(name)
    else:
        check_setting(name)


def check_setting(key):
    """Raise where a recipe, or what it names, has no such key."""
    assert RECIPE_KEY.fullmatch(key), key
    parts = key.split(".")
    if match := re.fullmatch(r"data\.NAME\.(options|conversation)\.(\w+)", key):
        assert match[2] in arguments_of(match[1]), key
        return
    owners: list[Any] = [Recipe]
    for position, part in enumerate(parts):
        if part.isdecimal() or part == "NAME":
            continue
        holders = [owner for owner in owners if part in fields_of(owner)]
        assert holders, f"{key}: no {part!r} in {owners}"
        owners = [kind for owner in holders for kind in kinds_in(fields_of(owner)[part])]
        if part == "config":
            owners = config_classes("decoder" if "decoders" in parts[:position] else "backbone")


def nodes_of(path):
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


@cache
def existing_tests():
    found = set()
    for path in (path for folder in TESTS_OF for path in (ROOT / folder).rglob("test_*.py")):
        found |= {node.name for node in nodes_of(path) if isinstance(node, ast.FunctionDef)}
    return {name for name in found if name.startswith("test_")}


def test_page_has_tables():
    assert min(len(cells(column)) for column in ("here", "test", "setting")) >= 30
    assert len(cells("why")) >= 30


def test_names_import():
    for name in spans("here"):
        assert DOTTED.fullmatch(name), name
        resolve(name)


def test_tests_exist():
    assert set(spans("test")) <= existing_tests()


def test_settings_exist():
    for key in spans("setting"):
        check(key)


@pytest.mark.parametrize("path", [PAGE, SYMPTOMS], ids=lambda path: path.stem)
def test_names_in_the_text_exist(path):
    for span in spans_of(path):
        if DOTTED.fullmatch(span) or RECIPE_KEY.fullmatch(span):
            check(span)
        elif FILE.fullmatch(span):
            assert (ROOT / span).exists(), span


def test_commands_of_the_symptoms_exist():
    text = SYMPTOMS.read_text(encoding="utf-8")
    named = re.findall(r"(?:^|`)superlink ([a-z][\w-]*)", text, re.MULTILINE)
    assert named
    assert set(named) <= set(COMMANDS)


def test_errors_of_the_symptoms_are_raised_somewhere():
    quoted = re.findall(r'"([^"]+)"', " ".join(cells("the error says", SYMPTOMS)))
    assert quoted
    nodes = (node for path in (ROOT / "superlink").rglob("*.py") for node in nodes_of(path))
    texts = [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    assert [text for text in quoted if not any(text in known for known in texts)] == []


def test_cells_hold_names_only():
    for column in ("here", "test", "setting"):
        assert {SPAN.sub("", cell).strip(" ,") for cell in cells(column)} == {""}


def test_recipe_of_the_page_is_valid(tmp_path):
    (block,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "recipe.yaml").write_text(block, encoding="utf-8")
    for choice in load_recipe(tmp_path / "recipe.yaml").model.decoders:
        (spec,) = (spec for spec in specs_of("decoder") if spec.name == choice.name)
        load_object(spec.config_class)(**choice.config)


def test_tokens_that_nobody_answers_are_said_to_be_missing():
    answered = {token for spec in specs_of("decoder") for token in spec.routing_tokens}
    missing = {span for span in spans("of the paper") if span in STANDARD_TOKENS}
    assert missing == set(STANDARD_TOKENS) - answered


@pytest.mark.parametrize("key", ["stages.0.learning_rat", "model.decoders.0.config.no", "data.x.y"])
def test_wrong_setting_is_found(key):
    with pytest.raises(AssertionError):
        check_setting(key)


@pytest.mark.parametrize("name", ["superlink.no", "superlink.link.No", "superlink.Reply.no"])
def test_wrong_name_is_found(name):
    with pytest.raises(KeyError):
        resolve(name)
