"""A set of keypoints: what the points of a class are called, and how they hang together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError

__all__ = ["DEFAULT_SIGMA", "KeypointSet"]

DEFAULT_SIGMA = 0.05
"""How far annotators differ in a point of which nobody measured it, relative to the square root of
the object's area: between COCO's shoulder (.079) and its eye (.025)."""


@dataclass(frozen=True)
class KeypointSet:
    """The keypoints of a class, as `nose` and `left knee` of a person."""

    names: tuple[str, ...]
    """K names in words, as they are asked for, in the order of the annotations."""
    sigmas: tuple[float, ...] = ()
    """K numbers: how far annotators differ, relative to the square root of the object's area, as
    COCO's object keypoint similarity uses them. Left out: `DEFAULT_SIGMA` for each."""
    limbs: tuple[tuple[str, str], ...] = ()
    """Names that a picture joins by a line."""
    sides: tuple[tuple[str, str], ...] | None = None
    """Names that trade places in a mirror image; None: not known, so that nothing is mirrored."""

    def __post_init__(self) -> None:
        lowered = [name.casefold().strip() for name in self.names]
        if not all(lowered) or len(set(lowered)) < len(lowered):
            twice = sorted({name for name in lowered if lowered.count(name) > 1})
            raise InputError(
                "Keypoints need names, which differ in more than capitals and blanks at the ends. "
                f"Received: {self.names!r}{f', twice: {twice}' if twice else ''}"
            )
        if not self.sigmas:
            object.__setattr__(self, "sigmas", (DEFAULT_SIGMA,) * len(self.names))
        if len(self.sigmas) != len(self.names) or not all(0 < s < 10 for s in self.sigmas):
            raise InputError(
                f"{len(self.names)} keypoints need as many sigmas, all above 0. "
                f"Received: sigmas={self.sigmas!r}"
            )
        named = {name for pair in (*self.limbs, *(self.sides or ())) for name in pair}
        if unknown := sorted(named - set(self.names)):
            raise InputError(f"Limbs and sides join names of the set. Received: {unknown}")

    def __len__(self) -> int:
        return len(self.names)

    def part(self, names: Sequence[str]) -> KeypointSet:
        """Some of the points, in another order, with the limbs whose both ends are among them.

        Where one of two sides is missing, nothing is known of a mirror image.

        Raises:
            InputError: A name is none of the set's.
        """
        if unknown := sorted(set(names) - set(self.names)):
            raise InputError(f"The set has the keypoints {self.names}. Received: {unknown}")
        known = dict(zip(self.names, self.sigmas, strict=True))

        chosen = set(names)
        sides = tuple(pair for pair in self.sides or () if chosen & set(pair))
        whole = self.sides is not None and all(set(pair) <= chosen for pair in sides)
        return KeypointSet(
            names=tuple(names),
            sigmas=tuple(known[name] for name in names),
            limbs=tuple(pair for pair in self.limbs if set(pair) <= chosen),
            sides=sides if whole else None,
        )

    def indices(self, names: Sequence[str]) -> list[int]:
        """The places of `names` in the set."""
        return [self.names.index(name) for name in names]

    def limb_indices(self) -> list[tuple[int, int]]:
        """The places of both ends of each limb."""
        return [(self.names.index(a), self.names.index(b)) for a, b in self.limbs]

    def mirror_order(self) -> Tensor | None:
        """(K,) for each point the index of the one that takes its place in a mirror image; None
        where that is not known."""
        if self.sides is None:
            return None
        other = {a: b for pair in self.sides for a, b in (pair, pair[::-1])}
        order = self.indices([other.get(name, name) for name in self.names])
        return torch.tensor(order, dtype=torch.long)
