"""What a stage trains, as one module, so that engines such as DDP and FSDP see every use of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..interfaces import LossTerm
from ..link import StateTap, module_key
from ..linked import LinkedModel
from ..linked.parts import connector_key
from .losses import IDLE
from .naming import LinkNaming

__all__ = ["WholeModel"]

_CALLED = ("decoders.", "connectors.", "queries.banks.", "regions.", "naming.heads.")
"""Where parts lie that only some samples call."""


class WholeModel(nn.Module):
    """The linked model, and the head of the link loss beside it.

    Args:
        linked: The linked model.
        shares: Whether the LLM's last hidden states are wanted beside the losses.
    """

    naming: LinkNaming | None
    """The head of the link loss, where the stage has one."""

    def __init__(self, linked: LinkedModel, *, shares: bool = False) -> None:
        super().__init__()
        self.linked = linked
        self.naming = None
        self.shares = shares
        # What FSDP shards one by one; all else is one piece, which every forward uses whole.
        self._no_split_modules = list(linked.backbone.layer_classes())

    def forward(self, counting: bool = False, **batch: Any) -> dict[str, Any]:
        """The losses of a batch of the processor.

        Args:
            counting: Whether only counts are wanted: the LLM does not run.
            batch: What the processor made.

        Returns:
            `losses`, `{name: (sum, count)}` with `link` among them, and `shared`, the last hidden
            states, where they are wanted; or `counts`, `{name: count}`.
        """
        if counting:
            counts = self.linked.loss_counts(**batch)
            if self.naming is not None:
                counts["link"] = float(self.naming.count(batch))
            return {"counts": counts}
        if not self.shares:
            return {"losses": self._losses(batch)}
        with StateTap().on(self.linked.backbone.output_head()) as tap:
            losses = self._losses(batch)
        return {"losses": losses, "shared": tap.states}

    def called(self, batch: Mapping[str, Any], losses: Collection[str]) -> set[str]:
        """The paths of the parts that a forward calls, of those that not every forward does.

        Args:
            batch: What the processor made.
            losses: The names of what the forward gave.
        """
        model, named = self.linked, self.naming is not None
        ran = {name.split("/")[0] for name in losses if not name.endswith(IDLE)}
        paths = {f"decoders.{module_key(name)}" for name in ran & model.bound.keys()}
        for token in {route.token for route in batch["routes"]}:
            binding = model.vocabulary.bindings[token]
            paths.add(f"queries.banks.{module_key(binding.bank)}")
            if named or binding.decoder in ran:
                paths.add(f"connectors.{connector_key(binding)}")
            if named:
                size = model.bound[binding.decoder].decoder.cond_size
                paths.add(f"naming.heads.{size}")
        return paths if batch.get("regions") is None else {*paths, "regions"}

    def forget(self, called: Collection[str]) -> None:
        """Take the gradients from parts that no forward of a step called.

        They are zero, where anything gave them one: idle calls, or a sum over all parts. An
        optimizer would still move such weights, by momentum and decay.

        Args:
            called: Paths of `called`, over all forwards and processes of the step.
        """
        parts = tuple(f"{path}." for path in called)
        kept, everything = set(), [*self.named_parameters(remove_duplicate=False)]
        for name, parameter in everything:
            path = name.removeprefix("linked.")
            # The dot ends the path of a bank as well, which is a parameter itself.
            if not path.startswith(_CALLED) or f"{path}.".startswith(parts):
                kept.add(id(parameter))
        for _, parameter in everything:
            if id(parameter) not in kept:
                parameter.grad = None

    def _losses(self, batch: dict[str, Any]) -> dict[str, LossTerm]:
        out = self.linked(**batch)
        losses: dict[str, LossTerm] = out.losses
        if self.naming is not None:
            losses["link"] = self.naming(out.links, batch)
        if self.linked.idle:
            losses["every weight/idle"] = self._touch(), 1.0
        return losses

    def _touch(self) -> Tensor:
        """Zero, with a gradient of zero for each trained weight: DDP and FSDP wait for all of
        them, also for those that a batch, or the model itself, does not use.

        Weights of which another module holds a piece are seen by that module's own forward.
        """
        trained = [p for p in self.parameters() if p.requires_grad]
        plain = [p for p in trained if not hasattr(p, "full_tensor") and p.numel()]
        none = torch.zeros((), device=self.linked.device)
        return sum((0.0 * p.flatten()[0].float() for p in plain), none)
