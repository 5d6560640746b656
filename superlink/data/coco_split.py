"""Parts of a COCO file as files of their own: some of its images, all or some of its classes."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..errors import ConfigError, InputError
from ..registry.suggestions import suggest
from .readers.coco_entries import CocoContent, CocoImage, ObjectReference
from .readers.files import DECODE_ERRORS, read_json

__all__ = ["split_keys", "write_coco_part"]

_CLASS_LISTS = ("category_ids", "not_exhaustive_category_ids")
"""Keys of an image that name classes."""


def split_keys(keys: Iterable[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    """Deal images out by a seed: those to train on, and those to hold out, at least one of each.

    Images of one key stay together, and the order of `keys` does not matter.

    Args:
        keys: Keys of images, see `AnnotatedImage.key`.
        share: How many of them to hold out, between 0 and 1.
        seed: Of the draw.

    Raises:
        InputError: There is one image alone.
    """
    order = sorted(set(keys))
    if len(order) < 2:
        raise InputError(
            "Images are held out of those that are trained on: two are needed at least. "
            f"Received: {len(order)}. Add images, or give a second file to measure on."
        )
    random.Random(f"split-{seed}").shuffle(order)
    number = min(max(1, round(share * len(order))), len(order) - 1)
    return sorted(order[number:]), sorted(order[:number])


def write_coco_part(
    source: Path, target: Path, keys: Collection[str], classes: Sequence[str] | None = None
) -> None:
    """Write some images of a COCO file, with their annotations, as a file of its own.

    Entries are copied as they are; those that cannot be read stay out.

    Args:
        source: The COCO file.
        target: What is written, all or nothing.
        keys: Keys of the images to take.
        classes: Names of the classes to take, with their objects; None takes all.

    Raises:
        ConfigError: The file has no class of such a name.
    """
    content = read_json(source, CocoContent, "COCO file")
    names = [str(category.name) for category in content.categories]
    for name in classes or ():
        if name not in names:
            raise ConfigError(f"{source.name} has no class {name!r}. {suggest(name, names)}")
    chosen = set(names if classes is None else classes)
    categories = [one for one in content.categories if str(one.name) in chosen]
    ids = {one.id for one in categories}
    images: list[Any] = []
    image_ids = set()
    for raw in content.images:
        image = _decoded(raw, CocoImage)
        if image is not None and _key(image) in keys:
            images.append(raw if classes is None else _of_classes(raw, ids))
            image_ids.add(image.id)
    annotations = [
        raw
        for raw in content.annotations
        if (one := _decoded(raw, ObjectReference)) is not None
        and one.image_id in image_ids
        and (classes is None or one.category_id in ids)
    ]
    part = {
        "images": images,
        "annotations": annotations,
        "categories": list(map(_plain, categories)),
    }
    fresh = target.with_name(f"{target.name}.new")
    fresh.write_bytes(msgspec.json.encode(part))
    fresh.replace(target)


def _decoded(raw: msgspec.Raw, kind: Any) -> Any:
    try:
        return msgspec.json.decode(raw, type=kind)
    except DECODE_ERRORS:
        return None


def _key(image: CocoImage) -> str:
    return str(image.file_names()[0] if image.key is None else image.key)


def _of_classes(raw: msgspec.Raw, ids: Collection[Any]) -> dict[str, Any]:
    """An image that names no class but those of `ids`."""
    image: dict[str, Any] = msgspec.json.decode(raw)
    kept = {key: [i for i in image[key] if i in ids] for key in _CLASS_LISTS if image.get(key)}
    return {**image, **kept}


def _plain(category: Any) -> dict[str, Any]:
    """A category without what it does not have."""
    fields = msgspec.structs.asdict(category)
    return {name: value for name, value in fields.items() if value or name == "id"}
