"""The recipe that goes on from a trained model with images of a COCO file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from ..checkpoint.config import read_config
from ..errors import ConfigError, InputError
from ..registry import Registry, default_registry, validate_config
from .loading import load_recipe
from .recipe import Recipe
from .stages import train

__all__ = ["DETECTION_TOKEN", "finetune_recipe", "steps_in", "write_recipe"]

DETECTION_TOKEN = "[DET]"
"""What a model must answer to, so that it can be fine-tuned on boxes."""
_PROBED = 8
_DECODER_KEYS = ("name", "tokens", "num_queries", "separate_banks", "link", "loss_weight", "config")


def finetune_recipe(
    model: str | Path,
    annotations: str | Path,
    images: str | Path,
    names: Sequence[str],
    *,
    name: str = "finetuned",
    steps: int = 500,
    masks: bool = False,
    seed: int = 0,
) -> Recipe:
    """A recipe that starts from a checkpoint.

    Its first stage is text alone: the LLM learns to copy the names, and the links to carry them.
    The second one trains everything on the images, with lists of names beside them.

    Args:
        model: The checkpoint.
        annotations: COCO file of the images to train on.
        images: Their folder.
        names: Classes to ask for.
        name: What the run is called.
        steps: Steps of the second stage.
        masks: Whether the decoder shall learn masks too.
        seed: Of the run.

    Raises:
        CheckpointError: There is no checkpoint.
        InputError: No decoder of it answers to `DETECTION_TOKEN`.
    """
    source = Path(model).resolve()
    saved = read_config(source)
    _check_detector(saved, source)
    reader = {"annotations": str(annotations), "images": str(images), "broken": "skip"}
    with_masks = {"masks": True} if masks else {}
    recipe = {
        "name": re.sub(r"[^\w.\-]", "-", name).lstrip(".-") or "finetuned",
        "seed": seed,
        "model": _model_of(saved, source),
        "start": str(source),
        "data": {
            "train": {
                "task": "detection",
                "format": "coco",
                "options": {**reader, **with_masks},
                "conversation": {"flip": 0.5, **with_masks},
            },
            "names": {"task": "class_list", "format": "names", "options": {"names": [*names]}},
        },
        "stages": _stages(steps),
    }
    return validate_config(Recipe, recipe, "the recipe of a fine-tuning")


def _stages(steps: int) -> list[dict[str, Any]]:
    return [
        {
            "name": "names",
            "data": "names",
            "steps": 240,
            "batch_size": 16,
            "learning_rate": 2e-3,
            "run_decoders": False,
            "link_loss": 0.5,
            "adam_betas": (0.9, 0.95),
            "warmup_steps": 30,
        },
        {
            "name": "joint",
            "data": {"train": 3, "names": 1},
            "steps": steps,
            "batch_size": 8,
            "learning_rate": 1e-3,
            "adam_betas": (0.9, 0.98),
            "lm_weight": 2.0,
            "warmup_steps": 20,
            "save_steps": max(20, steps // 10),
        },
    ]


def _model_of(saved: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What a recipe calls the model of a checkpoint."""
    backbone = {"name": saved["backbone"]["name"], "config": dict(saved["backbone"]["config"])}
    if saved["backbone"]["saved"]:  # with its own words, whatever it was built from
        backbone["config"]["source"] = str(folder / "backbone")
    decoders = [
        {key: entry[key] for key in _DECODER_KEYS if key in entry} for entry in saved["decoders"]
    ]
    rest = {key: saved[key] for key in ("max_length", "regions") if saved.get(key) is not None}
    return {"backbone": backbone, "decoders": decoders, **rest}


def _check_detector(saved: Mapping[str, Any], folder: Path) -> None:
    tokens = [token for entry in saved["decoders"] for token in entry["tokens"]]
    if DETECTION_TOKEN not in tokens:
        raise InputError(
            f"Fine-tuning needs a model with a detector: a decoder that answers to "
            f"{DETECTION_TOKEN}. Received: {folder}, whose decoders answer to {', '.join(tokens)}. "
            "Choose another MODEL, or leave it out for the one that superlink ships; "
            "`superlink train` links a detector to any backbone."
        )


def write_recipe(recipe: Recipe, path: Path, command: str, overrides: Sequence[str] = ()) -> Recipe:
    """Write a recipe as YAML that `superlink train` takes, and read it again.

    Args:
        recipe: What to write.
        path: The file.
        command: What made it, for its first line.
        overrides: Changes, as `load_recipe` takes them.

    Raises:
        ConfigError: A change does not fit.
    """
    fresh = path.with_suffix(".new.yaml")
    _write_yaml(recipe, fresh, command)
    changed = load_recipe(fresh, overrides)
    _write_yaml(changed, fresh, command)
    fresh.replace(path)
    return changed


def _write_yaml(recipe: Recipe, path: Path, command: str) -> None:
    plain = recipe.model_dump(mode="json", exclude_unset=True)
    text = yaml.safe_dump(
        plain, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None
    )
    path.write_text(f"# Made by: {command}\n{text}", encoding="utf-8")


def steps_in(recipe: Recipe, minutes: float, registry: Registry | None = None) -> int:
    """How many steps of a recipe's last stage take so long here, by the time of a few of them.

    Args:
        recipe: What would be trained.
        minutes: Time on the clock.
        registry: Where names are looked up; None takes everything that is installed.

    Raises:
        ConfigError: `minutes` is not positive.
    """
    if minutes <= 0:
        raise ConfigError(f"A training takes more than no minutes. Received: minutes={minutes}")
    changes = {"steps": _PROBED, "save_steps": None, "warmup_steps": 0}
    stage = recipe.stages[-1].model_copy(update=changes)
    with TemporaryDirectory() as folder:
        probe = recipe.model_copy(update={"stages": (stage,)})
        found = train(probe, folder, registry=registry or default_registry(), progress=False)
    seconds = next(e["train_runtime"] for e in reversed(found.history) if "train_runtime" in e)
    return max(1, round(minutes * 60 * _PROBED / float(seconds)))
