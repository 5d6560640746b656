"""Mappings to pydantic models, with errors that name the key and the nearest valid one."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, TypeVar, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ..errors import ConfigError
from .suggestions import suggest

__all__ = ["ConfigProblem", "explain", "validate_config"]

ConfigT = TypeVar("ConfigT", bound=BaseModel)
_MOST = 200
"""Characters of a value that an error repeats."""


def validate_config(
    cls: type[ConfigT], data: Mapping[str, Any] | BaseModel | None, where: str
) -> ConfigT:
    """Make a config of class `cls`.

    Args:
        cls: A pydantic model.
        data: Its values, or a ready instance; None means all defaults.
        where: What the config is for, as the error shall say it: `decoder 'toy.box'`.

    Raises:
        ConfigError: One line for each value that cannot be used.
    """
    try:
        return cls.model_validate({} if data is None else data)
    except ValidationError as error:
        problems = "\n".join(f"- {_line(problem)}" for problem in explain(cls, error))
        raise ConfigError(f"The config of {where} cannot be used.\n{problems}") from error


@dataclass(frozen=True)
class ConfigProblem:
    """One value that cannot be used."""

    loc: tuple[str | int, ...]
    """Where it stands: keys and indices."""
    text: str
    """What is wrong and what would be right."""
    kind: Literal["value", "unknown", "missing"] = "value"
    """A value that does not fit, a key that there is not, or one that must be there."""


def explain(cls: type[BaseModel], error: ValidationError) -> list[ConfigProblem]:
    """What pydantic found in a config of class `cls`, with the nearest valid keys."""
    return [_explain(cls, problem) for problem in error.errors()]


def _explain(cls: type[BaseModel], problem: Mapping[str, Any]) -> ConfigProblem:
    loc = tuple(problem["loc"])
    if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        hint = suggest(str(loc[-1]), _valid_keys(cls, loc[:-1]))
        return ConfigProblem(loc, hint, "unknown")
    if problem["type"] == "missing":
        return ConfigProblem(loc, "a value is needed.", "missing")
    received = _shortened(repr(problem["input"]))
    if problem["type"] in ("model_type", "dataclass_type"):
        keys = sorted(_valid_keys(cls, loc, problem["ctx"]["class_name"]))
        text = f"expected a mapping with keys of {', '.join(keys)}. Received: {received}"
        return ConfigProblem(loc, text)
    if problem["type"] == "value_error":
        text = str(problem["ctx"]["error"])
        # A mapping that does not hold together is told in words: all of it would drown them.
        if "eceived" in text or isinstance(problem["input"], Mapping):
            return ConfigProblem(loc, text)
    return ConfigProblem(loc, f"{problem['msg'].rstrip('.')}. Received: {received}")


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST else f"{text[:_MOST].rsplit(' ', 1)[0]} …"


def _line(problem: ConfigProblem) -> str:
    key = ".".join(map(str, problem.loc))
    if not key:  # of the whole config, which the line above names
        return problem.text
    return (
        f"unknown key {key!r}. {problem.text}"
        if problem.kind == "unknown"
        else f"{key}: {problem.text}"
    )


def _valid_keys(
    cls: type[BaseModel], parents: Sequence[str | int], class_name: str | None = None
) -> set[str]:
    """The keys of the model that stands at the end of `parents`, of several the one of that
    name."""
    models: set[Any] = {cls}
    for part in parents:
        known = [_fields(model)[str(part)] for model in models if part in _fields(model)]
        # List indices and tags of unions are no fields: the same models go on.
        models = {m for f in known for m in _models_in(f.annotation)} or models
    models = {m for m in models if m.__name__ == class_name} or models
    return {field.alias or name for model in models for name, field in _fields(model).items()}


def _fields(model: Any) -> Mapping[str, FieldInfo]:
    """The fields of a pydantic model, or of a dataclass inside of one."""
    if issubclass(model, BaseModel):
        return cast(Mapping[str, FieldInfo], model.model_fields)
    hints = inspect.get_annotations(model, eval_str=True)
    return {field.name: FieldInfo(annotation=hints[field.name]) for field in fields(model)}


def _models_in(annotation: Any) -> set[Any]:
    """The models that an annotation mentions: `A` and `B` of `tuple[A | B, ...]`."""
    if isinstance(annotation, type) and (
        issubclass(annotation, BaseModel) or is_dataclass(annotation)
    ):
        return {annotation}
    return {model for argument in get_args(annotation) for model in _models_in(argument)}
