"""Where a training starts: from the weights of a checkpoint, all of them or some parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..build import load
from ..errors import CheckpointError, ConfigError
from ..interfaces import Backbone
from ..linked import LinkedModel
from ..registry import Registry

__all__ = ["start_from"]

_ROWS = ("queries.tokens", "queries.token_outputs")


def start_from(
    model: LinkedModel, folder: str | Path, parts: Sequence[str] | None, registry: Registry
) -> None:
    """Give a model the weights of a checkpoint, by their names.

    LoRA of the checkpoint goes into its weights where the model has none.

    Args:
        model: A linked model. LoRA that the checkpoint lacks stays as it is; so does a region
            encoder where all is taken.
        folder: The checkpoint.
        parts: Module paths that take weights; None: all.
        registry: Where the checkpoint's backbone and decoders are looked up.

    Raises:
        CheckpointError: The folder is no checkpoint, its weights of these parts do not fit, or its
            words or routing tokens are others.
        ConfigError: A part leads to no weight of the model.
    """
    source = load(folder, registry)
    if source.backbone.has_adapter() and not model.backbone.has_adapter():
        source.backbone.remove_lora(merge=True)
    (own, adapter), (theirs, other) = _weights(model), _weights(source)
    for part in parts or ():
        if not _below(own, [part]):
            raise ConfigError(
                f"start_parts names {part!r}, and no weight lies below it. Paths begin with "
                f"{', '.join(sorted({name.split('.')[0] for name in own}))}."
            )
    fresh = {*adapter} if not other else set()
    if parts is None:
        fresh |= {name for name in _below(own, ["regions"]) if name not in theirs}
    wanted = [n for n in (own if parts is None else _below(own, parts)) if n not in fresh]
    _check_shapes(own, theirs, wanted, folder)
    here, there = model.vocabulary.controls, source.vocabulary.controls
    if here != there and _below(wanted, _ROWS):
        raise CheckpointError(
            f"The rows of routing tokens are told apart by their order. Received: {there} in "
            f"{folder}, {here} here. Name the decoders and tokens of the recipe in the same order."
        )
    tables = [*model.backbone.embedding_modules(), model.backbone.output_head()]
    places = {weight.data_ptr() for table in tables for weight in table.parameters()}
    if any(own[name].data_ptr() in places for name in wanted):
        _check_words(model, source, folder)
    with torch.no_grad():
        for name in wanted:
            if not torch.equal(own[name], theirs[name]):  # see TaskDecoder.kept_elsewhere
                own[name].copy_(theirs[name])


def _weights(model: LinkedModel) -> tuple[dict[str, Tensor], list[str]]:
    """All weights by their names, those of the backbone as they are called without an adapter, and
    the names of the adapter's own."""
    base = {f"backbone.{n}": value for n, value in model.backbone.base_state_dict().items()}
    places = {value.data_ptr() for value in base.values()}
    adapter, rest = {}, {}
    for name, value in model.state_dict().items():
        if not name.startswith("backbone."):
            rest[name] = value
        elif name not in base and value.data_ptr() not in places:
            adapter[name] = value
    return {**base, **adapter, **rest}, [*adapter]


def _check_shapes(
    own: Mapping[str, Tensor],
    theirs: Mapping[str, Tensor],
    names: Sequence[str],
    folder: str | Path,
) -> None:
    shapes = {name: (own[name].shape, getattr(theirs.get(name), "shape", None)) for name in names}
    if different := [name for name, (here, there) in shapes.items() if here != there]:
        here, there = shapes[different[0]]
        raise CheckpointError(
            f"The model of {folder} is built otherwise. Received: {len(different)} weights that "
            f"differ, the first {different[0]!r}: {there and tuple(there)} there, {tuple(here)} "
            "here. Give the recipe the same settings, or name the parts that fit by start_parts."
        )


def _check_words(model: LinkedModel, source: LinkedModel, folder: str | Path) -> None:
    """Raise where a row of the tables means another word, which shapes do not tell."""
    controls = {*model.vocabulary.ids.values(), *source.vocabulary.ids.values()}
    for index in range(model.backbone.vocab_size):
        if index in controls:  # of the link, in rows that no word uses
            continue
        here, there = (_word(one.backbone, index) for one in (model, source))
        if here != there:
            raise CheckpointError(
                f"The words of the model of {folder} are others. Received: the id {index} is "
                f"{there!r} there, {here!r} here. Give the backbone of the recipe the same words "
                "in the same order, or name parts without its tables by start_parts."
            )


def _word(backbone: Backbone, index: int) -> str:
    """What an id spells; nothing where a table has more rows than there are words."""
    try:
        return backbone.decode([index])
    except (LookupError, TypeError, ValueError):  # each tokenizer has its own
        return ""


def _below(names: Iterable[str], paths: Sequence[str]) -> list[str]:
    return [name for name in names if any(f"{name}.".startswith(f"{path}.") for path in paths)]
