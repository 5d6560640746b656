"""Evaluators by the names of their tasks."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError
from ..registry import Registry
from ..registry.suggestions import suggest
from .evaluator import Evaluator

__all__ = ["make_evaluator"]


def make_evaluator(task: str, given: Mapping[str, Any], registry: Registry) -> Evaluator:
    """The evaluator of a task.

    Args:
        task: Name of the task.
        given: Arguments of the evaluator.
        registry: Where the task is looked up.

    Raises:
        ConfigError: The task has no evaluator, or its evaluator does not take an argument.
        PluginError: There is no such task.
    """
    spec = registry.task(task)
    if spec.evaluator is None:
        raise ConfigError(
            f"The task {task!r} has no evaluator, so that nothing can be measured. Choose one that "
            "has; `superlink plugins` lists tasks."
        )
    make = registry.load("task", task, spec.evaluator)
    known = list(inspect.signature(make).parameters)
    if unknown := [key for key in given if key not in known]:
        raise ConfigError(
            f"The evaluator of {task!r} has no option {unknown[0]!r}. {suggest(unknown[0], known)}"
        )
    made: Evaluator = make(**given)
    return made
