"""Folders that are written as a whole or not at all, and tensors as safetensors."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import CheckpointError

__all__ = [
    "PICKLES",
    "UNREADABLE",
    "checked",
    "finish_swap",
    "read_tensors",
    "refuse_pickle",
    "write_folder",
    "write_tensors",
]

UNREADABLE = (OSError, ValueError, SafetensorError)
"""What reading a damaged folder raises."""

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
"""How files end that can run code when they are read."""


@contextmanager
def write_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write into; it takes the place of `folder` when all went well."""
    folder = folder.resolve()
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"Expected a folder to write to. Received: the file {folder}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh, old = (folder.with_name(f".{folder.name}.{which}") for which in ("new", "old"))
    shutil.rmtree(fresh, ignore_errors=True)  # of a save that was killed
    fresh.mkdir()
    try:
        yield fresh
        finish_swap(folder)
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def finish_swap(folder: Path) -> None:
    """Undo a swap of folders that was killed between its two steps."""
    old = folder.with_name(f".{folder.name}.old")
    if old.exists() and not folder.exists():
        old.rename(folder)
    elif old.exists():
        shutil.rmtree(old)


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors by name, as safetensors."""
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read what `write_tensors` wrote; `CheckpointError` where it is something else."""
    tensors: dict[str, Tensor] = checked(path, load_file)
    return tensors


def checked(path: Path, load: Callable[[Path], Any]) -> Any:
    """What `load` makes of a file of safetensors.

    Raises:
        CheckpointError: The file is missing, or holds something else.
    """
    if not path.is_file():
        refuse_pickle(path.parent)
        raise CheckpointError(f"Expected the file {path}. It is missing: copy the whole folder.")
    try:
        return load(path)
    except SafetensorError as error:
        raise CheckpointError(
            f"Expected safetensors in {path}. Received something else ({error}). superlink reads "
            "no pickles, since they can run code."
        ) from error


def refuse_pickle(folder: Path) -> None:
    """Raise `CheckpointError` where a folder holds pickles in the place of safetensors."""
    pickles = [p.name for p in folder.glob("*") if p.suffix in PICKLES] if folder.is_dir() else []
    if pickles:
        raise CheckpointError(
            f"Expected safetensors in {folder}. Received: {', '.join(sorted(pickles))}. superlink "
            "reads no pickles, since they can run code. Convert with safetensors.torch.save_file."
        )
