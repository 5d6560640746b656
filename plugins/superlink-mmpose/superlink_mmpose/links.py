"""The links of a call taken apart: what is to be found, and which of its points."""

from __future__ import annotations

from torch import Tensor

from superlink.interfaces import LinkedQueries

from .samples import KEYPOINT_TOKEN

__all__ = ["padded_routes", "split_links"]


def split_links(links: LinkedQueries) -> tuple[LinkedQueries, LinkedQueries]:
    """The links of what is to be found, and those of its keypoints."""
    of_points = [token == KEYPOINT_TOKEN for token in links.tokens]
    parts = []
    for wanted in (False, True):
        index = [i for i, is_point in enumerate(of_points) if is_point == wanted]
        part = LinkedQueries(
            states=links.states[index],
            calls=links.calls[index],
            tokens=tuple(links.tokens[i] for i in index),
            phrases=tuple(links.phrases[i] for i in index),
            num_calls=links.num_calls,
        )
        parts.append(part)
    return parts[0], parts[1]


def padded_routes(links: LinkedQueries) -> tuple[Tensor, Tensor]:
    """`links.padded()`, with room for one route at least: nothing that is learned is left out where
    no call has any."""
    states, mask = links.padded()
    if mask.shape[1]:
        return states, mask
    return states.new_zeros(len(mask), 1, states.shape[-1]), mask.new_zeros(len(mask), 1)
