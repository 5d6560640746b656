"""What a recipe gives to its parts is checked without building one of them."""

from __future__ import annotations

import copy

import pytest

from superlink.registry import Registry
from superlink.testing import installed_plugin
from superlink.training.recipe_parts import part_problems

from .conftest import RECIPE

NEEDY = """
from dataclasses import replace
from superlink.interfaces import Requirement
from superlink.registry import hookimpl
from superlink.testing import TOY_BOX

@hookimpl
def superlink_decoders():
    needs = (Requirement("no-such-mmdet>=3", "pip install no-such-mmdet"),)
    yield replace(TOY_BOX, name="needy.boxes", requires=needs)
"""


@pytest.fixture
def problems(registry):
    """The problems of the recipe after `change(recipe)`, as pairs of key and text."""

    def problems(change, registry=registry):
        recipe = copy.deepcopy(RECIPE)
        change(recipe)
        found = part_problems(recipe, registry)
        return [(".".join(map(str, one.loc)), one.kind, one.text) for one in found]

    return problems


def test_recipe_that_fits_has_none(problems):
    assert problems(lambda recipe: None) == []


@pytest.mark.parametrize(
    ("path", "value", "key", "message"),
    [
        ("model.backbone.name", "tiny_lava", "model.backbone.name", "'tiny_llava'"),
        ("model.backbone.config.hiden", 1, "model.backbone.config.hiden", "'hidden_size'"),
        ("model.decoders.0.name", "toy.detectoin", "model.decoders.0.name", "'toy.detection'"),
        ("model.decoders.0.config", {"cond": 3}, "model.decoders.0.config.cond", "cond_size"),
        ("model.decoders.0.tokens", ["[DTE]"], "model.decoders.0.tokens", "'[DET]'"),
        ("data.scenes.task", "detektion", "data.scenes.task", "'detection'"),
        ("data.scenes.format", "scene", "data.scenes.format", "'scenes'"),
        ("data.scenes.format", "no_such:read", "data.scenes.format", "no_such"),
        ("data.scenes.options.sizes", 64, "data.scenes.options.sizes", "'size'"),
        ("data.scenes.conversation", {"mask": True}, "data.scenes.conversation.mask", "'masks'"),
        ("data.scenes.conversation", {"rng": 1}, "data.scenes.conversation.rng", "Choose from"),
    ],
)
def test_what_a_part_cannot_take(problems, path, value, key, message):
    def change(recipe):
        *parents, last = path.split(".")
        for part in parents:
            recipe = recipe[int(part)] if part.isdecimal() else recipe[part]
        recipe[last] = value

    [(found, _, text)] = problems(change)
    assert found == key and message in text


def test_argument_that_a_reader_must_have(problems):
    found = problems(lambda recipe: recipe["data"]["lists"].update(task="detection", format="coco"))
    assert [(key, kind) for key, kind, _ in found] == [
        ("data.lists.options.annotations", "missing"),
        ("data.lists.options.images", "missing"),
    ]


def test_decoder_of_a_plugin_that_is_not_there(problems):
    [(_, _, text)] = problems(lambda recipe: recipe["model"]["decoders"][0].update(name="acme.box"))
    assert text.endswith("pip install superlink-acme")


def test_library_that_a_decoder_needs(problems, monkeypatch):
    monkeypatch.setenv("SUPERLINK_PLUGINS", "fake-needy")
    with installed_plugin("fake-needy", {"fake_needy": NEEDY}):
        installed = Registry.discover()

        def change(recipe):
            recipe["model"]["decoders"][0]["name"] = "needy.boxes"

        [(key, _, text)] = problems(change, installed)
    assert key == "model.decoders.0.name"
    assert text.startswith("'needy.boxes' needs no-such-mmdet>=3 (found no ")
    assert text.endswith("Run: pip install no-such-mmdet")


def test_what_is_no_recipe_is_passed_over(registry):
    for recipe in (
        {},
        {"model": 3, "data": [1]},
        {"model": {"decoders": {"a": 1}}, "data": {1: 2}},
    ):
        assert [*part_problems(recipe, registry)] == []
