"""How long a set of COCO's size takes to open, and how much memory: a fresh process reads it.

The file is made up: as many images and polygons as in COCO's `instances_train2017.json`.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from superlink.evaluation.cards.surroundings import hardware, versions

NUM_IMAGES, NUM_ANNOTATIONS = 118_000, 860_000
"""About those of COCO's training set."""
POLYGON_POINTS = 27
"""Points of a polygon; makes a file of about 450 MB."""

OPEN = """
import json, pickle, resource, sys, time
from superlink.data.readers.coco import read_coco

before = resource.getrusage(resource.RUSAGE_SELF)
started = time.perf_counter()
dataset = read_coco(sys.argv[1], sys.argv[2], masks=True)
seconds = time.perf_counter() - started
after = resource.getrusage(resource.RUSAGE_SELF)
record = dataset[len(dataset) // 2]
assert record.objects[0].mask.any()
print(json.dumps({
    "seconds": round(seconds, 2),
    "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2),
    "peak_mib": after.ru_maxrss // 1024,
    "peak_before_mib": before.ru_maxrss // 1024,
    "pickle_mib": len(pickle.dumps(dataset)) >> 20,
    "records": len(dataset),
    "problems": len(dataset.problems),
}))
"""


def main() -> None:
    """Make a set, open it, print what it took."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--images", type=int, default=NUM_IMAGES, metavar="N")
    options.add_argument("--json", type=Path, metavar="OUT", help="also write the result to a file")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        notes = make_set(Path(name), chosen.images)
        command = [sys.executable, "-c", OPEN, str(notes), name]
        opened = subprocess.run(command, check=True, capture_output=True, text=True)
        result = {
            "name": "opening_coco",
            "file_mib": notes.stat().st_size >> 20,
            **json.loads(opened.stdout),
            "versions": versions(),
            "hardware": hardware(),
        }
    text = json.dumps(result, indent=2)
    sys.stdout.write(text + "\n")
    if chosen.json is not None:
        chosen.json.write_text(text + "\n", encoding="utf-8")


def make_set(folder: Path, num_images: int) -> Path:
    """Write empty image files, and annotations of them in random order; returns their file."""
    num_annotations = num_images * NUM_ANNOTATIONS // NUM_IMAGES
    rng = random.Random(0)
    for number in range(num_images):
        (folder / f"{number:012d}.jpg").touch()
    images = ",".join(
        f'{{"id": {number}, "file_name": "{number:012d}.jpg", "width": 640, "height": 480}}'
        for number in range(num_images)
    )
    categories = json.dumps([{"id": number, "name": f"class {number}"} for number in range(1, 81)])
    notes = folder / "instances.json"
    with notes.open("w", encoding="utf-8") as file:
        file.write(f'{{"images": [{images}], "categories": {categories}, "annotations": [')
        for number in range(num_annotations):
            # The first ones give every image an object.
            image = number if number < num_images else rng.randrange(num_images)
            file.write(("," if number else "") + _annotation(number, image, rng))
        file.write("]}")
    return notes


def _annotation(number: int, image: int, rng: random.Random) -> str:
    x, y = rng.uniform(0, 500), rng.uniform(0, 400)
    width, height = rng.uniform(9, 120), rng.uniform(9, 70)
    points = [
        f"{x + width * rng.random():.2f}, {y + height * rng.random():.2f}"
        for _ in range(POLYGON_POINTS)
    ]
    return (
        f'{{"segmentation": [[{", ".join(points)}]], "area": {width * height:.4f}, "iscrowd": 0, '
        f'"image_id": {image}, "bbox": [{x:.2f}, {y:.2f}, {width:.2f}, {height:.2f}], '
        f'"category_id": {rng.randint(1, 80)}, "id": {number + 1}}}'
    )


if __name__ == "__main__":
    main()
