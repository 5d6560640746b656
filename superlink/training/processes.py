"""The processes of a run: what each of them found, and weights that engines cut in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar, cast

import torch
from torch import distributed, nn

from ..checkpoint import UNREADABLE
from ..errors import CheckpointError, ConfigError, SuperLinkError

__all__ = [
    "WRITE_ERRORS",
    "compute_in_full_precision",
    "everywhere",
    "first_does",
    "from_first",
    "is_cut",
    "is_first",
    "join",
    "num_processes",
    "whole_weights",
]

T = TypeVar("T")
WRITE_ERRORS = (*UNREADABLE, SuperLinkError, RuntimeError)
"""What writing to a full disk raises, torch's own error included."""


def join() -> None:
    """Take the place among the processes that a launcher started; alone there is none to take."""
    from accelerate import PartialState

    PartialState(cpu=not torch.cuda.is_available())


def first_does(work: Callable[[], object]) -> None:
    """Let the first process write something; where it cannot, all processes raise.

    Raises:
        CheckpointError: The first process could not write.
    """
    problem = ""
    if is_first():
        try:
            work()
        except WRITE_ERRORS as error:
            problem = str(error) or type(error).__name__
    if problem := from_first(problem):
        raise CheckpointError(problem)


def compute_in_full_precision(accelerator: Any) -> None:
    """Let autocast alone lower precision, under every engine.

    FSDP of accelerate would cast weights and inputs of decoders that ask for float32, too.

    Raises:
        ConfigError: DeepSpeed, which casts the whole model, shall train in bfloat16.
    """
    if accelerator.mixed_precision == "no":
        return
    state = accelerator.state
    if (plugin := getattr(state, "fsdp_plugin", None)) is not None:
        from torch.distributed.fsdp import MixedPrecisionPolicy

        plugin.mixed_precision_policy = MixedPrecisionPolicy()
    if getattr(state, "deepspeed_plugin", None) is not None:
        raise ConfigError(
            "DeepSpeed casts the whole model to 16 bits, decoders that need float32 included. "
            "Received: precision=bfloat16. Set precision to float32, or share the work by FSDP2."
        )


def num_processes() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if _is_on() else 1


def is_first() -> bool:
    """Whether this is the process that writes."""
    return not _is_on() or distributed.get_rank() == 0


def everywhere(value: T) -> list[T]:
    """`value` of each process, in their order; every process must call it."""
    if num_processes() == 1:
        return [value]
    found: list[Any] = [None] * num_processes()
    distributed.all_gather_object(found, value)
    return found


def from_first(value: T) -> T:
    """`value` of the first process; every process must call it, and wait for the others."""
    return everywhere(value)[0]


def is_cut(model: nn.Module) -> bool:
    """Whether an engine has cut weights of a model in pieces: FSDP2, or DeepSpeed's ZeRO-3."""
    return any(_is_piece(parameter) for parameter in model.parameters())


@contextmanager
def whole_weights(model: nn.Module) -> Iterator[None]:
    """Make weights whole for a while; every process must take part.

    What a forward has put together and nothing has cut again since, as where it stopped, is cut.
    """
    for module in model.modules():
        if hasattr(module, "reshard"):
            cast(Any, module).reshard()
    with ExitStack() as stack:
        partitioned = [p for p in model.parameters() if hasattr(p, "ds_id")]
        if partitioned:
            from deepspeed.zero import GatheredParameters

            stack.enter_context(GatheredParameters(partitioned, modifier_rank=None))
        swapped = _gather(model)
        try:
            yield
        finally:
            for module, name, piece in swapped:
                module._parameters[name] = piece


@torch.no_grad()
def _gather(model: nn.Module) -> list[tuple[nn.Module, str, nn.Parameter]]:
    """Put whole weights in the place of FSDP2's pieces, and tell where those belong."""
    known: dict[int, nn.Parameter] = {}
    swapped = []
    for module in model.modules():
        for name, piece in list(module._parameters.items()):
            if piece is None or not hasattr(piece, "full_tensor"):
                continue
            if id(piece) not in known:  # weights that have two names stay one
                whole = cast(Any, piece).full_tensor().clone()  # not a view of a padded one
                known[id(piece)] = nn.Parameter(whole, piece.requires_grad)
            module._parameters[name] = known[id(piece)]
            swapped.append((module, name, piece))
    return swapped


def _is_piece(parameter: nn.Parameter) -> bool:
    return hasattr(parameter, "full_tensor") or hasattr(parameter, "ds_id")


def _is_on() -> bool:
    return distributed.is_available() and distributed.is_initialized()
