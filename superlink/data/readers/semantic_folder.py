"""Reading folders of images and of label maps: semantic segmentation, as ADE20K has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...errors import ConfigError, InputError
from ..masks import mask_box
from ..problems import BrokenPolicy, Problems
from ..records import Records
from ..schema import AnnotatedImage, AnnotatedObject
from .files import read_file
from .pairs import pair_files

__all__ = ["SemanticFolder", "read_classes", "read_semantic_folder"]

LabelMap = npt.NDArray[np.integer[Any]]


def read_semantic_folder(
    images: str | Path,
    annotations: str | Path,
    *,
    classes: str | Path | Sequence[str],
    ignore: int | None = 0,
    first: int = 1,
    broken: BrokenPolicy = "error",
) -> SemanticFolder:
    """Read images with a label map each: a picture whose pixels are numbers of classes.

    An image and its map bear the same name but for the suffix, also in folders below these two.
    The defaults are those of ADE20K; maps of train ids of Cityscapes need ignore=255, first=0.

    Args:
        images: The folder of images.
        annotations: The folder of label maps.
        classes: Names in the order of their labels, or a text file with one a line; ADE20K's
            objectInfo150.txt gives synonyms as well.
        ignore: The label of pixels of which nothing is known; None where there is no such.
        first: The label of the first class.
        broken: What to do with an image or a map without the other: `error` raises, `skip` leaves
            it out and counts it.

    Raises:
        InputError: A folder or file is missing, there are no pairs, or names are missing or the
            same.
    """
    words = read_classes(classes)
    if first < 0 or (ignore is not None and first <= ignore < first + len(words)):
        raise ConfigError(
            f"The {len(words)} classes have the labels from first on, and ignore lies outside of "
            f"them. Received: first={first}, ignore={ignore}"
        )
    return SemanticFolder(Path(images), Path(annotations), words, ignore, first, Problems(broken))


class SemanticFolder(Records[AnnotatedImage]):
    """The pairs of two folders, by name; see `read_semantic_folder`."""

    def __init__(
        self,
        images: Path,
        maps: Path,
        classes: Mapping[str, tuple[str, ...]],
        ignore: int | None,
        first: int,
        problems: Problems,
    ) -> None:
        self.images, self.maps, self.problems = images, maps, problems
        self.ignore, self.first = ignore, first
        self.categories = tuple(classes)
        self.synonyms = {name: words for name, words in classes.items() if words}
        self._pairs = pair_files(images, maps, problems)

    def __len__(self) -> int:
        return len(self._pairs)

    def record(self, index: int) -> AnnotatedImage:
        """One image, with an object for each class that its map shows.

        Raises:
            InputError: The map cannot be read, or has a label that no class bears.
        """
        key, image, map_name = self._pairs[index]
        labels = _read_map(self.maps / map_name)
        return AnnotatedImage(
            image=self.images / image,
            objects=tuple(self._objects(labels, self.maps / map_name)),
            categories=self.categories,
            key=key,
            size=(labels.shape[1], labels.shape[0]),
            void=None if self.ignore is None else labels == self.ignore,
            synonyms=self.synonyms,
        )

    def _objects(self, labels: LabelMap, path: Path) -> Iterator[AnnotatedObject]:
        last = self.first + len(self.categories) - 1
        for label in np.unique(labels).tolist():
            if label == self.ignore:
                continue
            if not self.first <= label <= last:
                raise InputError(
                    f"Labels are from {self.first} to {last} for {len(self.categories)} classes, "
                    f"or {self.ignore} for what is ignored. Received: {label} in {str(path)!r}. "
                    "Check the reader's classes, first and ignore."
                )
            mask = labels == label
            yield AnnotatedObject(self.categories[label - self.first], mask_box(mask), mask)


def read_classes(classes: str | Path | Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Names in their order, each with its synonyms; from a list, or from a text file.

    A file has one name a line, or is a table with tabs and a header as objectInfo150.txt, whose
    last column holds a name and its synonyms with commas between them. Words that are the name of
    another class, or a synonym of several, are left out of the synonyms.

    Raises:
        InputError: The file is missing; there are no names, or two are the same.
    """
    if not isinstance(classes, str | Path):
        rows = [[str(name).strip()] for name in classes]
    else:
        text = read_file(Path(classes)).decode("utf-8", "replace")
        lines = [line for line in text.splitlines() if line.strip()]
        table = bool(lines) and "\t" in lines[0]
        rows = [
            [word.strip() for word in line.split("\t")[-1].split(",")] if table else [line.strip()]
            for line in lines[table:]
        ]
    used = Counter(word for row in rows for word in set(row))
    words = {row[0]: tuple(word for word in row[1:] if used[word] == 1) for row in rows if row[0]}
    if not words or len(words) < len(rows):
        names = [row[0] for row in rows]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise InputError(
            "Classes are names that differ, at least one. "
            f"Received: {len(rows)} names, {twice} more than once, from {str(classes)[:200]!r}"
        )
    return words


def _read_map(path: Path) -> LabelMap:
    """The numbers (H, W) of a label map."""
    try:
        with Image.open(path) as image:
            labels = np.asarray(image)  # of a picture with a palette, the indices
    except Exception as error:  # PIL's format plugins raise almost anything on broken bytes
        raise InputError(f"The label map {str(path)!r} cannot be read: {error}") from error
    if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            "A label map has one channel of whole numbers. "
            f"Received: {labels.dtype} {labels.shape} in {str(path)!r}"
        )
    return labels
