"""Experiments: YAML that names a recipe, how it is varied, and what is measured of each variant."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from ..errors import ConfigError
from ..evaluation.answering import Routing
from ..registry import Registry, validate_config
from ..registry.suggestions import suggest
from ..training import DataChoice, Recipe, load_recipe

__all__ = ["Claim", "Experiment", "Measurement", "load_experiment"]

Name = Annotated[str, StringConstraints(pattern=r"^\w[\w.\-]*( [\w.\-]+)*$")]
"""Words that can be a folder."""
_KEPT_CHANGES = ("seed", "name")


class Measurement(DataChoice):
    """Data that every variant is measured on, in the words of `superlink eval`."""

    measure: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the task's evaluator."""
    decoder: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """By decoder, what it is asked for in each reply."""
    routing: Literal["generated", "forced", "both"] = "both"
    """The LLM writes its routes itself, they are given, or both in turn."""
    limit: int | None = Field(default=None, ge=1)
    """Records to take at most."""
    seed: int = 0
    """Of the samples, which are the same for all variants and seeds."""
    shuffled: bool = False
    """Whether each sample is asked what another one asks."""
    batch_size: int = Field(default=16, ge=1)
    """Samples answered together."""
    max_new_tokens: int = Field(default=256, ge=1)
    """Tokens to write at most."""
    classes_per_reply: int | None = Field(default=None, ge=1)
    """Asks for long lists in questions of so many classes."""
    max_per_image: int = Field(default=100, ge=1)
    """With `classes_per_reply`, the most instances of an image."""
    metrics: tuple[str, ...] = ()
    """Metrics that the card shows, as `box_AP50`; none given shows all."""

    @property
    def routings(self) -> tuple[Routing, ...]:
        """The kinds of routing to measure with."""
        return ("generated", "forced") if self.routing == "both" else (self.routing,)


class Claim(BaseModel):
    """What somebody says of the variants."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    """The claim in words."""
    source: str = ""
    """Who says so: a paper and its table."""
    metric: str | None = None
    """On which metric it can be tested: `MEASUREMENT/METRIC/ROUTING`."""
    order: str | None = None
    """The order of the variants' means that it says: `8 > 4 > 1`, or with `<`."""

    @property
    def best_first(self) -> tuple[str, ...]:
        """The variants of `order`, the greatest mean first; none without an order."""
        if self.order is None:
            return ()
        names = [name.strip() for name in re.split("[<>]", self.order)]
        return tuple(names if ">" in self.order else reversed(names))

    @model_validator(mode="after")
    def _order_can_be_tested(self) -> Claim:
        if (self.metric is None) != (self.order is None):
            raise ValueError("a claim that is tested has a metric and an order, both or none")
        if self.order is not None and (
            (">" in self.order) == ("<" in self.order)
            or len(set(self.best_first)) < len(self.best_first)
        ):
            raise ValueError(
                f"an order is 8 > 4 > 1, or 1 < 4 < 8, each variant once, received {self.order!r}"
            )
        return self


class Experiment(BaseModel):
    """A recipe, its variants, what is measured of them, and what is claimed."""

    # Variants are called by numbers as well.
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    name: str = Field(pattern=r"^\w[\w.\-]*$")
    """What the experiment is called, and its folder."""
    about: str = ""
    """The question that it asks, for the card."""
    recipe: Path | dict[str, Any]
    """A recipe's file, relative to the experiment's; or the recipe itself."""
    variants: dict[Name, tuple[str, ...]] = Field(min_length=1)
    """By name, the changes to the recipe, as `superlink train --set` takes them."""
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    """Of each variant's runs: weights, data and order."""
    measurements: dict[Name, Measurement] = Field(min_length=1)
    """By name, what each run is measured on."""
    claims: tuple[Claim, ...] = ()
    """What is tested."""

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"each seed is given once, received {seeds}")
        return seeds

    @model_validator(mode="after")
    def _claims_fit(self) -> Experiment:
        for index, claim in enumerate(self.claims):
            for name in claim.best_first:
                if name not in self.variants:
                    raise ValueError(
                        f"claims.{index}.order: {claim.order!r} wants the variant {name!r}. "
                        f"{suggest(name, self.variants)}"
                    )
            measured = (claim.metric or "training/").split("/")[0]
            if measured not in (*self.measurements, "training"):
                raise ValueError(
                    f"claims.{index}.metric: {claim.metric!r} wants the measurement {measured!r}. "
                    f"{suggest(measured, self.measurements)}"
                )
        for variant, changes in self.variants.items():
            for change in changes:
                if (key := change.partition("=")[0].strip()) in _KEPT_CHANGES:
                    raise ValueError(
                        f"variants.{variant}: it sets {key!r}, which is the experiment's to set"
                    )
        return self

    def recipe_of(self, variant: str, seed: int, registry: Registry | None = None) -> Recipe:
        """The recipe of a run.

        Args:
            variant: Name of the variant.
            seed: Of the run.
            registry: Where all that the recipe names is looked up and checked; None leaves that
                for later.

        Raises:
            ConfigError: The recipe, or a change of the variant, cannot be used.
        """
        changes = (*self.variants[variant], f"seed={seed}")
        if isinstance(self.recipe, Path):
            return load_recipe(self.recipe, changes, registry)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"inline-{self.name}.yaml"
            path.write_text(yaml.safe_dump(self.recipe, sort_keys=False), encoding="utf-8")
            return load_recipe(path, changes, registry)


def load_experiment(
    path: str | Path, seeds: Sequence[int] | None = None, registry: Registry | None = None
) -> Experiment:
    """Read and check an experiment, and the recipe of each of its variants.

    Args:
        path: The YAML file.
        seeds: Seeds in the place of the file's.
        registry: Where all that recipes name is looked up and checked; None leaves that for later.

    Raises:
        ConfigError: The file is missing, is no YAML, or holds a key or value that does not fit; or
            a recipe does.
    """
    path = Path(path)
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        loader.name = str(path)  # as its errors call it
        data = loader.get_single_data()
    except OSError as error:
        raise ConfigError(
            f"Expected an experiment file. Received: {path} ({error.strerror})"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"Expected a mapping of keys in {path}. Received: {type(data).__name__}")
    if isinstance(recipe := data.get("recipe"), str):
        data["recipe"] = path.parent / recipe
    if seeds is not None:
        data["seeds"] = list(seeds)
    experiment = validate_config(Experiment, data, f"experiment {path}")
    for variant in experiment.variants:
        try:
            experiment.recipe_of(variant, experiment.seeds[0], registry)
        except ConfigError as error:
            raise ConfigError(f"The variant {variant!r} cannot be trained. {error}") from error
    return experiment
