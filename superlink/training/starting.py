"""Where a training starts: from the weights of a checkpoint, all of them or some parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import nn

from ..build import load
from ..errors import CheckpointError, ConfigError
from ..registry import Registry

__all__ = ["start_from"]


def start_from(
    model: nn.Module, folder: str | Path, parts: Sequence[str] | None, registry: Registry
) -> None:
    """Give a model the weights of a checkpoint, by their names.

    Args:
        model: A linked model; what of its region encoder the checkpoint lacks stays as it is.
        folder: The checkpoint.
        parts: Module paths that take weights; None: all.
        registry: Where the checkpoint's backbone and decoders are looked up.

    Raises:
        CheckpointError: The folder is no checkpoint, or its weights of these parts do not fit.
        ConfigError: A part leads to no weight of the model.
    """
    own, theirs = model.state_dict(), load(folder, registry).state_dict()
    for part in parts or ():
        if not _below(own, [part]):
            raise ConfigError(
                f"start_parts names {part!r}, and no weight lies below it. Paths begin with "
                f"{', '.join(sorted({name.split('.')[0] for name in own}))}."
            )
    wanted = [*own] if parts is None else _below(own, parts)
    wanted = [name for name in wanted if name in theirs or not name.startswith("regions.")]
    shapes = {name: (own[name].shape, getattr(theirs.get(name), "shape", None)) for name in wanted}
    if different := [name for name, (here, there) in shapes.items() if here != there]:
        here, there = shapes[different[0]]
        raise CheckpointError(
            f"The model of {folder} is built otherwise. Received: {len(different)} weights that "
            f"differ, the first {different[0]!r}: {there and tuple(there)} there, {tuple(here)} "
            "here. Give the recipe the same settings, or name the parts that fit by start_parts."
        )
    with torch.no_grad():
        for name in wanted:
            own[name].copy_(theirs[name])


def _below(names: Iterable[str], paths: Sequence[str]) -> list[str]:
    return [name for name in names if any(f"{name}.".startswith(f"{path}.") for path in paths)]
