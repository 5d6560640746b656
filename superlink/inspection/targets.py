"""A target in one line, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

__all__ = ["describe_target"]

_TOLD = frozenset(
    "images captions attributes changed "
    "bboxes labels names masks keypoints keypoints_visible keypoint_set areas size synonyms void "
    "ignored_bboxes ignored_labels ignored_masks ignored_areas known_names "
    "other_ignored_names other_ignored_bboxes other_ignored_masks other_ignored_areas".split()
)


def describe_target(target: Mapping[str, Any] | None) -> str:
    """What a target asks for: `3 boxes: 2 x apple, 1 x dog; with masks; 1 ignored`."""
    if target is None:
        return "no target"
    return "; ".join(_parts(target)) or "nothing"


def _parts(target: Mapping[str, Any]) -> Iterator[str]:
    if "labels" in target:
        yield _objects(target)
    if "images" in target:
        yield from _pictures(target)
    if beside := [key for key in ("masks", "keypoints") if _length(target, key)]:
        yield f"with {' and '.join(beside)}"
    if known := target.get("keypoint_set"):
        yield f"points: {_value(', '.join(known.names))}"
    if ignored := max(_length(target, "ignored_bboxes"), _length(target, "ignored_masks")):
        yield f"{ignored} ignored"
    if target.get("void") is not None:
        yield "with pixels of which nothing is known"
    yield from (f"{key} {_value(v)}" for key, v in target.items() if key not in _TOLD)


def _objects(target: Mapping[str, Any]) -> str:
    """How many objects of which name."""
    labels = [int(label) for label in target["labels"]]
    names = target.get("names", ())
    what = "boxes" if "bboxes" in target else "masks" if "masks" in target else "labels"
    if not labels:
        return f"no {what}"
    counts = Counter(names[i] if 0 <= i < len(names) else f"label {i}" for i in labels)
    counts = Counter({name or "of the expression": count for name, count in counts.items()})
    what = {"boxes": "box", "masks": "mask", "labels": "label"}[what] if len(labels) == 1 else what
    told = ", ".join(f"{count} x {name}" for name, count in counts.most_common())
    return f"{len(labels)} {what}: {told}"


def _pictures(target: Mapping[str, Any]) -> Iterator[str]:
    """Each picture to make: its size, what is asked for and what is known of it."""
    for index, image in enumerate(target["images"]):
        caption, known, changed = (
            values[index] if len(values := target.get(key, ())) > index else None
            for key in ("captions", "attributes", "changed")
        )
        told = [f"a picture of {image.width} x {image.height} pixels"]
        told += [_value(caption)] if caption else []
        told += [_value(", ".join(f"{k} {v}" for k, v in known.items()))] if known else []
        told += [f"changes {changed.mean():.0%} of it"] if changed is not None else []
        yield ": ".join(told[:2]) + "".join(f"; {part}" for part in told[2:])


def _length(target: Mapping[str, Any], key: str) -> int:
    value = target.get(key)
    return 0 if value is None else len(value)


def _value(value: Any) -> str:
    """A value in a few words: arrays by their shape, texts cut."""
    if isinstance(value, Tensor) and value.dim():
        return f"of shape {tuple(value.shape)}"
    if hasattr(value, "size") and hasattr(value, "mode"):
        return f"of {value.size[0]} x {value.size[1]} pixels"
    text = str(value.item() if isinstance(value, Tensor) else value)
    return text if len(text) <= 80 else f"{text[:79]}…"
