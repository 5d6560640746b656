"""First weights of a decoder, taken by name from a file of safetensors."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from ..errors import CheckpointError
from .files import PICKLES, read_tensors

__all__ = ["FirstWeights", "load_first_weights"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class FirstWeights:
    """What a file gave to a module."""

    loaded: tuple[str, ...]
    """Tensors that were taken."""
    missing: tuple[str, ...]
    """Tensors of the module that the file lacks; they keep the values that they were built with."""
    unexpected: tuple[str, ...]
    """Tensors of the file that the module has no place for."""
    mismatched: tuple[str, ...]
    """Tensors of another shape, as `name: (2, 3) in the file, (2, 4) in the model`."""

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.missing) + len(self.mismatched)
        lines = [f"{len(self.loaded)} of {total} tensors loaded"]
        for label in ("missing", "unexpected"):
            names: tuple[str, ...] = getattr(self, label)
            if names:
                lines.append(f"{label}: {len(names)} ({_groups(names)})")
        lines += [f"another shape: {line}" for line in self.mismatched]
        return "\n".join(lines)


def load_first_weights(module: nn.Module, path: Path, name: str) -> FirstWeights:
    """Give a module the tensors of a file that have its names and shapes; and log what did not fit.

    Args:
        module: What to start.
        path: Safetensors.
        name: What messages call the module.

    Raises:
        CheckpointError: The file is missing, is no safetensors, or nothing in it fits.
    """
    given = _read(path, name)
    own: dict[str, Tensor] = module.state_dict()
    common = given.keys() & own.keys()
    wrong = sorted(key for key in common if given[key].shape != own[key].shape)
    fitting = {key: given[key] for key in sorted(common.difference(wrong))}
    found = FirstWeights(
        loaded=tuple(fitting),
        missing=tuple(sorted(own.keys() - given.keys())),
        unexpected=tuple(sorted(given.keys() - own.keys())),
        mismatched=tuple(
            f"{key}: {tuple(given[key].shape)} in the file, {tuple(own[key].shape)} in the model"
            for key in wrong
        ),
    )
    if not fitting:
        raise CheckpointError(
            f"Nothing in {path} fits the decoder {name!r}. Expected names as {_groups(own)}. "
            f"Received:\n{found}"
        )
    module.load_state_dict(fitting, strict=False)
    level = logging.INFO if len(fitting) == len(own) == len(given) else logging.WARNING
    _LOG.log(level, "Weights of %s from %s: %s", name, path, found)
    return found


def _read(path: Path, name: str) -> dict[str, Tensor]:
    if path.suffix in PICKLES:
        raise CheckpointError(
            f"The weights of the decoder {name!r} must be safetensors. Received: {path}. superlink "
            "reads no pickles, since they can run code: convert the file, by the command of the "
            "decoder's plugin where it has one, or with safetensors.torch.save_file."
        )
    if not path.is_file():
        raise CheckpointError(
            f"Expected a file of safetensors with weights of the decoder {name!r}. Received: "
            f"{path}, which {'is a folder' if path.is_dir() else 'does not exist'} "
            f"(looked up from {Path.cwd()})."
        )
    return read_tensors(path)


def _groups(names: Iterable[str]) -> str:
    """The names by their first two parts, each with its number: `detector.neck 4, ...`."""
    counts = Counter(".".join(name.split(".")[:2]) for name in names)
    return ", ".join(f"{group} {number}" for group, number in sorted(counts.items()))
