"""Reads the tensors of mmengine's checkpoints, which are pickles, and runs nothing in them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from superlink.errors import CheckpointError

__all__ = ["read_state_dict"]

_UNSUPPORTED = re.compile(r"nsupported (?:global: )?GLOBAL ([\w.]+)")


class _Ignored:
    """Stands in for what training leaves in a checkpoint beside weights; holds and runs nothing."""

    def __new__(cls, *args: object, **kwargs: object) -> _Ignored:
        return super().__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


_BESIDE_WEIGHTS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_Ignored, name)
    for name in (
        "mmengine.logging.history_buffer.HistoryBuffer",
        "numpy.core.multiarray._reconstruct",
        "numpy._core.multiarray._reconstruct",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
        "numpy.ndarray",
        "numpy.dtype",
        "_codecs.encode",
        "__builtin__.getattr",  # of methods, by which mmengine averages a history
        "builtins.getattr",
    )
]


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The `state_dict` of a checkpoint of mmengine.

    Where training kept a moving average, these are the averaged weights: mmengine stores the others
    as `ema_state_dict`.

    Raises:
        CheckpointError: The file is missing, damaged, of another kind, or holds code.
    """
    if not path.is_file():
        raise CheckpointError(f"Expected a checkpoint of mmdet (.pth). Received: {path}, no file.")
    found = _load(path)
    state = found.get("state_dict") if isinstance(found, dict) else None
    if not isinstance(state, dict) or not all(map(_is_weight, state.items())):
        keys = sorted(map(str, found))[:8] if isinstance(found, dict) else type(found).__name__
        raise CheckpointError(
            f"Expected a checkpoint of mmengine, with the tensors of a model under 'state_dict'. "
            f"Received: {path} with {keys}. Weights of IDEA's own release are converted to mmdet's "
            "first, by mmdet's tools/model_converters/groundingdino_to_mmdet.py."
        )
    return state


def _is_weight(item: tuple[Any, Any]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor)


def _load(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(_BESIDE_WEIGHTS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes can raise anything
        if unsafe := _UNSUPPORTED.search(str(error)):
            raise CheckpointError(
                f"{path} holds more than tensors, numbers and text, and reading it could run code. "
                f"Received: {unsafe[1]}. If you trust it, keep its weights alone, where it was "
                "made: mmdet's tools/model_converters/publish_model.py does so."
            ) from error
        raise CheckpointError(
            f"Expected a checkpoint that torch.save wrote. {path} cannot be read "
            f"({type(error).__name__}). It may be damaged: get it again."
        ) from error
