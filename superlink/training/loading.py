"""From a recipe's file to a recipe; all that is wrong in it is told at once, each with its line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from ..errors import ConfigError
from ..registry import Registry
from ..registry.configs import ConfigProblem, explain
from .misfits import misfits
from .recipe import Recipe
from .recipe_file import Loc, RecipeFile
from .recipe_parts import part_problems

__all__ = ["load_recipe", "recipe_problems"]


def load_recipe(
    path: str | Path, overrides: Sequence[str] = (), registry: Registry | None = None
) -> Recipe:
    """Read and check a recipe.

    Args:
        path: The YAML file.
        overrides: `a.b=c`; indices count into lists, as in `stages.0.steps=10`. Values are YAML:
            keys with dots are set as `stages.0.learning_rates={backbone.model: 0}`.
        registry: Where backbones, decoders, tasks and readers are looked up, and what they are
            given is checked; None leaves that for later.

    Raises:
        ConfigError: The file is missing, is no YAML, or holds keys or values that do not fit: one
            line for each, with the file, its line, the key and the nearest valid name.
    """
    file = RecipeFile(path, overrides)
    if problems := recipe_problems(file, registry):
        lines = "\n".join(f"- {problem}" for problem in problems)
        raise ConfigError(f"The recipe {file.path} cannot be used.\n{lines}")
    return Recipe.model_validate(file.data)


def recipe_problems(
    file: RecipeFile, registry: Registry | None = None, more: Iterable[ConfigProblem] = ()
) -> list[str]:
    """What is wrong with a recipe, and `more` that was found in it, in the order of its lines;
    nothing where it can be used."""
    problems, found = [*_problems(file, registry), *more], dict[Loc, str]()
    for problem in problems:
        if problem.kind == "missing" and _is_spelt_wrong(problem.loc, problems):
            continue
        loc = problem.loc if problem.kind == "missing" else file.known(problem.loc)
        name = ".".join(map(str, loc)) or "the whole recipe"
        text = f"unknown key. {problem.text}" if problem.kind == "unknown" else problem.text
        found.setdefault(loc, f"{file.place(loc)}, {name}: {text}")
    # Of a value that fits none of several kinds, what comes nearest to fitting is told.
    inner = {loc[:end] for loc in found for end in range(len(loc))}
    lines = [(file.line(loc), text) for loc, text in found.items() if loc not in inner]
    lines += [(line, f"{file.path}, line {line}: {text}") for line, text in file.twins]
    return [text for _, text in sorted(lines)]


def _is_spelt_wrong(loc: Loc, problems: Sequence[ConfigProblem]) -> bool:
    """Whether a key that is missing is there under a name that looks like it."""
    beside = (one for one in problems if one.kind == "unknown" and one.loc[:-1] == loc[:-1])
    return any(f"mean {loc[-1]!r}" in one.text for one in beside)


def _problems(file: RecipeFile, registry: Registry | None) -> Iterator[ConfigProblem]:
    try:
        Recipe.model_validate(file.data)
    except ValidationError as error:
        yield from explain(Recipe, error)
    # Those of a recipe with other faults, too.
    yield from (ConfigProblem(loc, text) for loc, text, _ in misfits(file.data))
    if registry is not None:
        yield from part_problems(file.data, registry)
