"""The hooks of the link: ids of control tokens and slots -> vectors at the input, logits at the
output, and the tap of the last hidden state. The tables of the backbone stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..errors import BackboneError, RoutingError
from ..interfaces import Backbone

__all__ = ["LinkHooks", "LinkRows", "StateTap"]


class LinkRows(Protocol):
    """Where the vectors of the link come from."""

    def input_rows(self) -> Tensor:
        """(n, C) one vector for each linked id: control tokens first, then slots."""

    def output_rows(self) -> Tensor:
        """(c, C) one vector for each control token; slots have no logit."""


class LinkHooks:
    """Hooks on the input embedding and the output head of one backbone.

    An id of the link is looked up nowhere: before the lookup it is exchanged for a safe id, and
    after it the value is put in its place. The output head gets one more column for each control
    token. Nothing else changes, so that removing the hooks gives the model back bit for bit. A
    third hook, on the backbone, sees to it that no forward gets past the other two.

    Args:
        rows: The source of the vectors, a module of the same model.
        ids: The linked ids, in the order of `rows.input_rows()`.
        num_controls: How many of them, the first ones, are control tokens.
        vocab_size: Columns of the bare output head.
        regions: Whether the last id is that of a region: no row of `rows` is its value, but what
            `filled` is told.
    """

    def __init__(
        self,
        rows: LinkRows,
        ids: Sequence[int],
        num_controls: int,
        vocab_size: int,
        *,
        regions: bool = False,
    ) -> None:
        if len(set(ids)) != len(ids):
            raise RoutingError(f"Each linked token needs an id of its own. Received: ids={ids}")
        self.rows = rows
        self.controls = list(ids[:num_controls])
        self.width = max(vocab_size, *(i + 1 for i in self.controls))
        self.first = min(ids)
        self.index = torch.full((max(ids) - self.first + 1,), -1, dtype=torch.long)
        self.index[torch.tensor(ids) - self.first] = torch.arange(len(ids))
        self._region = len(ids) - 1 if regions else None
        self.region_values: Tensor | None = None
        """(B, most regions of a row, C) for the next forwards, see `filled`."""
        self._checked = False
        self._pending: Tensor | None = None
        self._fired = False
        self._modules: list[nn.Module] = []
        self._on_modules: list[RemovableHandle] = []
        self._on_backbone: list[RemovableHandle] = []

    def attach(self, backbone: Backbone) -> None:
        """Put the hooks on.

        Raises:
            RoutingError: Another link is on the backbone already.
        """
        self.detach()
        self._hook_modules(backbone)
        self._on_backbone = [
            backbone.register_forward_pre_hook(self._check_modules),
            backbone.register_forward_hook(self._check_fired, with_kwargs=True),
        ]

    def _hook_modules(self, backbone: Backbone) -> None:
        modules = _hooked_modules(backbone)
        if any(map(_is_linked, modules)):
            raise RoutingError(
                "A backbone carries one link. Received: one that has a link already. Give all "
                "decoders to one model, or call `detach()` on the other model first."
            )
        self._modules = modules
        *embeddings, head = modules[: len(modules) - len(backbone.side_embeddings())]
        for module in backbone.side_embeddings():
            handle = module.register_forward_pre_hook(self._hide_side_ids, with_kwargs=True)
            self._on_modules.append(handle)
        for module in embeddings:
            before = module.register_forward_pre_hook(self._hide_ids, with_kwargs=True)
            after = module.register_forward_hook(self._put_values)
            self._on_modules += [before, after]
        self._on_modules.append(head.register_forward_hook(self._add_logits, with_kwargs=True))

    def detach(self) -> None:
        """Take the hooks off."""
        for handle in (*self._on_modules, *self._on_backbone):
            handle.remove()
        self._on_modules, self._on_backbone, self._modules = [], [], []

    @property
    def attached(self) -> bool:
        """Whether the hooks are on."""
        return bool(self._on_backbone)

    @contextmanager
    def filled(self, values: Tensor | None, *, checked: bool = False) -> Iterator[None]:
        """Give the regions of each row, in their order, these values inside of the `with` block.

        Args:
            values: (B, most regions of a row, C). A forward may have several rows for each of B,
                side by side.
            checked: Whether an earlier forward has read all regions that come: they are not counted
                again, which on an accelerator is a wait in each step of a generation.
        """
        before = self.region_values, self._checked
        self.region_values, self._checked = values, checked
        try:
            yield
        finally:
            self.region_values, self._checked = before

    def positions(self, ids: Tensor) -> Tensor:
        """For each id its index in the input rows, -1 where it is not linked."""
        self.index = self.index.to(ids.device)
        offset = ids - self.first
        inside = (offset >= 0) & (offset < len(self.index))
        return torch.where(inside, self.index[offset.clamp(0, len(self.index) - 1)], -1)

    def _hide_ids(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        self._pending = None  # of a lookup that failed
        found = self._linked_positions(args, kwargs)
        if found is None:
            return None
        positions, self._fired = found, True
        if positions.device.type == "cpu" and not (positions >= 0).any():
            return None  # most steps of a generation; on other devices the question costs a wait
        self._pending = positions
        return _masked(args, kwargs, positions >= 0)

    def _hide_side_ids(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """For a table of something else: linked ids read the row of id 0 there."""
        positions = self._linked_positions(args, kwargs)
        return None if positions is None else _masked(args, kwargs, positions >= 0)

    def _linked_positions(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        ids = args[0] if args else next(iter(kwargs.values()))
        if not isinstance(ids, Tensor) or ids.is_floating_point() or ids.dim() < 2:
            return None  # a model may look single tokens up, such as its image placeholder
        return self.positions(ids)

    def _put_values(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        pending, self._pending = self._pending, None
        if pending is None:
            return output
        values = self.rows.input_rows().to(output.dtype)
        linked = nn.functional.embedding(pending.clamp(0, len(values) - 1), values)
        output = torch.where((pending >= 0)[..., None], linked, output)
        return output if self._region is None else self._put_regions(pending, output)

    def _put_regions(self, pending: Tensor, output: Tensor) -> Tensor:
        """Put the values of regions into (B, T, C), row by row in their order."""
        known = self.region_values
        if known is None and self._checked:
            return output
        is_region = torch.eq(pending, -1 if self._region is None else self._region)
        order = is_region.cumsum(1) - 1  # (B, T)
        if known is None or not (self._checked or int(order.max()) < known.shape[1]):
            if not is_region.any():
                return output
            raise RoutingError(
                f"Expected the values of {int(order.max()) + 1} regions in a row. Received: "
                f"{0 if known is None else known.shape[1]}. Give `regions` to the model's forward."
            )
        rows = torch.arange(len(pending), device=pending.device) * len(known) // len(pending)
        values = known.to(output.dtype)[rows[:, None], order.clamp(min=0)]
        return torch.where(is_region[..., None], values, output)

    def _add_logits(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], logits: Tensor
    ) -> Tensor:
        states = args[0] if args else next(iter(kwargs.values()))
        extra = states @ self.rows.output_rows().to(states.dtype).T  # (..., c)
        extra = extra.to(logits.dtype)  # autocast may have chosen another one for each
        width = logits.shape[-1]
        if self.controls == list(range(width, self.width)):
            return torch.cat([logits, extra], dim=-1)
        # Ids inside padding rows of the table, or beyond a gap: no real token lives there.
        missing = max(self.width - width, 0)
        gap = logits.new_full((*logits.shape[:-1], missing), -torch.inf)
        columns = torch.tensor(self.controls, device=logits.device)
        return torch.cat([logits, gap], dim=-1).index_copy(-1, columns, extra)

    def _check_modules(self, backbone: nn.Module, args: tuple[Any, ...]) -> None:
        """Follow a model that was wrapped, merged or resized: its modules may be others now."""
        self._fired = False
        current = _hooked_modules(cast(Backbone, backbone))
        if [*map(id, current)] != [*map(id, self._modules)]:
            for handle in self._on_modules:
                handle.remove()
            self._on_modules = []
            self._hook_modules(cast(Backbone, backbone))

    def _check_fired(
        self, backbone: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> None:
        """A model that goes past its modules would ignore the link in silence."""
        if output.logits.shape[-1] < self.width:
            raise BackboneError(
                "Expected the backbone to call its `output_head()`, where the logits of routing "
                f"tokens are added: {self.width} columns. Received: {output.logits.shape[-1]}. "
                "Call the module; do not multiply with its weight."
            )
        ids = (args[0] if args else kwargs["inputs"])["input_ids"]
        if not self._fired and bool((self.positions(ids) >= 0).any()):
            raise BackboneError(
                "Expected the backbone to look `input_ids` up in one of its "
                "`embedding_modules()`. It did not, so that the queries were not used: give the "
                "module that does, and hand ids to the model, not `inputs_embeds`."
            )


def _hooked_modules(backbone: Backbone) -> list[nn.Module]:
    """The embeddings of a backbone, then its head, then tables of something else."""
    main = [*backbone.embedding_modules(), backbone.output_head()]
    return [*main, *backbone.side_embeddings()]


def _masked(
    args: tuple[Any, ...], kwargs: dict[str, Any], linked: Tensor
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a lookup, with the safe id 0 in the place of linked ones."""
    if args:
        return (args[0].masked_fill(linked, 0), *args[1:]), kwargs
    name = next(iter(kwargs))
    return args, {**kwargs, name: kwargs[name].masked_fill(linked, 0)}


def _is_linked(module: nn.Module) -> bool:
    hooks = (*module._forward_pre_hooks.values(), *module._forward_hooks.values())
    return any(isinstance(getattr(hook, "__self__", None), LinkHooks) for hook in hooks)


class StateTap:
    """Reads what enters the output head: the last hidden state, after the final norm."""

    def __init__(self) -> None:
        self._states: Tensor | None = None

    @contextmanager
    def on(self, head: nn.Module) -> Iterator[StateTap]:
        """Listen to `head` inside of the `with` block."""
        handle = head.register_forward_pre_hook(self._keep, with_kwargs=True)
        try:
            yield self
        finally:
            handle.remove()

    @property
    def states(self) -> Tensor:
        """(B, T, C) of the last forward; raises `BackboneError` where the head was not called."""
        if self._states is None:
            raise BackboneError(
                "Expected the model to call its output head in each forward, to read the last "
                "hidden state there. It was not called: give the backbone's `output_head` another "
                "module."
            )
        return self._states

    def _keep(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._states = args[0] if args else next(iter(kwargs.values()))
