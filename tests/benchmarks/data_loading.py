"""What does loading cost beside a training step?

The model of `superlink demo` at batch 8. Parts, each for one batch:

  step      forward and backward of the linked model
  scenes    built-in scenes drawn, asked about, tokenised, and prepared for the detector
  photos    the same of a COCO file with JPEG photographs of 640 x 480 pixels, which are decoded

Times are processor times of one thread; each pair runs every part once, in random order, in the
process that trains.

`waiting for photos / step` is what a run feels that has one worker (`num_workers: 1` in the
stage): the time on the clock until the next batch is there, as a share of the step after it. The
same for a mixture of photos and drawn scenes, half of each, in batches that hold both.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from pairs import Report, arguments, median_interval, ratio, take_turns
from PIL import Image
from torch.utils.data import DataLoader

from superlink import build_model
from superlink.backbones.quiet import quiet_transformers
from superlink.data import AnnotatedImage, AnnotatedObject, SceneDataset, export_coco
from superlink.demo import DEMO_RECIPE
from superlink.model import SuperLinkModel
from superlink.registry import default_registry
from superlink.training import DataChoice, Stage, StageDataset, load_recipe
from superlink.training.collation import Collator
from superlink.training.dataset import open_data
from superlink.training.mixture import Mixture, stage_samples

BATCH_SIZE = 8
NUM_BATCHES = 4
WIDTH, HEIGHT = 640, 480


def write_photos(folder: Path) -> DataChoice:
    """A COCO set of scenes, enlarged to the size of COCO's photographs, as JPEG files."""
    export_coco(map(_enlarged, SceneDataset(num_scenes=16, size=256)), folder, progress=False)
    for path in sorted((folder / "images").glob("*.png")):
        with Image.open(path) as image:
            image.save(path.with_suffix(".jpg"), quality=92)
    text = (folder / "instances.json").read_text().replace(".png", ".jpg")
    (folder / "instances.json").write_text(text)
    options = {"annotations": str(folder / "instances.json"), "images": str(folder / "images")}
    return DataChoice(task="detection", format="coco", options=options)


def _enlarged(record: AnnotatedImage) -> AnnotatedImage:
    image = record.open()
    x, y = WIDTH / image.width, HEIGHT / image.height
    objects = [
        AnnotatedObject(item.name, (b[0] * x, b[1] * y, b[2] * x, b[3] * y))
        for item in record.objects
        for b in [item.bbox]
    ]
    larger = image.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    return AnnotatedImage(larger, tuple(objects), record.categories, record.key)


def samples_of(choices: Mapping[str, DataChoice], num_batches: int) -> StageDataset | Mixture:
    """So many batches of data sets that are drawn as often as each other, as a stage takes them."""
    sources = {name: open_data(choice, default_registry()) for name, choice in choices.items()}
    weights = dict.fromkeys(sources, 1.0)
    stage = Stage(name="loading", data=weights, steps=num_batches, batch_size=BATCH_SIZE)
    return stage_samples(sources, stage, 0, skip_bad=False)


def collator(model: SuperLinkModel) -> Collator:
    """As the trainer has it."""
    return Collator(model.processor, run_decoders=True, skip_bad=False, always_image=False)


def loading(model: SuperLinkModel, choice: DataChoice) -> Callable[[int], Any]:
    """Makes batch `index`, all of it."""
    dataset, collate = samples_of({"it": choice}, NUM_BATCHES), collator(model)

    def load(index: int) -> Any:
        first = index % NUM_BATCHES * BATCH_SIZE
        return collate([dataset[i] for i in range(first, first + BATCH_SIZE)])

    return load


def waiting(
    model: SuperLinkModel,
    choices: Mapping[str, DataChoice],
    step: Callable[[Any], None],
    num_steps: int,
) -> list[float]:
    """For each step, how long it waited for a batch of one worker, as a share of its own time."""
    loader = DataLoader(
        samples_of(choices, num_steps + 3),
        batch_size=BATCH_SIZE,
        num_workers=1,
        collate_fn=collator(model),
    )
    shares, batches = [], iter(loader)
    for _ in range(num_steps + 3):
        asked = time.perf_counter()
        batch = next(batches)
        given = time.perf_counter()
        step(batch)
        shares.append((given - asked) / (time.perf_counter() - given))
    return shares[3:]  # the first ones start the worker


def main() -> None:
    """Measure, and show the result."""
    chosen = arguments(__doc__)
    quiet_transformers()
    recipe = load_recipe(DEMO_RECIPE)
    torch.manual_seed(recipe.seed)
    model = build_model(recipe.model).train()
    with tempfile.TemporaryDirectory() as folder:
        scenes = loading(model, recipe.data["scenes"])
        choice = write_photos(Path(folder) / "photos")
        photos = loading(model, choice)
        batches = [scenes(index) for index in range(NUM_BATCHES)]

        def step(batch: Any) -> None:
            model.zero_grad(set_to_none=True)
            model(**batch).loss.backward()

        parts = {"scenes": scenes, "photos": photos}
        parts["step"] = lambda index: step(batches[index % NUM_BATCHES])
        seconds = take_turns(parts, chosen.pairs)
        kinds = {"photos": {"photos": choice}}
        kinds["a mixture"] = {"scenes": recipe.data["scenes"], "photos": choice}
        shares = {k: waiting(model, some, step, 2 * chosen.pairs) for k, some in kinds.items()}
    ratios = {
        f"{name} / step": ratio([seconds[name]], [seconds["step"]]) for name in ("scenes", "photos")
    }
    ratios |= {f"waiting for {k} / step": median_interval(some) for k, some in shares.items()}
    command = f"python tests/benchmarks/data_loading.py --pairs {chosen.pairs}"
    facts = {"batch_size": BATCH_SIZE, "photo": f"{WIDTH} x {HEIGHT} JPEG"}
    Report("data loading", command, seconds, ratios, facts).show(chosen.json)


if __name__ == "__main__":
    main()
