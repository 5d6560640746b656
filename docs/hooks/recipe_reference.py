"""Writes the tables of all keys of a recipe from its models, when the site is built."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from superlink.build import BackboneChoice, DecoderChoice, ModelConfig
from superlink.interfaces import LoraChoice
from superlink.link import RegionConfig
from superlink.training import DataChoice, Recipe, Stage
from superlink.training.recipe import ChatGuard

PAGE = "reference/recipes.md"

SECTIONS: dict[str, type[Any]] = {
    "The recipe": Recipe,
    "`model`": ModelConfig,
    "`model.backbone`": BackboneChoice,
    "`model.backbone.lora`": LoraChoice,
    "`model.decoders.N`": DecoderChoice,
    "`model.regions`": RegionConfig,
    "`data.NAME`": DataChoice,
    "`stages.N`": Stage,
    "`chat_guard`": ChatGuard,
}


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Called by MkDocs for every page; all others stay as they are."""
    if page.file.src_uri != PAGE:
        return markdown
    return markdown + recipe_reference()


def recipe_reference() -> str:
    """A table for each part of a recipe."""
    parts = (f"## {title}\n\n{_table(cls)}\n" for title, cls in SECTIONS.items())
    return "\n" + "\n".join(parts)


def _table(cls: type[Any]) -> str:
    defaults, words = defaults_of(cls), docstrings_of(cls)
    rows = (f"| `{name}` | {defaults[name]} | {words[name]} |" for name in defaults)
    return "\n".join(["| key | default | what it is |", "|---|---|---|", *rows])


def defaults_of(cls: type[Any]) -> dict[str, str]:
    """Fields by name, each with its default as YAML would have it."""
    if dataclasses.is_dataclass(cls):
        return {field.name: _shown(field.default) for field in dataclasses.fields(cls)}
    assert issubclass(cls, BaseModel)  # noqa: S101
    fields = cls.model_fields.items()
    return {name: _shown(field.get_default(call_default_factory=True)) for name, field in fields}


def _shown(value: Any) -> str:
    if value is PydanticUndefined:
        return "needed"
    if isinstance(value, BaseModel):
        return "its defaults"
    words = {None: "none", True: "true", False: "false"}
    known = value is None or isinstance(value, bool)
    text = words[value] if known else str(list(value) if isinstance(value, tuple) else value)
    return f"`{text}`"


def docstrings_of(cls: type[Any]) -> dict[str, str]:
    """What the class says of each of its fields."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(tree, ast.ClassDef)  # noqa: S101
    pairs = zip(tree.body, tree.body[1:], strict=False)
    return {
        field.target.id: re.sub(r"\s+", " ", ast.literal_eval(said.value)).replace("|", r"\|")
        for field, said in pairs
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(said, ast.Expr)
    }
