"""A training that makes pictures and was stopped goes on bit for bit."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

from superlink import load
from superlink.training import Recipe, train

from .conftest import TINY, UNET

CONFIG = TINY | {"model": UNET, "vae": {"type": "pixels", "patch": 4}, "connector": "plain"}
BACKBONE = {"encoder": "conv", "hidden_size": 32, "num_layers": 1, "num_heads": 2, "image_size": 32}


@pytest.fixture
def recipe():
    """Icons and edits in turns, four steps, a checkpoint after two of them."""
    decoders = [
        {"name": f"diffusers.{name}", "num_queries": 2, "config": CONFIG}
        for name in ("text_to_image", "image_editing")
    ]
    stage = {"name": "both", "data": {"icons": 1, "edits": 1}, "steps": 4, "save_steps": 2}
    return Recipe(
        name="pictures",
        model={"backbone": {"name": "tiny_llava", "config": BACKBONE}, "decoders": decoders},
        data={
            "icons": {"task": "generation", "format": "icons", "options": {"size": 32}},
            "edits": {"task": "editing", "format": "scenes"},
        },
        stages=[stage | {"batch_size": 2, "learning_rate": 1e-3, "ema": 0.9, "link_loss": 0.1}],
    )


def weights(folder):
    files = sorted((folder / "model").rglob("*.safetensors"))
    return {
        f"{file.relative_to(folder)}:{name}": value
        for file in files
        for name, value in load_file(file).items()
    }


def test_a_run_that_was_stopped_ends_as_one_that_was_not(recipe, tmp_path):
    train(recipe, tmp_path / "straight", progress=False)
    halfway = tmp_path / "straight/stages/0-both/checkpoint-2"
    shutil.copytree(halfway, tmp_path / "stopped/stages/0-both/checkpoint-2")
    train(recipe, tmp_path / "stopped", progress=False)
    straight, stopped = (weights(tmp_path / name) for name in ("straight", "stopped"))
    assert straight.keys() == stopped.keys()
    assert any("diffusers.image_editing" in name for name in straight)
    assert all(torch.equal(straight[name], stopped[name]) for name in straight)

    def answer():
        reply = load(tmp_path / "stopped/model").predict("draw", answer="Here it is[GEN].")
        return reply.predictions[0].images[0].tobytes()

    assert answer() == answer()
