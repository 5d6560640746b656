"""What a recipe gives to backbones, decoders, tasks and readers, checked against what is installed.
Nothing is built and no file is opened."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from ..errors import PluginError
from ..interfaces import BackboneSpec, DecoderSpec
from ..registry import Registry, load_object
from ..registry.configs import ConfigProblem, explain
from ..registry.requirements import missing_requirements
from ..registry.suggestions import suggest
from .misfits import as_mapping, as_sequence
from .recipe_file import Loc

__all__ = ["part_problems"]

_GIVEN = 3
"""Arguments that a conversation factory gets beside those of a recipe: record, rng, training."""


def part_problems(recipe: Mapping[str, Any], registry: Registry) -> Iterator[ConfigProblem]:
    """What the parts of a recipe cannot take.

    Args:
        recipe: In plain types; what is no recipe's is passed over.
        registry: Where its names are looked up.
    """
    model = as_mapping(recipe.get("model"))
    backbone = {"name": "tiny_llava", **as_mapping(model.get("backbone"))}
    yield from _part("backbone", ("model", "backbone"), backbone, registry)
    for index, decoder in enumerate(as_sequence(model.get("decoders"))):
        yield from _part("decoder", ("model", "decoders", index), as_mapping(decoder), registry)
    for name, choice in as_mapping(recipe.get("data")).items():
        yield from _data(("data", name), as_mapping(choice), registry)


def _part(
    kind: Literal["backbone", "decoder"], loc: Loc, choice: Mapping[str, Any], registry: Registry
) -> Iterator[ConfigProblem]:
    """Of a backbone or a decoder: its name, what it needs, its tokens and its settings."""
    name = choice.get("name")
    if not isinstance(name, str):
        return
    try:
        spec = registry.backbone(name) if kind == "backbone" else registry.decoder(name)
        config_class = registry.load(kind, name, spec.config_class)
    except PluginError as error:
        yield ConfigProblem((*loc, "name"), f"{error}{_where_from(name, registry)}")
        return
    yield from _missing(spec, (*loc, "name"))
    if isinstance(spec, DecoderSpec):
        for token in as_sequence(choice.get("tokens")):
            if token not in spec.routing_tokens:
                text = f"{name!r} does not answer to it. {suggest(str(token), spec.routing_tokens)}"
                yield ConfigProblem((*loc, "tokens"), f"{token}: {text}")
    if isinstance(config_class, type) and issubclass(config_class, BaseModel):
        try:
            config_class.model_validate(choice.get("config") or {})
        except ValidationError as error:
            for problem in explain(config_class, error):
                yield replace(problem, loc=(*loc, "config", *problem.loc))


def _where_from(name: str, registry: Registry) -> str:
    """How a part may be had, whose plugin is not installed: `mmdet.x` is of superlink-mmdet."""
    family, dot, _ = name.partition(".")
    if not dot or any(entry.name.startswith(f"{family}.") for entry in registry.entries()):
        return ""
    return f" If it comes with a plugin, install that: pip install superlink-{family}"


def _missing(spec: BackboneSpec | DecoderSpec, loc: Loc) -> Iterator[ConfigProblem]:
    for requirement, found in missing_requirements(spec.requires):
        text = f"{spec.name!r} needs {requirement.distribution} (found {found}). Run:"
        yield ConfigProblem(loc, f"{text} {requirement.install}")


def _data(loc: Loc, choice: Mapping[str, Any], registry: Registry) -> Iterator[ConfigProblem]:
    """Of a data set: task, reader, and the arguments of reader and conversation."""
    task, form = choice.get("task"), choice.get("format")
    if not isinstance(task, str):
        return
    try:
        spec = registry.task(task)
        conversation = registry.load("task", task, spec.conversation)
    except PluginError as error:
        yield ConfigProblem((*loc, "task"), str(error))
        return
    given = choice.get("conversation") or {}
    yield from _arguments(conversation, _GIVEN, (*loc, "conversation"), given)
    if not isinstance(form, str):
        return
    path = form if ":" in form else spec.readers.get(form)
    if path is None:
        text = f"the task {task!r} has no reader {form!r}. {suggest(form, spec.readers)}"
        yield ConfigProblem((*loc, "format"), f"{text} Or give package.module:callable.")
        return
    try:
        reader = load_object(path, f"task {task!r}")
    except PluginError as error:
        yield ConfigProblem((*loc, "format"), str(error))
        return
    yield from _arguments(reader, 0, (*loc, "options"), choice.get("options") or {})


def _arguments(
    function: Callable[..., Any], given: int, loc: Loc, options: Mapping[str, Any]
) -> Iterator[ConfigProblem]:
    """Where a function takes no argument of a name, or wants one that is not there."""
    parameters = [*inspect.signature(function).parameters.values()][given:]
    names = [
        one.name for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    if not any(one.kind is one.VAR_KEYWORD for one in parameters):
        for key in as_mapping(options):
            if key not in names:
                yield ConfigProblem((*loc, key), suggest(str(key), names), "unknown")
    for one in parameters:
        if one.name in names and one.default is one.empty and one.name not in options:
            yield ConfigProblem((*loc, one.name), "a value is needed.", "missing")
