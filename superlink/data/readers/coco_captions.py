"""Reading COCO's captions: several for each image."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ..problems import BrokenPolicy, Problems
from ..records import Records
from ..schema import CaptionedImage
from .coco_entries import Id
from .files import keep_present, read_items, read_json, refuse_empty

__all__ = ["CocoCaptions", "read_coco_captions"]


def read_coco_captions(
    annotations: str | Path, images: str | Path, *, broken: BrokenPolicy = "error"
) -> CocoCaptions:
    """Read a `captions` file of COCO, one record for each image that has a caption.

    Args:
        annotations: The JSON file.
        images: The folder that its file names are relative to.
        broken: What to do with an image or a caption that cannot be used: `error` raises, `skip`
            leaves it out and counts it.

    Raises:
        InputError: A file is missing, broken, or does not hold together.
    """
    return CocoCaptions(Path(annotations), Path(images), Problems(broken))


class _Image(msgspec.Struct):
    id: Id
    file_name: str


class _Caption(msgspec.Struct):
    image_id: Id
    caption: str
    id: Id | None = None


class _Content(msgspec.Struct):
    images: list[msgspec.Raw]
    annotations: list[msgspec.Raw]


class CocoCaptions(Records[CaptionedImage]):
    """The images of a file, in its order, each with all its captions."""

    def __init__(self, path: Path, folder: Path, problems: Problems) -> None:
        self.path, self.folder, self.problems = path, folder, problems
        content = read_json(path, _Content, "file of COCO's captions")
        files: dict[Id, str] = {}
        for _, image in read_items(path, content.images, _Image, "images", problems):
            if image.id in files:
                problems.add(path, f"image {image.id}", "another image has its id")
            files.setdefault(image.id, image.file_name)
        captions = self._captions(content.annotations, files)
        for number in files.keys() - captions.keys():
            problems.add(path, f"image {number}", "it has no caption", harmless=True)
        found = [(file, captions[number]) for number, file in files.items() if number in captions]
        kept = keep_present(path, folder, [file for file, _ in found], problems)
        self._found = [found[index] for index in kept]
        refuse_empty(len(self), path, problems)

    def __len__(self) -> int:
        return len(self._found)

    def record(self, index: int) -> CaptionedImage:
        """One image; its file is not opened."""
        file, (first, *others) = self._found[index]
        path = self.folder / file
        return CaptionedImage(path, ((first, ()),), file, other_captions=tuple(others))

    def _captions(self, raw: list[msgspec.Raw], files: dict[Id, str]) -> dict[Id, list[str]]:
        """Captions by the id of their image."""
        found: dict[Id, list[str]] = {}
        lost = len(self.problems) > 0  # then a caption may well be of an image that was left out
        for number, entry in read_items(self.path, raw, _Caption, "annotations", self.problems):
            item = f"annotation {number if entry.id is None else entry.id}"
            if entry.image_id not in files:
                self.problems.add(self.path, item, "its image is not in the file", harmless=lost)
            elif not entry.caption.strip():
                self.problems.add(self.path, item, "its caption is empty")
            else:
                found.setdefault(entry.image_id, []).append(entry.caption.strip())
        return found
