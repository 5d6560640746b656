"""The chat guard: what training does to the language loss of a text set."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InputError
from ..interfaces import Sample
from ..linked import LinkedModel, to_device
from ..linked.modes import evaluating

__all__ = ["chat_loss"]


def chat_loss(model: LinkedModel, samples: Sequence[Sample], *, batch_size: int = 8) -> float:
    """The language loss per supervised token of some conversations, in nats.

    It is measured in evaluation mode, and nothing else of the model changes. Decoders do not run.

    Args:
        model: The linked model.
        samples: Conversations with answers.
        batch_size: Rows that are read together; the loss does not depend on it, up to rounding.

    Raises:
        InputError: There are no samples, or a sample is longer than the model takes.
    """
    total, count = 0.0, 0
    idle, model.idle = model.idle, False
    try:
        with evaluating(model):
            for first in range(0, len(samples), batch_size):
                value, tokens = _language_loss(model, samples[first : first + batch_size])
                total, count = total + value, count + tokens
    finally:
        model.idle = idle
    if not count:
        raise InputError(
            "The chat guard needs conversations with answers. "
            f"Received: {len(samples)} samples without a supervised token"
        )
    return total / count


def _language_loss(model: LinkedModel, samples: Sequence[Sample]) -> tuple[float, int]:
    """The sum of the loss and the number of tokens."""
    batch = model.processor(samples, run_decoders=False)
    inputs, labels = (to_device(batch[key], model.device) for key in ("inputs", "labels"))
    regions = to_device(batch["regions"], model.device)
    out = model(inputs, labels, batch["routes"], batch["calls"], regions=regions)
    value, tokens = out.losses["lm"]
    return float(value), int(tokens)
