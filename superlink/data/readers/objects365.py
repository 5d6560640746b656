"""Reading Objects365: COCO's form, with the folders of its download before the file names."""

from __future__ import annotations

from pathlib import Path

from ..problems import BrokenPolicy
from .coco import CocoDataset
from .coco_entries import CocoImage

__all__ = ["Objects365Dataset", "Objects365Image", "read_objects365"]


def read_objects365(
    annotations: str | Path, images: str | Path, *, broken: BrokenPolicy = "error"
) -> Objects365Dataset:
    """Read a file of Objects365 v2, as `zhiyuan_objv2_train.json`.

    It calls an image `images/v2/patch16/objects365_v2_00908726.jpg`. What is looked for, in this
    order: that path, `patch16/objects365_v2_00908726.jpg` and `objects365_v2_00908726.jpg`. Names
    of classes are kept, as `Cabinet/shelf`. Boxes, crowds and categories are those of `read_coco`.

    Args:
        annotations: The JSON file.
        images: The folder of images, in folders `patch0`, `patch1`, ... or all in one.
        broken: `error` raises at what is wrong with an image or an annotation; `skip` leaves it
            out and counts it.

    Raises:
        InputError: A file is missing, broken, or does not hold together.
    """
    return Objects365Dataset(Path(annotations), Path(images), masks=False, broken=broken)


class Objects365Image(CocoImage, kw_only=True):
    """An entry of `images`."""

    def file_names(self) -> tuple[str, ...]:
        """Its path as the file has it, then without its first folders."""
        parts = self.file_name.split("/")
        return (self.file_name, "/".join(parts[-2:]), parts[-1])


class Objects365Dataset(CocoDataset):
    """The images of an Objects365 file, in its order; see `read_objects365`."""

    what = "Objects365 file"
    image_type = Objects365Image
