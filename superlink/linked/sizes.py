"""How large the parts of a linked model are, in memory and in a checkpoint. No weight is read, so
that a model on the meta device will do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from ..interfaces import TaskDecoder
from .bound import kept_names
from .joined import LinkedModel

__all__ = ["PartSize", "part_sizes"]


@dataclass(frozen=True)
class PartSize:
    """One part of a linked model."""

    name: str
    """`backbone`, `adapter` (LoRA), `queries` (with the rows of the routing tokens), `regions`,
    `connectors`, or `decoder NAME`."""
    parameters: int
    """Numbers that it holds; of a quantized weight, those that it is packed into."""
    trained: int
    """How many of them take gradients now."""
    weight_bytes: int
    """Memory of its parameters and buffers."""
    trained_bytes: int
    """Memory of those that take gradients, in the precision that they have."""
    checkpoint_bytes: int
    """What a checkpoint writes for it."""


def part_sizes(model: LinkedModel, *, backbone_changed: bool = False) -> list[PartSize]:
    """The sizes of backbone, adapter (where there is one), queries, connectors and each decoder.

    What several parts share counts once, for the first of them.

    Args:
        model: The linked model, on any device.
        backbone_changed: Whether the backbone was trained before, and is frozen now. A checkpoint
            writes it where it was trained, is trained now, or cannot be loaded from its source.
    """
    base = _distinct(model.backbone.base_state_dict().values())
    storages = {id(tensor.untyped_storage()) for tensor in base}
    inside = list(model.backbone.parameters())
    own = [p for p in inside if id(p.untyped_storage()) in storages]
    adapter = [p for p in inside if id(p.untyped_storage()) not in storages]
    written = backbone_changed or _is_written(model, own)
    seen: set[int] = set()
    backbone_bytes = _bytes(base) if written else 0
    sizes = [_size("backbone", own, model.backbone.buffers(), backbone_bytes, seen)]
    if adapter:
        sizes.append(_size("adapter", adapter, (), _bytes(_distinct(adapter)), seen))
    for name, part in _other_parts(model):
        state = part.state_dict()
        kept = kept_names(part, state) if isinstance(part, TaskDecoder) else state
        saved = _bytes(_distinct(state[key] for key in kept))
        sizes.append(_size(name, part.parameters(), part.buffers(), saved, seen))
    return sizes


def _other_parts(model: LinkedModel) -> Iterator[tuple[str, nn.Module]]:
    yield "queries", model.queries
    if model.regions is not None:
        yield "regions", model.regions
    yield "connectors", model.connectors
    for name, bound in model.bound.items():
        yield f"decoder {name}", bound.decoder


def _is_written(model: LinkedModel, own: Iterable[nn.Parameter]) -> bool:
    """Whether a checkpoint holds the backbone; see `superlink.checkpoint.save`."""
    origin = model.origin
    if origin is None or origin.config.get("source") is None or not origin.fingerprint:
        return True
    return any(parameter.requires_grad for parameter in own)


def _size(
    name: str,
    parameters: Iterable[nn.Parameter],
    buffers: Iterable[Tensor],
    checkpoint_bytes: int,
    seen: set[int],
) -> PartSize:
    fresh = [p for p in parameters if id(p) not in seen]
    seen.update(map(id, fresh))
    trained = [p for p in fresh if p.requires_grad]
    return PartSize(
        name=name,
        parameters=sum(p.numel() for p in fresh),
        trained=sum(p.numel() for p in trained),
        weight_bytes=_bytes((*fresh, *buffers)),
        trained_bytes=_bytes(trained),
        checkpoint_bytes=checkpoint_bytes,
    )


def _distinct(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Each piece of memory once, as files hold what is tied once. Addresses would not do: on the
    meta device all are 0."""
    pieces = {
        (id(tensor.untyped_storage()), tensor.storage_offset(), tensor.shape): tensor
        for tensor in tensors
    }
    return list(pieces.values())


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
