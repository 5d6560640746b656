"""The recipes that pages show, whole or in part, have no setting that decoders and readers lack."""

from __future__ import annotations

import inspect
import re

import pytest
import yaml

from superlink.registry import default_registry, validate_config
from superlink.training import load_recipe
from superlink.training.dataset import load_reader
from superlink.training.recipe import DataChoice

from .test_blocks import PAGES, ROOT

BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = [
    (path, text)
    for path in PAGES
    for text in BLOCK.findall(path.read_text(encoding="utf-8"))
    if isinstance(yaml.safe_load(text), dict)
]


def check(block):
    """Raise where a decoder or a reader that is installed gets what it does not take."""
    registry = default_registry()
    known = {(entry.kind, entry.name) for entry in registry.entries()}
    for choice in (block.get("model") or {}).get("decoders", ()):
        if ("decoder", choice["name"]) in known:
            spec = registry.decoder(choice["name"])
            config_class = registry.load("decoder", choice["name"], spec.config_class)
            validate_config(config_class, choice.get("config", {}), "the page")
    for data in (block.get("data") or {}).values():
        if ("task", data["task"]) in known:
            reader = load_reader(DataChoice.model_validate(data), registry)
            inspect.signature(reader).bind(**data.get("options", {}))


@pytest.mark.parametrize(("path", "text"), SHOWN, ids=lambda part: getattr(part, "stem", ""))
def test_settings_are_there(path, text, tmp_path):
    block = yaml.safe_load(text)
    check(block)
    if {"name", "model", "data", "stages"} <= block.keys():
        (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
        load_recipe(tmp_path / "recipe.yaml")


def test_families_are_all_shown():
    page = ROOT / "docs" / "how-to" / "pretrained-diffusion.md"
    shown = {family for path, text in SHOWN if path == page for family in families(text)}
    assert {"unet", "sana", "sd3", "flux"} <= shown


def families(text):
    decoders = yaml.safe_load(text)["model"]["decoders"]
    return {choice["config"].get("family", "unet") for choice in decoders}


@pytest.mark.parametrize(
    "block",
    [
        {"model": {"decoders": [{"name": "diffusers.text_to_image", "config": {"sauce": "a/b"}}]}},
        {"data": {"mine": {"task": "editing", "format": "table", "options": {"path": "x"}}}},
    ],
)
def test_a_setting_that_is_not_there_is_found(block):
    with pytest.raises((ValueError, TypeError)):
        check(block)
