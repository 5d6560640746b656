"""Train the autoencoder of a picture recipe on the pictures that its data asks for."""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from rich.progress import track
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from superlink.registry import default_registry
from superlink.training import Recipe, load_recipe
from superlink.training.dataset import open_data

KL_WEIGHT = 1e-6
BETAS = (0.9, 0.98)
WARMUP = 50
NUM_HELD_OUT = 100


def main() -> None:
    """Train, measure on pictures that were not trained on, and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path, help="its first decoder has an AutoencoderKL as vae")
    parser.add_argument("output", type=Path, help="file for the recipe to take as `weights`")
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    recipe = load_recipe(options.recipe)
    settings = dict(recipe.model.decoders[0].config["vae"])
    if (kind := settings.pop("type")) != "AutoencoderKL":
        parser.error(f"the autoencoder of {options.recipe} is {kind!r}, which is not trained here")
    model = AutoencoderKL(**settings)
    source, rng = Pictures(recipe, "train"), random.Random(options.seed)
    train(model, source, rng, options.steps, options.batch_size, options.learning_rate)
    held_out = Pictures(recipe, "val")
    error = finish(model, [held_out[i] for i in range(NUM_HELD_OUT)])
    options.output.parent.mkdir(parents=True, exist_ok=True)
    save_file({f"vae.{k}": v.contiguous() for k, v in model.state_dict().items()}, options.output)
    minutes = round(time.process_time() / 60, 1)
    print(json.dumps({"root_mean_squared_error": error, "cpu_minutes": minutes}))


class Pictures:
    """The pictures of a recipe's first data set by a number: sources and edited ones in turns."""

    def __init__(self, recipe: Recipe, split: str) -> None:
        choice = next(iter(recipe.data.values()))
        options = {**choice.options, "split": split}
        self.records, _ = open_data(
            choice.model_copy(update={"options": options}), default_registry()
        )

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Image.Image:
        record: Any = self.records[index]
        if index % 2 == 0 and hasattr(record, "open_edited"):
            return record.open_edited()
        return record.open()


def tensor(images: Sequence[Image.Image]) -> Tensor:
    """Pictures as (N, 3, H, W) between -1 and 1."""
    pixels = np.stack([np.asarray(image, dtype=np.float32) for image in images])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2) / 127.5 - 1


def train(
    model: AutoencoderKL,
    source: Pictures,
    rng: random.Random,
    steps: int,
    batch_size: int,
    learning_rate: float,
) -> None:
    """Teach it pictures: absolute and squared error, and a spread of latents that stays finite."""
    optimizer = torch.optim.AdamW(model.parameters(), learning_rate, betas=BETAS)
    rises = min(0.3, WARMUP / steps)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, steps, pct_start=rises, cycle_momentum=False
    )
    model.train()
    for _ in track(range(steps), "training the autoencoder"):
        images = tensor([source[rng.randrange(len(source))] for _ in range(batch_size)])
        latents = model.encode(images).latent_dist
        found = model.decode(latents.sample()).sample
        loss = functional.l1_loss(found, images) + functional.mse_loss(found, images)
        loss = loss + KL_WEIGHT * latents.kl().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()


@torch.no_grad()
def finish(model: AutoencoderKL, images: Sequence[Image.Image]) -> float:
    """Let latents have mean 0 and spread 1, and measure: the root mean squared error of pixels,
    which lie between 0 and 1."""
    model.eval()
    wanted = tensor(images)
    latents = model.encode(wanted).latent_dist.mode()
    found = model.decode(latents).sample.clamp(-1, 1)
    standardize(model, latents.mean().item(), latents.std().item())
    return round(functional.mse_loss(found / 2, wanted / 2).sqrt().item(), 4)


@torch.no_grad()
def standardize(model: AutoencoderKL, mean: float, spread: float) -> None:
    """Put mean and spread of latents into the layers on both sides of them."""
    told, read, number = model.quant_conv, model.post_quant_conv, model.config.latent_channels
    told.weight[:number] /= spread
    told.bias[:number] = (told.bias[:number] - mean) / spread
    told.bias[number:] -= 2 * np.log(spread)
    read.bias += mean * read.weight.sum((1, 2, 3))
    read.weight *= spread


if __name__ == "__main__":
    main()
