"""A config that cannot be used says which key, and what would have been valid."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

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


class Recipe(Strict):
    steps: int
    data: tuple[Annotated[Coco | Scenes, Field(discriminator="kind")], ...] = ()
    first: Coco | None = None


def problem(data):
    with pytest.raises(ConfigError) as caught:
        validate_config(Recipe, data, "recipe 'toy.yaml'")
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
    assert "Received: ['steps']" in problem(["steps"])
