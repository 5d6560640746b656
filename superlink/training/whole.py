"""What a stage trains, as one module, so that engines such as DDP and FSDP see every use of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..interfaces import LossTerm
from ..link import StateTap
from ..linked import LinkedModel
from .naming import LinkNaming

__all__ = ["WholeModel"]


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
