"""The task: what is asked about a picture, and which answer and which targets are right."""

import random

import torch
from superlink import IMAGE, Message, Sample

from .data import Picture


def conversation(record: Picture, rng: random.Random, training: bool) -> Sample:
    """Ask for one to three circles; some of them are absent, and their masks are empty."""
    names = rng.sample(list(record.masks), rng.randint(1, 3))
    answer = ", ".join(f"<p>{name}</p>[DEPTH]" for name in names)
    target = {
        "masks": torch.stack([record.masks[name] for name in names]),  # (N, H, W) of the original
        "labels": torch.arange(len(names)),  # (N,) the route that each mask belongs to
        "names": tuple(names),
    }
    return Sample(
        messages=(
            Message("user", (IMAGE, f"Show: {', '.join(names)}")),
            Message("assistant", answer),
        ),
        images=(record.image,),
        targets=(target,),  # one for each call: routes of one turn and one token are one call
        key=record.key,
    )
