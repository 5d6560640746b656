"""Data as the command line names it: FORMAT[:FILE], and options as KEY=VALUE."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..registry import Registry
from ..registry.suggestions import suggest
from ..training import DataChoice
from ..training.dataset import load_reader
from .key_values import parse_option

__all__ = ["choose_data", "tasks_reading"]

_FILES = (".json", ".jsonl", ".odgt", ".parquet", ".arrow", ".tar")
"""Suffixes of files of annotations."""


def choose_data(
    text: str,
    images: Path | None,
    options: Sequence[str],
    task: str | None,
    registry: Registry,
    *,
    conversation: Sequence[str] = (),
) -> DataChoice:
    """What FORMAT[:FILE] and its options mean.

    Args:
        text: A reader by its name, or as `package.module:callable`; and its file, which is the
            reader's `annotations`, or its first parameter where it has no such.
        images: The folder of the images.
        options: Further arguments of the reader, each as KEY=VALUE.
        task: Name of a task. None takes the first that has the reader.
        registry: Where tasks are looked up.
        conversation: Arguments of the task's conversation, each as KEY=VALUE.

    Raises:
        ConfigError: No task has such a reader, or an option is given twice or malformed.
        PluginError: There is no such task.
    """
    if Path(text).suffix.lower() in _FILES and ":" not in text:
        raise ConfigError(
            f"Data is FORMAT:FILE. Received: a file alone, {text!r}. Write coco:{text}, or the "
            "name of another reader in front of it."
        )
    form, file = _parts(text)
    choice = DataChoice(task=task or _first_task(form, registry), format=form)
    given: list[tuple[str, Any]] = [parse_option(option) for option in options]
    if images is not None:
        given.append(("images", str(images)))
    if file:
        names = list(inspect.signature(load_reader(choice, registry)).parameters)
        given.append((_file_parameter(names, form), file))
    asked = _without_twice([parse_option(text, "--conversation") for text in conversation])
    return choice.model_copy(update={"options": _without_twice(given), "conversation": asked})


def tasks_reading(form: str, registry: Registry) -> list[str]:
    """The tasks that have a reader of this name, in the order in which they are declared."""
    tasks = [e.name for e in registry.entries() if e.kind == "task" and e.status == "ok"]
    return [name for name in tasks if form in registry.task(name).readers]


def _parts(text: str) -> tuple[str, str]:
    """Format and file; a dotted path keeps its own colon."""
    form, _, rest = text.partition(":")
    if "." not in form:
        return form, rest
    name, _, file = rest.partition(":")
    return f"{form}:{name}", file


def _first_task(form: str, registry: Registry) -> str:
    if ":" in form:
        raise ConfigError(
            f"A reader by its dotted path needs --task, as no task declares it. Received: {form!r}"
        )
    if found := tasks_reading(form, registry):
        return found[0]
    tasks = [e.name for e in registry.entries() if e.kind == "task" and e.status == "ok"]
    known = {reader for name in tasks for reader in registry.task(name).readers}
    raise ConfigError(f"No task reads the format {form!r}. {suggest(form, known)}")


def _file_parameter(names: Sequence[str], form: str) -> str:
    """Which argument of a reader the file is."""
    if not names:
        raise ConfigError(f"The reader {form!r} takes no file. Leave out what follows {form}:")
    return "annotations" if "annotations" in names else names[0]


def _without_twice(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise ConfigError(f"Each option is given once. Received twice: {', '.join(twice)}")
    return found
