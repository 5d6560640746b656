"""Where a training starts: from the weights of a checkpoint, all of them or some parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from ..build import load
from ..errors import CheckpointError, ConfigError
from ..linked import LinkedModel
from ..registry import Registry

__all__ = ["start_from"]

_ROWS = ("queries.tokens", "queries.token_outputs")


def start_from(
    model: LinkedModel, folder: str | Path, parts: Sequence[str] | None, registry: Registry
) -> None:
    """Give a model the weights of a checkpoint, by their names.

    Args:
        model: A linked model; where all is taken, a region encoder that the checkpoint lacks stays
            as it is.
        folder: The checkpoint.
        parts: Module paths that take weights; None: all.
        registry: Where the checkpoint's backbone and decoders are looked up.

    Raises:
        CheckpointError: The folder is no checkpoint, or its weights of these parts do not fit.
        ConfigError: A part leads to no weight of the model.
    """
    source = load(folder, registry)
    own, theirs = model.state_dict(), source.state_dict()
    for part in parts or ():
        if not _below(own, [part]):
            raise ConfigError(
                f"start_parts names {part!r}, and no weight lies below it. Paths begin with "
                f"{', '.join(sorted({name.split('.')[0] for name in own}))}."
            )
    fresh = [name for name in _below(own, ["regions"]) if name not in theirs]
    wanted = [name for name in own if name not in fresh] if parts is None else _below(own, parts)
    shapes = {name: (own[name].shape, getattr(theirs.get(name), "shape", None)) for name in wanted}
    if different := [name for name, (here, there) in shapes.items() if here != there]:
        here, there = shapes[different[0]]
        raise CheckpointError(
            f"The model of {folder} is built otherwise. Received: {len(different)} weights that "
            f"differ, the first {different[0]!r}: {there and tuple(there)} there, {tuple(here)} "
            "here. Give the recipe the same settings, or name the parts that fit by start_parts."
        )
    here, there = model.vocabulary.controls, source.vocabulary.controls
    if here != there and _below(wanted, _ROWS):
        raise CheckpointError(
            f"The rows of routing tokens are told apart by their order. Received: {there} in "
            f"{folder}, {here} here. Name the decoders and tokens of the recipe in the same order."
        )
    with torch.no_grad():
        for name in wanted:
            own[name].copy_(theirs[name])


def _below(names: Iterable[str], paths: Sequence[str]) -> list[str]:
    return [name for name in names if any(f"{name}.".startswith(f"{path}.") for path in paths)]
