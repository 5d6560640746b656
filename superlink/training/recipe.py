"""Recipes: YAML that names a model, its data and the stages of its training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ..build import ModelConfig
from ..errors import ConfigError
from ..registry import validate_config
from ..registry.suggestions import suggest

__all__ = ["DataChoice", "Recipe", "Stage", "load_recipe"]


class DataChoice(BaseModel):
    """Records, and the task that makes conversations of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    """Name of a task; `superlink plugins` lists them."""
    format: str
    """Name of one of its readers, or `package.module:callable`."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the reader."""
    conversation: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the task's conversation factory."""


class Stage(BaseModel):
    """One stage of training; each starts from the last one's weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9_\-]+$")
    """Lower-case name, used for its folder."""
    data: str | dict[str, float]
    """Key of the recipe's `data`; or several, each with its weight: a batch mixes them."""
    steps: int = Field(ge=1)
    """Optimizer steps."""
    batch_size: int = Field(default=8, ge=1)
    """Samples per device and forward."""
    gradient_accumulation: int = Field(default=1, ge=1)
    """Forwards per step."""
    learning_rate: float = Field(default=1e-4, ge=0)
    """Of every parameter that no entry below names."""
    learning_rates: dict[str, float] = Field(default_factory=dict)
    """By module path; the longest path counts. 0 freezes."""
    weight_decay: float = Field(default=1e-4, ge=0)
    """Of matrices; vectors have none."""
    adam_betas: tuple[float, float] = (0.9, 0.999)
    """Memory of AdamW; a shorter second one suits short runs."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are clipped to this norm."""
    warmup_steps: int = Field(default=40, ge=0)
    """Steps in which the learning rate rises."""
    decay_share: float = Field(default=0.3, ge=0, le=1)
    """Share of the steps, at the end, in which the learning rate falls to a fiftieth."""
    lm_weight: float = Field(default=1.0, ge=0)
    """Factor of the language loss."""
    link_loss: float = Field(default=0.0, ge=0)
    """Factor of the loss by which the condition of a route must name the words of its phrase, or
    without one those of the question."""
    run_decoders: bool = True
    """False trains the language model and the links alone."""
    stop_gradient: bool = False
    """True keeps the decoders' gradient from the queries and the LLM."""
    ema: float | None = Field(default=None, gt=0, lt=1)
    """Decay of the moving average of the weights, which is what the stage hands on."""
    num_workers: int = Field(default=0, ge=0)
    """Processes that read and prepare batches ahead; the batches are the same for any number."""
    save_steps: int | None = Field(default=None, ge=1)
    """A checkpoint every so many steps; None writes none before the end of the stage."""

    @field_validator("data")
    @classmethod
    def _weights_are_positive(cls, data: str | dict[str, float]) -> str | dict[str, float]:
        if isinstance(data, dict) and (not data or min(data.values()) <= 0):
            raise ValueError(f"each data set of a stage needs a positive weight, received {data}")
        return data

    @property
    def weights(self) -> dict[str, float]:
        """The data sets of the stage, each with its weight."""
        return {self.data: 1.0} if isinstance(self.data, str) else self.data


class Recipe(BaseModel):
    """What `superlink train` does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^\w[\w.\-]*$")
    """What the run is called, and its folder."""
    seed: int = 0
    """Of weights, data and order."""
    model: ModelConfig
    """Backbone and decoders."""
    start: Path | None = None
    """A checkpoint folder whose weights the model starts from, by name. A region encoder or LoRA
    that it lacks starts fresh."""
    start_parts: tuple[str, ...] | None = None
    """Module paths, as `decoders`, that start from there; the rest starts fresh. None: all."""
    data: dict[str, DataChoice]
    """Data sets by name."""
    stages: tuple[Stage, ...] = Field(min_length=1)
    """What is trained, one after the other."""

    @model_validator(mode="after")
    def _stages_fit(self) -> Recipe:
        if self.start_parts is not None and self.start is None:
            raise ValueError("start_parts says what is taken from a checkpoint: give start as well")
        names = [stage.name for stage in self.stages]
        if len(set(names)) != len(names):
            raise ValueError(f"each stage needs a name of its own, received {names}")
        for stage in self.stages:
            if unknown := [name for name in stage.weights if name not in self.data]:
                raise ValueError(
                    f"stage {stage.name!r} wants the data {unknown[0]!r}. "
                    f"{suggest(unknown[0], self.data)}"
                )
        return self


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    Args:
        path: The YAML file.
        overrides: `a.b=c`; indices count into lists, as in `stages.0.steps=10`. Values are YAML:
            keys with dots are set as `stages.0.learning_rates={backbone.model: 0}`.

    Raises:
        ConfigError: The file is missing, is no YAML, or holds a key or value that does not fit.
    """
    path = Path(path)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"Expected a recipe file. Received: {path} ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"Expected a mapping of keys in {path}. Received: {type(data).__name__}")
    for override in overrides:
        _apply(data, override)
    return validate_config(Recipe, data, f"recipe {path}")


def _apply(data: Any, override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"Expected --set KEY=VALUE, as stages.0.steps=10. Received: {override!r}")
    *parents, last = key.split(".")
    node = data
    for part in parents:
        node = _child(node, part, override)
    value = _parse(text, override)
    if isinstance(node, list):
        node[_index(node, last, override)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise ConfigError(f"{key!r} of {override!r} leads into a value, not into a mapping.")


def _child(node: Any, part: str, override: str) -> Any:
    if isinstance(node, list):
        return node[_index(node, part, override)]
    if isinstance(node, dict):
        return node.setdefault(part, {})
    raise ConfigError(f"{part!r} of {override!r} leads into a value, not into a mapping.")


def _index(node: list[Any], part: str, override: str) -> int:
    if not part.isdecimal() or int(part) >= len(node):
        raise ConfigError(
            f"{part!r} of {override!r} must be an index into a list of {len(node)}, counted from 0."
        )
    return int(part)


def _parse(text: str, override: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"The value of {override!r} is not valid YAML: {error}") from error
