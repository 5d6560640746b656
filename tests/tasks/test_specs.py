"""What is declared exists, and templates hold their fields."""

from __future__ import annotations

import importlib
import inspect
import string
from importlib.resources import files

import pytest

from superlink.builtin import superlink_tasks
from superlink.tasks.phrasing import load_templates

TASKS = {spec.name: spec for spec in superlink_tasks()}
PATHS = [
    (name, path)
    for name, spec in TASKS.items()
    for path in (spec.conversation, *spec.readers.values(), spec.evaluator)
    if path is not None
]
FIELDS = {
    ("counting", "answer"): "routes",
    ("counting", "count"): "name",
    ("detection", "answer"): "routes",
    ("detection", "find"): "classes",
    ("detection", "open"): None,
    ("editing", "answer"): "route",
    ("editing", "edit"): "instruction",
    ("generation", "answer"): "route",
    ("generation", "draw"): "caption",
    ("grounded_caption", "answer"): "caption",
    ("grounded_caption", "describe"): None,
    ("grounding", "expression"): "expression",
    ("grounding", "found"): "route",
    ("grounding", "nothing"): None,
    ("grounding", "question"): "expression",
    ("in_context_segmentation", "answer"): "route",
    ("in_context_segmentation", "example"): "marks",
    ("in_context_segmentation", "query"): None,
    ("in_context_text", "caption"): None,
    ("in_context_text", "contents"): None,
    ("in_context_text", "marked"): "marks",
    ("interactive_segmentation", "answer"): "routes",
    ("interactive_segmentation", "segment"): "regions",
    ("pose", "answer"): "routes",
    ("pose", "point"): "points",
    ("pose", "points"): "points",
    ("pose", "whole"): "classes",
    ("region_caption", "describe"): "region",
    ("region_qa", "answer"): None,
    ("region_qa", "rationale"): None,
    ("region_recognition", "name"): "region",
    ("salient_object", "answer"): "routes",
    ("salient_object", "find"): "name",
    ("semantic_segmentation", "answer"): "routes",
    ("semantic_segmentation", "find"): "classes",
}


def _load(path):
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize(("task", "path"), PATHS)
def test_every_path_of_every_task_can_be_imported(task, path):
    assert callable(_load(path)), task


@pytest.mark.parametrize("name", TASKS)
def test_conversations_take_a_record_a_generator_and_a_mode(name):
    parameters = list(inspect.signature(_load(TASKS[name].conversation)).parameters.values())
    assert [p.name for p in parameters[:3]] == ["record", "rng", "training"]
    assert all(p.default is not p.empty for p in parameters[3:])


@pytest.mark.parametrize(("task", "path"), [pair for pair in PATHS if ".readers." in pair[1]])
def test_readers_of_files_have_a_policy_for_broken_items(task, path):
    parameters = inspect.signature(_load(path)).parameters
    assert parameters["broken"].default == "error", task


def test_tasks_that_find_something_are_measured():
    assert {name for name, spec in TASKS.items() if spec.evaluator is None} == {
        "class_list",
        "keypoint_list",
        "dialogue",
    }


def test_templates_have_their_field_once_and_differ():
    folder = files("superlink.tasks") / "templates"
    found = set()
    for task in (entry.name.removesuffix(".json") for entry in folder.iterdir()):
        for purpose, groups in load_templates(task).items():
            found.add((task, purpose))
            texts = [text for group in ("plain", "varied") for text in groups[group]]
            assert len(groups["varied"]) >= 4 and len(set(groups["varied"])) == len(
                groups["varied"]
            )
            for text in texts:
                fields = [field for _, field, _, _ in string.Formatter().parse(text) if field]
                expected = FIELDS[task, purpose]
                assert fields == ([expected] if expected else []), text
    assert found == set(FIELDS)
