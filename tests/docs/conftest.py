"""What the pages on pictures ask: the model of a tutorial."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorials" / "teach-an-llm-to-draw.md"


@pytest.fixture(scope="session")
def tiny_drawing_model(tmp_path_factory):
    """The run that the last recipe of `Teach an LLM to draw` leaves behind.

    Its model writes [GEN] and [EDIT] where they belong, and its pictures are noise. One process
    trains, the others wait for it.
    """
    from filelock import FileLock

    from superlink.training import load_recipe, train

    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "tiny_drawing_model"
    text = TUTORIAL.read_text(encoding="utf-8")
    with FileLock(f"{folder}.lock"):
        if not (folder / "model" / "config.json").is_file():
            recipe = folder.with_suffix(".yaml")
            recipe.write_text(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[-1])
            train(load_recipe(recipe), folder, progress=False)
    return folder
