"""Reading folders of images and of masks: salient and camouflaged objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ...errors import InputError
from ..masks import mask_box
from ..problems import BrokenPolicy, Problems
from ..records import Records
from ..schema import AnnotatedImage, AnnotatedObject, Mask
from .files import refuse_empty
from .pairs import pair_files, upright_size

__all__ = ["MaskFolder", "read_mask_folder"]


def read_mask_folder(
    images: str | Path,
    annotations: str | Path,
    *,
    name: str = "salient object",
    broken: BrokenPolicy = "error",
) -> MaskFolder:
    """Read images with one mask each, as DUTS, ECSSD, CAMO and COD10K come.

    An image and its mask bear the same name but for the suffix, also in folders below these two.
    Masks are grey; a pixel belongs to the object where it is brighter than 127.

    Args:
        images: The folder of images.
        annotations: The folder of masks; it may be the same one, where images are no PNG.
        name: What the object is called.
        broken: What to do with an image or a mask without the other, and with those that differ
            in size: `error` raises, `skip` leaves them out and counts them.

    Raises:
        InputError: A folder is missing, or there are no pairs.
    """
    return MaskFolder(Path(images), Path(annotations), name, Problems(broken))


class MaskFolder(Records[AnnotatedImage]):
    """The pairs of two folders, by name; see `read_mask_folder`."""

    def __init__(self, images: Path, maps: Path, name: str, problems: Problems) -> None:
        self.images, self.maps, self.name, self.problems = images, maps, name, problems
        self._pairs = []
        for pair in pair_files(images, maps, problems):
            if fault := self._fault(*pair[1:]):
                problems.add(images, f"image {pair[1]}", fault)
            else:
                self._pairs.append(pair)
        refuse_empty(len(self._pairs), images, problems)

    def __len__(self) -> int:
        return len(self._pairs)

    def record(self, index: int) -> AnnotatedImage:
        """One image: with an object, or without one where its mask is empty."""
        key, image, map_name = self._pairs[index]
        mask = _read_mask(self.maps / map_name)
        objects = (AnnotatedObject(self.name, mask_box(mask), mask),) if mask.any() else ()
        return AnnotatedImage(
            image=self.images / image,
            objects=objects,
            categories=(self.name,),
            key=key,
            size=(mask.shape[1], mask.shape[0]),
        )

    def _fault(self, image: str, map_name: str) -> str | None:
        """Why a pair cannot be used, as far as the heads of the files tell."""
        try:
            size, mask_size = upright_size(self.images / image), upright_size(self.maps / map_name)
        except InputError as error:
            return str(error)
        return None if size == mask_size else "its mask has another size"


def _read_mask(path: Path) -> Mask:
    try:
        with Image.open(path) as image:
            grey = np.asarray(image.convert("L"))
    except Exception as error:  # PIL's format plugins raise almost anything on broken bytes
        raise InputError(f"The mask {str(path)!r} cannot be read: {error}") from error
    mask = grey > 127
    if grey.any() and not mask.any():
        raise InputError(
            "A mask is grey, with objects brighter than 127. "
            f"Received: {grey.max()} at most in {str(path)!r}. Write 255 where the object is."
        )
    return mask
