"""Whether the losses of a batch are the sums of those of its calls, each alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn

from ..interfaces import CallInput, LossTerm
from .checks import expect
from .decoder_case import DecoderCase
from .decoder_comparison import loss_gaps

__all__ = ["LOSS_TOLERANCE", "sums_gap"]

LOSS_TOLERANCE = 1e-4
"""Largest difference of sums of losses, in units of the sum where that is not small."""
_SMALL_SUM = 1e-2
"""Sums of losses that are smaller need not be so exact."""


def sums_gap(case: DecoderCase, calls: Sequence[CallInput], training: bool) -> float:
    """How far the losses of calls together are from the sums of those of each alone, relative, at
    the worst loss.

    Dropout is off. Other draws differ from call to call in training mode, unless they depend on the
    call alone.

    Raises:
        AssertionError: They are further than `LOSS_TOLERANCE`.
    """
    with _without_dropout(case.decoder):
        together = case.losses(calls, training=training)
        # In eval mode draws are the matter of another check.
        alone = [
            case.losses([c], training=training, seed=i * training) for i, c in enumerate(calls, 1)
        ]
    gaps = loss_gaps(together, _added(alone), smallest=_SMALL_SUM)
    worst = max(gaps, key=gaps.__getitem__)
    mode = f"in {'training' if training else 'eval'} mode"
    apart = f"{worst!r} {gaps[worst]:.1e} apart {mode}{_norms(case.decoder) if training else ''}"
    expect(gaps[worst] <= LOSS_TOLERANCE, f"sums {LOSS_TOLERANCE} apart at most", apart)
    return gaps[worst]


def _norms(decoder: nn.Module) -> str:
    """The normalisations of a decoder in training that look at a whole batch, if it has some."""
    kind = nn.modules.batchnorm._BatchNorm
    decoder.train()
    names = [n for n, m in decoder.named_modules() if isinstance(m, kind) and m.training]
    decoder.eval()
    return f"; BatchNorm in training mode: {', '.join(names[:3])}" if names else ""


@contextmanager
def _without_dropout(module: nn.Module) -> Iterator[None]:
    """No number of a module that is named like dropout is other than 0, nor the `p` of torch's."""
    kept = [
        (part, name, value)
        for part in module.modules()
        for name, value in vars(part).items()
        if isinstance(value, float)
        and ("drop" in name or (name == "p" and isinstance(part, nn.modules.dropout._DropoutNd)))
    ]
    try:
        for part, name, _ in kept:
            setattr(part, name, 0.0)
        yield
    finally:
        for part, name, value in kept:
            setattr(part, name, value)


def _added(parts: Sequence[dict[str, LossTerm]]) -> dict[str, LossTerm]:
    """Losses of calls alone, added up by name."""
    names = dict.fromkeys(name for part in parts for name in part)
    terms = {name: [part[name] for part in parts if name in part] for name in names}
    return {
        name: (sum((value for value, _ in some[1:]), some[0][0]), sum(float(c) for _, c in some))
        for name, some in terms.items()
    }
