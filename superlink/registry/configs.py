"""Mappings to pydantic models, with errors that name the key and the nearest valid one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from ..errors import ConfigError
from .suggestions import suggest

__all__ = ["validate_config"]

ConfigT = TypeVar("ConfigT", bound=BaseModel)


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
        problems = "\n".join(f"- {_explain(cls, problem)}" for problem in error.errors())
        raise ConfigError(f"The config of {where} cannot be used.\n{problems}") from error


def _explain(cls: type[BaseModel], problem: Mapping[str, Any]) -> str:
    """One problem that pydantic found, as one line."""
    *parents, last = problem["loc"] or ("(the whole config)",)
    key = ".".join(str(part) for part in (*parents, last))
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key!r}. {suggest(str(last), _valid_keys(cls, parents))}"
    if problem["type"] == "missing":
        return f"{key}: a value is needed."
    return f"{key}: {problem['msg']}. Received: {problem['input']!r:.200}"


def _valid_keys(cls: type[BaseModel], parents: Sequence[str | int]) -> set[str]:
    """The keys of the model that stands at the end of `parents`."""
    models = {cls}
    for part in parents:
        fields = [model.model_fields[str(part)] for model in models if part in model.model_fields]
        # List indices and tags of unions are no fields: the same models go on.
        models = {m for f in fields for m in _models_in(f.annotation)} or models
    return {field.alias or name for model in models for name, field in model.model_fields.items()}


def _models_in(annotation: Any) -> set[type[BaseModel]]:
    """The pydantic models that an annotation mentions: `A` and `B` of `tuple[A | B, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {model for argument in get_args(annotation) for model in _models_in(argument)}
