"""A config that cannot be used says which key, and what would have been valid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from superlink.errors import ConfigError
from superlink.registry import validate_config


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Coco(Strict):
    kind: Literal["coco"] = "coco"
    annotations: str = ""


class Scenes(Strict):
    kind: Literal["scenes"] = "scenes"
    num_scenes: int = Field(default=1, ge=1)


class Pair(Strict):
    low: int
    high: int
    rest: str = ""

    @model_validator(mode="after")
    def _in_order(self):
        if self.low > self.high:
            raise ValueError("low is above high. Choose from: 1, 2.")
        return self


@dataclass(frozen=True)
class Span:
    least: int
    most: int


class Recipe(Strict):
    steps: int
    data: tuple[Annotated[Coco | Scenes, Field(discriminator="kind")], ...] = ()
    first: Coco | None = None


class Nested(Recipe):
    """With all ways in which a model stands in another."""

    named: dict[str, Coco] = {}
    two: Coco | Scenes | None = None
    plain: Span | None = None
    pair: Pair | None = None


def problem(data, cls=Recipe):
    with pytest.raises(ConfigError) as caught:
        validate_config(cls, data, "recipe 'toy.yaml'")
    assert "recipe 'toy.yaml'" in str(caught.value)
    return str(caught.value)


def test_validate_config_gives_an_instance():
    recipe = validate_config(Recipe, {"steps": 3, "data": [{"kind": "coco"}]}, "recipe")
    assert recipe.data == (Coco(),)
    assert validate_config(Recipe, recipe, "recipe") is recipe
    assert validate_config(Coco, None, "data") == Coco()


def test_validate_config_with_unknown_key():
    message = problem({"steps": 3, "step": 3})
    assert "unknown key 'step'. Did you mean 'steps'? Choose from: data, first, steps." in message


def test_validate_config_with_unknown_nested_key():
    message = problem({"steps": 3, "first": {"annotation": "x"}})
    assert "'first.annotation'. Did you mean 'annotations'? Choose from: annotations, k" in message


def test_validate_config_with_unknown_key_in_a_list_of_kinds():
    message = problem({"steps": 3, "data": [{"kind": "scenes", "num_scene": 2}]})
    assert "Did you mean 'num_scenes'?" in message


def test_validate_config_with_several_problems_names_each():
    message = problem({"data": [{"kind": "scenes", "num_scenes": 0}]})
    assert "- steps: a value is needed." in message
    assert "data.0.scenes.num_scenes: Input should be greater than" in message
    assert "Received: 0" in message


def test_validate_config_with_no_mapping():
    message = problem(["steps"])
    assert "- expected a mapping with keys of data, first, steps. Received: ['steps']" in message


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"first": "x"}, "first: expected a mapping with keys of annotations, kind. Received: 'x'"),
        ({"named": {"a": 3}}, "named.a: expected a mapping with keys of annotations, kind."),
        ({"two": 3}, "two.Scenes: expected a mapping with keys of kind, num_scenes."),
        ({"plain": 3}, "plain: expected a mapping with keys of least, most."),
    ],
)
def test_value_in_the_place_of_a_mapping_is_told_its_keys(data, told):
    assert told in problem({"steps": 3, **data}, Nested)


def test_config_that_does_not_hold_together_is_told_in_words():
    message = problem({"steps": 3, "pair": {"low": 4, "high": 3, "rest": "x" * 500}}, Nested)
    assert "- pair: low is above high. Choose from: 1, 2.\n" in f"{message}\n"


def test_long_values_are_cut_between_words():
    message = problem({"steps": ["a word"] * 100})
    assert message.endswith(" …") and len(message) < 400
