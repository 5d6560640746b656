"""Random draws that hang on the key of a sample and on the place of a route in its call alone:
neither on the batch nor on the device."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import torch
from torch import Tensor

__all__ = ["draw", "generator", "picture_seeds", "seed_of"]


def seed_of(*parts: object) -> int:
    """A whole number below 2**32 for these parts."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "big")


def generator(*parts: object) -> torch.Generator:
    """A generator on the host, seeded by these parts."""
    return torch.Generator().manual_seed(seed_of(*parts))


def draw(key: str, number: int, shape: Sequence[int]) -> dict[str, Tensor]:
    """What the loss of a call needs.

    Args:
        key: Of the sample.
        number: How many routes the call has: n.
        shape: Of the latents of one picture.

    Returns:
        `noise` (n, *shape), normal; `times` (n,) and `luck` (n,), even between 0 and 1.
    """
    generators = [generator("training", key, route) for route in range(number)]
    pairs = torch.stack([torch.rand(2, generator=one) for one in generators])
    noise = torch.stack([torch.randn(*shape, generator=one) for one in generators])
    return {"noise": noise, "times": pairs[:, 0], "luck": pairs[:, 1]}


def picture_seeds(seed: int, given: Sequence[int], key: str, number: int) -> tuple[int, ...]:
    """The seeds of a call's pictures: first those that are given, then some of their own."""
    own = (seed_of("picture", seed, key, route) for route in range(len(given), number))
    return (*given[:number], *own)
