"""What the stages of a recipe read, from a few of their samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..interfaces import Sample
from ..linked import LinkedModel
from ..training.dataset import Source
from ..training.mixture import stage_samples
from ..training.recipe import Stage

__all__ = ["StageSamples", "sample_stage"]

_TRIED = 4
"""Samples that are made of each stage."""


@dataclass(frozen=True)
class StageSamples:
    """What one stage reads."""

    name: str
    """Name of the stage."""
    epochs: dict[str, float]
    """Passes over each data set."""
    records: dict[str, int]
    """Records of each."""
    tokens_per_step: int
    """About how many tokens a step has, images and queries included."""


def sample_stage(
    stage: Stage, sources: Mapping[str, Source], model: LinkedModel, seed: int
) -> StageSamples:
    """Make a few samples of a stage, and count their tokens.

    Args:
        stage: The stage.
        sources: Opened data sets by name, those of the stage among them.
        model: Tells how many tokens a sample has; it needs no weights.
        seed: Of the stage.

    Raises:
        SuperLinkError: A sample cannot be made, or calls what the model does not have.
    """
    samples = stage_samples(sources, stage, seed, skip_bad=False)
    made = (samples[index] for index in range(min(_TRIED, len(samples))))
    tried = [sample for sample in made if isinstance(sample, Sample)]
    batch = model.processor(tried, run_decoders=False)
    kept = len(tried) - len(batch["dropped"])
    tokens = int(batch["inputs"]["attention_mask"].sum()) / max(kept, 1)
    epochs = samples.epochs(len(samples))
    records = {name: len(sources[name][0]) for name in epochs}
    return StageSamples(stage.name, epochs, records, round(tokens * stage.batch_size))
