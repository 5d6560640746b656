"""The reference of recipes has every key with its default, and names recipes that are there."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from pydantic import BaseModel

from superlink.training import Recipe

ROOT = Path(__file__).parents[2]
HOOK = "docs/hooks/recipe_reference.py"


@pytest.fixture(scope="module")
def hook():
    spec = importlib.util.spec_from_file_location("recipe_reference", ROOT / HOOK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page(hook):
    """The page, as the hook of mkdocs.yml writes it."""
    file = SimpleNamespace(file=SimpleNamespace(src_uri=hook.PAGE))
    return hook.on_page_markdown((ROOT / "docs" / hook.PAGE).read_text(), page=file)


def test_site_has_the_hook_and_the_page(hook):
    settings = (ROOT / "mkdocs.yml").read_text()
    assert f"  - {HOOK}" in settings and hook.PAGE in settings


def test_every_part_of_a_recipe_has_a_table(hook):
    definitions = Recipe.model_json_schema()["$defs"]
    assert {cls.__name__ for cls in hook.SECTIONS.values()} == {*definitions, "Recipe"}


def test_every_key_is_explained(hook, page):
    for title, cls in hook.SECTIONS.items():
        section = page.partition(f"## {title}\n")[2].partition("\n## ")[0]
        rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", section, re.MULTILINE)
        names = cls.model_fields if issubclass(cls, BaseModel) else cls.__dataclass_fields__
        assert [name for name, _, _ in rows] == [*names]
        assert all(len(said.split()) > 1 for _, _, said in rows)


def test_defaults_are_those_of_the_models(page):
    assert "| `schedule` | `stable` |" in page
    assert "| `adam_betas` | `[0.9, 0.999]` |" in page
    assert "| `steps` | needed |" in page
    assert "| `start` | `none` |" in page


def test_recipes_of_the_page_are_there(page):
    paths = re.findall(r"`([\w/]+\.yaml)`", page)
    assert len(paths) == 5
    assert all(isinstance(yaml.safe_load((ROOT / path).read_text()), dict) for path in paths)
