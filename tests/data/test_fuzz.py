"""Damaged files: whatever happens to a byte, a reader raises a typed error or counts a skip.

Every reader reads a whole small set, then the same set with one of its files damaged, many times.
"""

from __future__ import annotations

import json
import pickle
import random
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from superlink.data.readers.captions import read_caption_folder
from superlink.data.readers.coco import read_coco
from superlink.data.readers.coco_captions import read_coco_captions
from superlink.data.readers.crowdhuman import read_crowdhuman
from superlink.data.readers.edits import read_edit_folder
from superlink.data.readers.fsc147 import read_fsc147
from superlink.data.readers.llava import read_llava
from superlink.data.readers.lvis import read_lvis
from superlink.data.readers.mask_folder import read_mask_folder
from superlink.data.readers.objects365 import read_objects365
from superlink.data.readers.odinw import read_odinw
from superlink.data.readers.reason_seg import read_reason_seg
from superlink.data.readers.refcoco import read_refcoco
from superlink.data.readers.refcoco_pickle import convert_refs
from superlink.data.readers.semantic_folder import read_semantic_folder
from superlink.data.readers.visual_genome import read_regions
from superlink.errors import SuperLinkError
from superlink.interfaces.images import open_image

NAMES = ("a.png", "b.jpg")
BITS = [[1, 2, 5, 2, 5, 5, 1, 5]]
RUNS = {"size": [8, 10], "counts": [10, 3, 5, 3, 59]}
PACKED = {"size": [8, 10], "counts": ":350f1"}


def _images(folder, names=NAMES):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        pixels = np.arange(240, dtype=np.uint8).reshape(8, 10, 3)
        Image.fromarray(pixels).save(folder / name)
    return folder


def _json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def _content(**changes):
    box = {"image_id": 1, "category_id": 3, "bbox": [1, 2, 4, 3], "iscrowd": 0, "area": 9.5}
    points = [2.0, 3.0, 2, 4.0, 4.0, 1]
    return {
        "images": [
            {"id": i, "file_name": name, "width": 10, "height": 8}
            for i, name in enumerate(NAMES, 1)
        ],
        "categories": [{"id": 3, "name": "cat"}, {"id": 9, "name": "dog"}],
        "annotations": [
            {**box, "id": 1, "segmentation": BITS, "keypoints": points},
            {**box, "id": 2, "segmentation": RUNS, "iscrowd": 1},
            {**box, "id": 3, "segmentation": PACKED, "image_id": 2, "category_id": 9},
        ],
        **changes,
    }


def coco(root):
    path = _json(root / "a.json", _content())
    images = _images(root / "images")
    return lambda: read_coco(path, images, masks=True, broken="skip")


def strict_coco(root):
    path, images = _json(root / "a.json", _content()), _images(root / "images")
    return lambda: read_coco(path, images, masks=True)


def lvis(root):
    images = [
        {**image, "neg_category_ids": [9], "not_exhaustive_category_ids": [3]}
        for image in _content()["images"]
    ]
    categories = [
        {"id": 3, "name": "cat", "synonyms": ["house_cat"]},
        {"id": 9, "name": "dog", "synonyms": ["dog"]},
    ]
    path = _json(root / "a.json", _content(images=images, categories=categories))
    folder = _images(root / "images")
    return lambda: read_lvis(path, folder, masks=True, broken="skip")


def objects365(root):
    images = [
        {**image, "file_name": f"images/v2/patch0/{image['file_name']}"}
        for image in _content()["images"]
    ]
    path = _json(root / "a.json", _content(images=images))
    _images(root / "images" / "patch0")
    return lambda: read_objects365(path, root / "images", broken="skip")


def odinw(root):
    folder = _images(root / "Set" / "valid")
    _json(folder / "annotations_without_background.json", _content())
    return lambda: read_odinw(root, broken="skip")


def crowdhuman(root):
    person = {"tag": "person", "fbox": [1, 1, 5, 6], "vbox": [1, 1, 4, 4], "hbox": [1, 1, 2, 2]}
    lines = [
        {"ID": name, "gtboxes": [person, {**person, "tag": "mask", "extra": {"ignore": 1}}]}
        for name in ("a", "b")
    ]
    (root / "a.odgt").write_text("\n".join(map(json.dumps, lines)) + "\n")
    images = _images(root / "images", ("a.jpg", "b.jpg"))
    return lambda: read_crowdhuman(root / "a.odgt", images, broken="skip")


def _refs():
    sentences = [{"sent": "the cat", "raw": "The cat", "sent_id": 1, "tokens": ["the", "cat"]}]
    common = {"split": "val", "sent_ids": [1], "sentences": sentences, "category_id": 3}
    return [
        {**common, "ref_id": 1, "ann_id": 1, "image_id": 1, "file_name": "a_1.png"},
        {**common, "ref_id": 2, "ann_id": 3, "image_id": 2, "file_name": "b_3.jpg"},
    ]


def refcoco(root):
    instances = _json(root / "instances.json", _content())
    refs = {"format": "superlink-refs", "version": 1, "refs": _refs()}
    path, images = _json(root / "refs.json", refs), _images(root / "images")
    return lambda: read_refcoco(path, images, instances=instances, broken="skip")


def refs_pickle(root):
    (root / "refs.p").write_bytes(pickle.dumps(_refs(), protocol=2))

    def read():
        (root / "refs.json").unlink(missing_ok=True)
        convert_refs(root / "refs.p", root / "refs.json")
        return []

    return read


def reason_seg(root):
    for name in ("a", "b"):
        shapes = [
            {"label": "target", "points": [[1, 1], [6, 1], [6, 6]]},
            {"label": "ignore", "points": [[0, 0], [2, 0], [2, 2]]},
        ]
        content = {"text": ["What can be eaten?", "the food"], "is_sentence": True}
        _json(root / f"{name}.json", {**content, "shapes": shapes})
    _images(root, ("a.jpg", "b.jpg"))
    return lambda: read_reason_seg(root, broken="skip")


def semantic_folder(root):
    images = _images(root / "images", ("a.jpg", "b.jpg"))
    for name in ("a", "b"):
        (root / "maps").mkdir(exist_ok=True)
        labels = (np.arange(80) % 3).astype(np.uint8).reshape(8, 10)
        Image.fromarray(labels).save(root / "maps" / f"{name}.png")
    (root / "names.txt").write_text("sky\nroad\n")
    return lambda: read_semantic_folder(
        images, root / "maps", classes=str(root / "names.txt"), broken="skip"
    )


def mask_folder(root):
    images = _images(root / "images", ("a.jpg", "b.jpg"))
    for name in ("a", "b"):
        (root / "masks").mkdir(exist_ok=True)
        mask = (np.arange(80) > 40).astype(np.uint8).reshape(8, 10) * 255
        Image.fromarray(mask).save(root / "masks" / f"{name}.png")
    return lambda: read_mask_folder(images, root / "masks", broken="skip")


def fsc147(root):
    content = {name: {"points": [[1.5, 2.0], [3.0, 4.0]]} for name in NAMES}
    path = _json(root / "a.json", content)
    split = _json(root / "split.json", {"test": list(NAMES)})
    (root / "classes.txt").write_text("a.png\tapples\nb.jpg\tpears\n")
    images = _images(root / "images")
    options = {"split_file": split, "classes": root / "classes.txt"}
    return lambda: read_fsc147(path, images, **options, broken="skip")


def visual_genome(root):
    region = {"width": 4, "height": 3, "x": 1, "y": 2, "phrase": "a red cat"}
    content = [
        {"id": i, "regions": [{**region, "region_id": 10 + i, "image_id": i}]} for i in (1, 2)
    ]
    path = _json(root / "regions.json", content)
    images = _images(root / "VG_100K", ("1.jpg", "2.jpg")).parent
    return lambda: read_regions(path, images, broken="skip")


def llava(root):
    turns = [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A cat."}]
    content = [{"id": name, "image": name, "conversations": turns} for name in NAMES]
    content.append({"id": "text", "conversations": turns[1:]})
    path, images = _json(root / "a.json", content), _images(root / "images")
    return lambda: read_llava(path, images, broken="skip")


def coco_captions(root):
    content = _content()
    content["annotations"] = [{"id": i, "image_id": i, "caption": "a cat"} for i in (1, 2)]
    path, images = _json(root / "a.json", content), _images(root / "images")
    return lambda: read_coco_captions(path, images, broken="skip")


def caption_folder(root):
    lines = [json.dumps({"file_name": name, "text": ["a cat", "a dog"]}) for name in NAMES]
    (_images(root) / "metadata.jsonl").write_text("\n".join(lines))
    return lambda: read_caption_folder(root, broken="skip")


def edit_folder(root):
    lines = ["file_name,instruction,edited_file_name", 'a.png,"make it, red",b.jpg']
    (_images(root) / "metadata.csv").write_text("\n".join(lines))
    return lambda: read_edit_folder(root, broken="skip")


SETS = (
    *(coco, strict_coco, lvis, objects365, odinw, crowdhuman, refcoco, refs_pickle, reason_seg),
    *(semantic_folder, mask_folder, fsc147, visual_genome, llava),
    *(coco_captions, caption_folder, edit_folder),
)
WORDS = (b"null", b"-1", b"1e999", b"[]", b"{}", b'""', b"99999999999999999999", b"true", b"0.5")


def damage(data, rng):
    """One of the things that happen to files."""
    kind = rng.choice(("flip", "flip", "cut", "repeat", "word", "swap"))
    if not data or kind == "cut":
        return data[: rng.randrange(len(data) + 1)]
    start = rng.randrange(len(data))
    end = min(len(data), start + rng.randint(1, 8))
    if kind == "flip":
        changed = bytearray(data)
        for _ in range(rng.choice((1, 1, 3, 20))):
            changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return bytes(changed)
    if kind == "word":
        return data[:start] + rng.choice(WORDS) + data[end:]
    if kind == "swap":
        other = rng.randrange(len(data))
        return data[:start] + data[other : other + end - start] + data[end:]
    return data[:start] + data[start:end] * rng.randint(2, 5) + data[end:]


def read_all(read):
    """Open a set and all that is in it; how many records and problems came out of it."""
    try:
        records = read()
        for index in range(len(records)):
            try:
                record = records[index]
                if hasattr(record, "open"):
                    record.open()
            except SuperLinkError:
                continue
    except SuperLinkError as error:
        assert str(error)
        return
    for problem in getattr(records, "problems", ()):
        assert problem.file and problem.item and problem.reason


def fuzz(build, root, count, seed=0):
    """Damage one file after the other, each time from the whole set."""
    root.mkdir()
    read = build(root)
    whole = read()
    assert build is refs_pickle or [whole[i] for i in range(len(whole))]
    files = sorted(path for path in root.rglob("*") if path.is_file())
    contents = {path: path.read_bytes() for path in files}
    rng = random.Random(f"{build.__name__} {seed}")
    for _ in range(count):
        path = rng.choice(files)
        path.write_bytes(damage(contents[path], rng))
        read_all(read)
        path.write_bytes(contents[path])
    shutil.rmtree(root)


@pytest.mark.parametrize("build", SETS, ids=lambda build: build.__name__)
def test_damaged_files_raise_typed_errors_or_are_counted(build, tmp_path):
    fuzz(build, tmp_path / "set", 60)


@pytest.mark.slow
def test_8000_damaged_sets(tmp_path):
    for build in SETS:
        fuzz(build, tmp_path / build.__name__, -(-8000 // len(SETS)), seed=1)


def _encoded(folder):
    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    image = Image.fromarray(pixels)
    for suffix, options in (
        *(("png", {}), ("jpg", {}), ("webp", {}), ("gif", {}), ("bmp", {})),
        *(("tiff", {}), ("ppm", {}), ("tga", {}), ("jpeg", {"progressive": True})),
    ):
        path = folder / f"image.{suffix}"
        image.save(path, **options)
        yield path


def fuzz_images(folder, count):
    rng = random.Random(f"images {count}")
    for path in list(_encoded(folder)):
        data = path.read_bytes()
        for _ in range(count):
            path.write_bytes(damage(data, rng))
            try:
                assert open_image(path).mode == "RGB"
            except SuperLinkError as error:
                assert str(path.name) in str(error)


def test_damaged_images_open_or_raise_a_typed_error(tmp_path):
    fuzz_images(tmp_path, 30)


@pytest.mark.slow
def test_2000_damaged_images(tmp_path):
    fuzz_images(tmp_path, 223)


def test_png_of_absurd_size_is_refused_before_it_is_decoded(tmp_path):
    header = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    content = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(header)) + chunk
    path = Path(tmp_path / "bomb.png")
    path.write_bytes(content + struct.pack(">I", zlib.crc32(chunk)))
    with pytest.raises(SuperLinkError):
        open_image(path)
