"""How likely an LLM would write an answer: what ranks answers that it is given to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..interfaces import Message, Sample
from ..link.processing import IGNORE
from .columns import needed_columns
from .devices import to_device
from .joined import LinkedModel

__all__ = ["answer_likelihoods"]


@torch.no_grad()
def answer_likelihoods(
    model: LinkedModel, sample: Sample, answers: Sequence[str], *, batch_size: int = 16
) -> list[float]:
    """The logarithm of the probability that the LLM writes each answer, with the end of its turn.

    Each answer is read in a row of its own behind the whole question, images included.

    Args:
        model: In evaluation mode.
        sample: A conversation that ends with a question.
        answers: Texts as the LLM writes them.
        batch_size: Rows that are read together.

    Raises:
        InputError: The chat template changes earlier text when an answer is added.
    """
    said = any(message.role == "assistant" for message in sample.messages)
    earlier = _num_supervised(model, sample) if said else 0
    found: list[float] = []
    for first in range(0, len(answers), batch_size):
        told = (Message("assistant", text) for text in answers[first : first + batch_size])
        rows = [replace(sample, messages=(*sample.messages, m), targets=()) for m in told]
        found += _read(model, rows, earlier).tolist()
    return found


def _read(model: LinkedModel, samples: Sequence[Sample], earlier: int) -> Tensor:
    """The sum (B,) of what each row's last answer is worth, behind `earlier` supervised tokens."""
    encoded = model.processor.encode(samples)
    model.processor.check_length(samples, encoded)
    labels = model.processor.labels(samples, encoded)
    known = labels != IGNORE
    labels = labels.masked_fill(known.cumsum(1) <= earlier, IGNORE).to(model.device)
    inputs = to_device(encoded.inputs, model.device)
    regions = to_device(model.processor.region_inputs(samples), model.device)
    features = model.image_features(inputs, (), regions)
    columns = needed_columns(labels, (), model.vocabulary)
    with model.hooks.filled(model.region_values(regions, features)):
        out = model.backbone(inputs, image_features=features, logits_to_keep=columns)
    following = labels.roll(-1, 1)[:, columns]  # (B, K); the last column, which has none, is no K
    worth: Tensor = (
        out.logits.float().log_softmax(-1).gather(2, following.clamp(min=0)[..., None])[..., 0]
    )
    return worth.masked_fill(following == IGNORE, 0).sum(1)


def _num_supervised(model: LinkedModel, sample: Sample) -> int:
    """How many tokens of the answers in a conversation are supervised."""
    encoded = model.processor.encode([sample])
    return int((model.processor.labels([sample], encoded) != IGNORE).sum())
