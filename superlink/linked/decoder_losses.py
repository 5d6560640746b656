"""The losses of one decoder, also where it meets what is no number, which libraries fail on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SuperLinkError
from ..interfaces import DecoderInputs, LinkedQueries, LossTerm, TaskDecoder

__all__ = ["decoder_losses"]

_LOG = logging.getLogger(__name__)


def decoder_losses(
    decoder: TaskDecoder, links: LinkedQueries, batch: DecoderInputs
) -> dict[str, LossTerm]:
    """The losses of a decoder, in full precision where it asks for it.

    Where its condition is not finite, or it fails after a module of it gave NaN, it gives no
    losses. Then there is one that is no number, named `condition` or `output of` a module, and
    the error of a decoder that failed is logged. A `SuperLinkError` is always raised.
    """
    if not links.states.isfinite().all():
        return {"condition": _no_number(links)}
    try:
        return _run(decoder, links, batch)
    except SuperLinkError:
        raise
    except Exception:
        path = _source(decoder, lambda: _run(decoder, links, batch))
        if not path:
            raise
        _LOG.warning("A decoder failed after NaN in the output of %s.", path, exc_info=True)
        return {f"output of {path}": _no_number(links)}


def _run(decoder: TaskDecoder, links: LinkedQueries, batch: DecoderInputs) -> dict[str, LossTerm]:
    kind = links.states.device.type
    if not decoder.full_precision or not torch.is_autocast_enabled(kind):
        terms: dict[str, LossTerm] = decoder(links, batch, mode="loss")
        return terms
    with torch.autocast(kind, enabled=False):
        whole = replace(links, states=links.states.float())
        if "image_features" in batch:
            maps = tuple(feature.float() for feature in batch["image_features"])
            batch = DecoderInputs(batch, image_features=maps)
        terms = decoder(whole, batch, mode="loss")
    return terms


def _no_number(links: LinkedQueries) -> LossTerm:
    return links.states.sum() * float("nan"), 1.0


def _source(decoder: nn.Module, run: Callable[[], object]) -> str:
    """The path of the first module whose output holds NaN while a decoder fails once more.

    Infinity is usual in masks and costs. There is none where no output has NaN; nor where an
    engine has cut their weights, which one process alone cannot put together.
    """
    if any(hasattr(p, "full_tensor") or hasattr(p, "ds_id") for p in decoder.parameters()):
        return ""
    found: list[str] = []

    def watch(path: str) -> Callable[..., None]:
        def look(module: nn.Module, inputs: Any, output: Any) -> None:
            if not found and any(values.isnan().any() for values in _tensors(output)):
                found.append(path)

        return look

    named = decoder.named_modules()
    handles = [module.register_forward_hook(watch(path)) for path, module in named if path]
    try:
        with torch.no_grad():
            run()
    except Exception:  # as it did before
        return found[0] if found else ""
    finally:
        for handle in handles:
            handle.remove()
    return ""


def _tensors(value: Any) -> Iterator[Tensor]:
    """Those that hold numbers with a point, in what a module gives."""
    if isinstance(value, Tensor) and value.is_floating_point():
        yield value
    elif isinstance(value, dict):
        yield from _tensors([*value.values()])
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)
