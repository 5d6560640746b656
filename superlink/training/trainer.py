"""SuperLinkTrainer: transformers' Trainer on a linked model; one stage of a recipe."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Sampler, SequentialSampler
from transformers import PrinterCallback, TrainingArguments

from ..build import restore
from ..checkpoint import read_tensors
from ..errors import SuperLinkError
from ..interfaces import LossTerm
from ..model import SuperLinkModel
from ..registry import Registry
from .averaging import MovingAverage
from .collation import Collator
from .dataset import StageDataset, from_worker
from .health import Health
from .losses import IDLE, LossLog, summed
from .mixture import Mixture
from .monitor import Throughput, part_norms
from .naming import LinkNaming
from .parameters import parameter_groups
from .processes import (
    compute_in_full_precision,
    everywhere,
    is_first,
    num_processes,
    whole_weights,
)
from .progress import StageProgress
from .recipe import Stage
from .saving import EXTRAS, SavingTrainer
from .weighting import build_weighting
from .whole import WholeModel

__all__ = ["SuperLinkTrainer"]


@dataclass(frozen=True)
class _Found:
    """What one process found in a forward."""

    counts: Mapping[str, float]
    dropped: int
    bad: int
    broken: str
    called: Set[str]


class SuperLinkTrainer(SavingTrainer):
    """Trains one stage.

    What is ours: the loss with its parts, learning rates by module path, the order of the data,
    and the format of checkpoints. The loop, devices, precision, clipping and schedules are
    transformers'.

    Every loss of a step is its sum over all forwards and processes, divided by its count over all
    of them; parts that no sample of it calls, as the decoder of another task, are left as they are.
    So a step is the same on any number of devices, accumulated or not.

    Args:
        model: The linked model; what it trains is frozen or not already.
        arguments: From `stage_arguments`.
        stage: The stage.
        dataset: Its samples, from `stage_samples`.
        registry: Where a checkpoint's backbone is looked up; None takes what is installed.
        progress: Whether to show a bar.
    """

    def __init__(
        self,
        model: SuperLinkModel,
        arguments: TrainingArguments,
        stage: Stage,
        dataset: StageDataset | Mixture,
        *,
        registry: Registry | None = None,
        progress: bool = True,
    ) -> None:
        self.stage, self.linked, self.registry = stage, model, registry
        names = ["lm", *model.bound]
        self.weighting = build_weighting(stage.loss_weighting, names)
        self.whole = WholeModel(model, shares=stage.loss_weighting == "gradnorm")
        self.samples = dataset
        self.num_samples = len(dataset)
        self.collator = Collator(
            model.processor,
            run_decoders=stage.run_decoders,
            skip_bad=stage.max_bad_samples > 0,
            always_image=arguments.world_size > 1,
        )
        self.num_dropped = self.num_bad = 0
        self._counts: dict[str, float] | None = None
        self._forward = 0
        self._called: set[str] = set()
        self._log_of_losses, self._throughput = LossLog(), Throughput()
        self._seconds_before, self._started = 0.0, _cpu_time()
        self._norms: dict[str, float] = {}
        super().__init__(
            model=self.whole, args=arguments, train_dataset=dataset, data_collator=self._collate
        )
        if self.weighting is not None:
            self.weighting.to(self.args.device)
        compute_in_full_precision(self.accelerator)
        # Only now: the model is on its device, and the seed of the stage is set.
        if stage.link_loss:
            self.whole.naming = LinkNaming(model).to(self.args.device)
        self.average = MovingAverage(model, stage.ema) if stage.ema else None
        self.health = Health(self)
        self.bar = StageProgress(stage.name) if progress and is_first() else None
        for callback in filter(None, (self.average, self.bar)):
            self.add_callback(callback)
        self.remove_callback(PrinterCallback)
        # Our loss divides by counts of the whole step; the Trainer shall neither count nor divide.
        self.model_accepts_loss_kwargs, self.loss_is_scaled_for_ga = False, True

    @property
    def cpu_seconds(self) -> float:
        """Processor time of the stage, interrupted runs up to their last checkpoint included.

        That of all processes; that of loader workers counts once they have ended.
        """
        return self._seconds_before + sum(everywhere(_cpu_time() - self._started))

    def run(self, checkpoint: Path | None = None) -> None:
        """Train, from the start or from a checkpoint of the stage."""
        if checkpoint is not None:
            self._restore(checkpoint)
        try:
            self.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        except SuperLinkError as error:
            if (plain := from_worker(error)) is error:
                raise
            raise plain from error
        finally:
            if self.bar is not None:
                self.bar.close()

    def _collate(self, samples: list[Any]) -> dict[str, Any]:
        return {**self.collator(samples)}

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        """The data set has its order already."""
        return SequentialSampler(range(self.num_samples))

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW with one group for each learning rate of the stage."""
        if self.optimizer is None:
            groups = parameter_groups(self.linked, self.stage)
            if self.whole.naming is not None:
                rate = max(group["lr"] for group in groups)
                head = {"params": list(self.whole.naming.parameters()), "lr": rate}
                groups.append({**head, "weight_decay": 0.0})
            self.optimizer = torch.optim.AdamW(groups, betas=self.stage.adam_betas, foreach=True)
        return self.optimizer

    def get_batch_samples(
        self, epoch_iterator: Any, num_batches: int, device: torch.device
    ) -> tuple[list[Any], None]:
        """The batches of a step; where there are several, their losses are counted beforehand."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        self._forward = 0
        self._called.clear()
        self._counts = self._count(batches) if num_batches > 1 else None
        return batches, None

    def _count(self, batches: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        counts = []
        self.model_wrapped.train()  # as for the step itself: some decoders lose more in training
        for batch in batches:
            inputs = self._prepare_inputs({**batch})
            with torch.no_grad(), self.compute_loss_context_manager():
                counts.append(self.model_wrapped(counting=True, **inputs)["counts"])
        return summed(everywhere(summed(counts)))

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The weighted sum of all losses of a forward; parts are logged."""
        self._throughput.add(inputs)
        out = model(**inputs)
        losses: dict[str, LossTerm] = out["losses"]
        found = everywhere(
            _Found(
                {name: float(count) for name, (_, count) in losses.items()},
                len(inputs["dropped"]),
                len(inputs["bad"]),
                self.health.broken(losses, self._forward),
                self.whole.called(inputs, losses),
            )
        )
        self._called.update(*(each.called for each in found))
        self._forward += 1
        self.health.check([each.broken for each in found])
        self.num_dropped += sum(each.dropped for each in found)
        self.num_bad = self.health.pass_over(inputs["bad"], sum(each.bad for each in found))
        counts = self._counts or summed(each.counts for each in found)
        self._log_of_losses.add(self.state.global_step, losses, counts)
        loss = self._total(losses, counts, out.get("shared"))
        return (loss, out) if return_outputs else loss

    def _total(
        self, losses: Mapping[str, LossTerm], counts: Mapping[str, float], shared: Tensor | None
    ) -> Tensor:
        """What this process adds to the loss of the step; engines take the mean over processes."""
        idle = (value for name, (value, _) in losses.items() if name.endswith(IDLE))
        rest = sum(idle, torch.zeros((), device=self.args.device))
        taught = {n: term for n, term in losses.items() if n != "link" and not n.endswith(IDLE)}
        groups = self.linked.grouped(taught, counts)
        total = sum(groups.values()) if self.weighting is None else self.weighting(groups, shared)
        if "link" in losses:
            total = total + self.stage.link_loss * losses["link"][0] / max(counts["link"], 1.0)
        return num_processes() * total + rest

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        """Clip the gradient of the linked model; the head of the link loss is not part of it.

        What the step did not call has no gradient from here on.
        """
        if not self.is_deepspeed_enabled:  # which holds gradients elsewhere
            self.whole.forget(self._called)
        self._norms = part_norms(self.linked) if self._logs_next() else {}
        norm = self.accelerator.clip_grad_norm_(self.linked.parameters(), self.args.max_grad_norm)
        self.health.check_gradient(norm)
        if self.weighting is not None:
            self.weighting.update()
        return norm

    def _logs_next(self) -> bool:
        return (self.state.global_step + 1) % int(self.args.logging_steps) == 0

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the losses since the last log, norms of gradients, pace, and what was left out."""
        losses = self._log_of_losses.read()
        logs |= {f"loss/{name}": round(value, 5) for name, value in losses.items()}
        if losses:
            norms = self._norms.items()
            logs |= {f"grad_norm/{name}": round(value, 5) for name, value in norms}
            weights = self.weighting.by_name() if self.weighting is not None else {}
            logs |= {f"loss_weight/{name}": round(value, 5) for name, value in weights.items()}
            logs |= self._throughput.read(_over_processes)
            seen = self.state.global_step * self.stage.batch_size
            logs |= {f"epochs/{name}": n for name, n in self.samples.epochs(seen).items()}
        if self.num_dropped:
            logs["dropped_samples"] = float(self.num_dropped)
        if self.num_bad:
            logs["bad_samples"] = float(self.num_bad)
        super().log(logs, start_time)

    def _restore(self, folder: Path) -> None:
        restore(self.linked, folder, self.registry)
        extras = read_tensors(folder / EXTRAS)
        if self.average is not None:
            self.average.load_state_dict(_part(extras, "average."))
        if self.whole.naming is not None:
            self.whole.naming.load_state_dict(_part(extras, "naming."))
        if self.weighting is not None:
            self.weighting.load_state_dict(_part(extras, "weighting."))
        self.num_dropped, self.num_bad = int(extras["num_dropped"]), int(extras["num_bad"])
        self._seconds_before = float(extras["cpu_seconds"])

    def before_saving(self) -> None:
        """Take the time of all processes."""
        self._seconds_at_save = self.cpu_seconds

    def extras(self) -> dict[str, Tensor]:
        """The moving average, the head of the link loss, weights of losses, counters."""
        average = self.average.state_dict() if self.average else {}
        weighting = {} if self.weighting is None else self.weighting.state_dict()
        naming = {}
        if self.whole.naming is not None:
            with whole_weights(self.whole.naming):
                naming = {n: v.clone() for n, v in self.whole.naming.state_dict().items()}
        return {
            "num_dropped": torch.tensor(self.num_dropped),
            "num_bad": torch.tensor(self.num_bad),
            "cpu_seconds": torch.tensor(self._seconds_at_save),
            **{f"average.{name}": value for name, value in average.items()},
            **{f"naming.{name}": value for name, value in naming.items()},
            **{f"weighting.{name}": value for name, value in weighting.items()},
        }


def _over_processes(counts: Tensor) -> Tensor:
    return torch.stack(everywhere(counts.cpu())).sum(0)


def _cpu_time() -> float:
    """Of this process, and of those that it has waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
