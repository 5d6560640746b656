"""What will go wrong in a run of a recipe, and what the run will do, told before it starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import SuperLinkError
from ..linked import LinkedModel
from ..registry import Registry
from ..registry.configs import ConfigProblem
from ..registry.suggestions import suggest
from ..training.arguments import forward_size
from ..training.dataset import Source, open_data
from ..training.loading import recipe_problems
from ..training.misfits import as_mapping, as_sequence
from ..training.parameters import freeze
from ..training.recipe import DataChoice, Recipe, Stage
from ..training.recipe_file import Loc, RecipeFile
from ..training.recipe_parts import part_problems
from .empty import build_empty
from .maps import map_faults
from .memory import RecipeMemory, measure
from .samples import StageSamples, sample_stage

__all__ = ["RecipeCheck", "StageSteps", "check_recipe", "plan_recipe"]


@dataclass(frozen=True)
class StageSteps:
    """How a stage takes its samples."""

    name: str
    """Name of the stage."""
    steps: int
    """Optimizer steps."""
    batch_size: int
    """Samples of a step, over all devices."""
    devices: int
    """How many devices there are."""
    forward_size: int
    """Samples per device and forward."""

    @property
    def forwards(self) -> int:
        """Forwards of a device in a step."""
        return self.batch_size // (self.devices * self.forward_size)


@dataclass(frozen=True)
class RecipeCheck:
    """What was found."""

    problems: list[str]
    """Each with its file, line and key, and what to do; none where a run can start."""
    memory: RecipeMemory | None = None
    """What is trained, and what it holds; None where the model cannot be built."""
    steps: list[StageSteps] = field(default_factory=list)
    """How each stage takes its samples."""
    samples: list[StageSamples] = field(default_factory=list)
    """What these are, of the stages whose data was opened."""

    def to_json(self) -> dict[str, Any]:
        """The findings in plain JSON types."""
        return {
            "problems": self.problems,
            "memory": None if self.memory is None else self.memory.to_json(),
            "steps": [{**asdict(stage), "forwards": stage.forwards} for stage in self.steps],
            "samples": [asdict(stage) for stage in self.samples],
        }


def _stage_steps(stage: Stage, devices: int) -> StageSteps:
    """How a stage takes its samples on a number of devices.

    Raises:
        ConfigError: They cannot be dealt to so many.
    """
    size = forward_size(stage, devices)
    return StageSteps(stage.name, stage.steps, stage.batch_size, devices, size)


def check_recipe(
    path: str | Path,
    overrides: Sequence[str],
    registry: Registry,
    *,
    devices: int = 1,
    read_data: bool = True,
) -> RecipeCheck:
    """Look for all that would end a run: keys, names, files, modules that are not there.

    Args:
        path: The YAML file.
        overrides: `a.b=c`, as for `load_recipe`.
        registry: Where names are looked up.
        devices: On how many the run shall be.
        read_data: Whether data sets are opened and a few samples of each stage are made.

    Raises:
        ConfigError: There is no such file, or it is no YAML.
    """
    file = RecipeFile(path, overrides)
    if problems := recipe_problems(file, registry):
        if read_data:
            problems = recipe_problems(file, registry, _unread_data(file, registry))
        return RecipeCheck(problems)
    recipe, found = Recipe.model_validate(file.data), _Findings(file)
    steps = _check_steps(recipe, devices, found)
    built = _check_model(recipe, registry, found)
    samples = [*_check_data(recipe, registry, built, found)] if read_data else []
    memory = None if built is None or found.problems else measure(*built, recipe)
    return RecipeCheck(found.problems, memory, steps, samples)


def plan_recipe(recipe: Recipe, registry: Registry, devices: int) -> RecipeCheck:
    """What a run of a recipe will do, as far as no data and no weights are needed to tell.

    Raises:
        ConfigError: The samples of a stage cannot be dealt to the devices, a stage names a path
            that is not there, or trains nothing.
    """
    steps = [_stage_steps(stage, devices) for stage in recipe.stages]
    try:
        model, _ = build_empty(recipe, registry, may_load=False)
    except Exception:  # the run will tell, or it needs weights, which it alone shall load
        return RecipeCheck([], steps=steps)
    return RecipeCheck([], measure(model, False, recipe), steps)


class _Findings:
    """Problems of a recipe, with the places of its file."""

    def __init__(self, file: RecipeFile) -> None:
        self.file = file
        self.problems: list[str] = []

    def add(self, loc: Loc, text: str) -> None:
        name = ".".join(map(str, loc))
        self.problems.append(f"{self.file.place(loc)}, {name}: {text}")

    @contextmanager
    def at(self, loc: Loc) -> Iterator[None]:
        """Errors of superlink become a problem of this place."""
        try:
            yield
        except SuperLinkError as error:
            self.add(loc, str(error))


def _check_steps(recipe: Recipe, devices: int, found: _Findings) -> list[StageSteps]:
    steps = []
    for index, stage in enumerate(recipe.stages):
        key = "batch_size" if stage.batch_size % devices else "block_size"
        with found.at(("stages", index, key)):
            steps.append(_stage_steps(stage, devices))
    return steps


def _check_model(
    recipe: Recipe, registry: Registry, found: _Findings
) -> tuple[LinkedModel, bool] | None:
    """The model without weights, and whether its backbone was loaded all the same."""
    for index, decoder in enumerate(recipe.model.decoders):
        if decoder.weights is not None and not decoder.weights.is_file():
            loc = ("model", "decoders", index, "weights")
            found.add(loc, f"expected a file of safetensors. Received: {decoder.weights}")
    if recipe.start is not None and not (recipe.start / "config.json").is_file():
        text = f"expected a folder with a checkpoint. Received: {recipe.start}"
        found.add(("start",), f"{text}, which has no config.json")
    built = None
    with found.at(("model",)):
        built = build_empty(recipe, registry)
    if built is not None:
        _check_paths(recipe, built[0], found)
        for index, text in map_faults(built[0]):
            found.add(("model", "decoders", index, "config"), text)
    return built


def _check_paths(recipe: Recipe, model: LinkedModel, found: _Findings) -> None:
    """Whether start and stages name modules that are there, and each stage trains some."""
    parameters = dict(model.named_parameters())
    for index, part in enumerate(recipe.start_parts or ()):
        if not any(f"{name}.".startswith(f"{part}.") for name in model.state_dict()):
            tops = {name.split(".")[0] for name in parameters}
            found.add(
                ("start_parts", index), f"no weight lies below {part!r}. {suggest(part, tops)}"
            )
    fixed = frozenset(name for name, p in parameters.items() if not p.requires_grad)
    for index, stage in enumerate(recipe.stages):
        with found.at(("stages", index, "learning_rates" if stage.learning_rates else "name")):
            freeze(model, stage, fixed)
    for name, parameter in parameters.items():
        parameter.requires_grad_(name not in fixed)


def _unread_data(file: RecipeFile, registry: Registry) -> Iterator[ConfigProblem]:
    """What is wrong with the data sets that a recipe with other faults uses, where nothing else is
    wrong with them."""
    sets, used = as_mapping(file.data.get("data")), {*_used_data(file.data)}
    faulty = {problem.loc[1] for problem in part_problems({"data": sets}, registry)}
    for name, given in sets.items():
        if name in used - faulty:
            try:
                with suppress(ValidationError):
                    open_data(DataChoice.model_validate(given), registry)
            except SuperLinkError as error:
                yield ConfigProblem(("data", name), str(error))


def _used_data(recipe: Mapping[str, Any]) -> Iterator[str]:
    """The data sets that stages and the chat guard name, in a recipe of plain types."""
    stages = as_sequence(recipe.get("stages"))
    for user in map(as_mapping, [*stages, recipe.get("chat_guard")]):
        data = user.get("data")
        names = [data] if isinstance(data, str) else as_sequence(data) or as_mapping(data)
        yield from (name for name in names if isinstance(name, str))


def _check_data(
    recipe: Recipe,
    registry: Registry,
    built: tuple[LinkedModel, bool] | None,
    found: _Findings,
) -> Iterator[StageSamples]:
    sources: dict[str, Source] = {}
    guard = [] if recipe.chat_guard is None else [recipe.chat_guard.data]
    for name in dict.fromkeys([*(n for stage in recipe.stages for n in stage.names), *guard]):
        with found.at(("data", name)):
            sources[name] = open_data(recipe.data[name], registry)
    for index, stage in enumerate(recipe.stages):
        if built is not None and set(stage.names) <= sources.keys():
            with found.at(("stages", index, "data")):
                yield sample_stage(stage, sources, built[0], recipe.stage_seed(index))
