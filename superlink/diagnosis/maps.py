"""Whether decoders that share the image encoder of a backbone can take its maps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from ..errors import SuperLinkError
from ..interfaces import IMAGE, LinkedQueries, Message, Route
from ..linked import LinkedModel
from ..linked.devices import to_device

__all__ = ["map_faults"]


def map_faults(model: LinkedModel) -> Iterator[tuple[int, str]]:
    """Decoders, by their place in the recipe, and why they cannot use the maps that they get.

    Each is given a call of its own with the maps of a picture, and conditions of nothing. On the
    meta device that takes no time: what needs weights then ends the try, and says nothing.

    Args:
        model: The linked model, with or without weights.
    """
    for index, (name, bound) in enumerate(model.bound.items()):
        if not bound.decoder.uses_image_features:
            continue
        try:
            with torch.no_grad(), torch.random.fork_rng([]):
                _try(model, name)
        except SuperLinkError as error:
            yield index, str(error)
        except Exception:  # without weights anything may fail, and the run will tell
            continue


def _try(model: LinkedModel, name: str) -> None:
    bound = model.bound[name]
    call = bound.decoder.dummy_call()
    if call.image is None:
        return
    batch = bound.decoder.collate([bound.decoder.prepare(call, training=True)])
    batch["image_index"] = torch.zeros(1, dtype=torch.long)
    text = model.backbone.render([Message("user", (IMAGE,))])
    inputs = to_device(model.backbone.encode([text], [[call.image]]), model.device)
    batch = model.with_features(name, batch, model.backbone.image_features(inputs))
    bound.decoder(_nothing(model, name, len(call.tokens)), batch, mode="loss")


def _nothing(model: LinkedModel, name: str, number: int) -> LinkedQueries:
    """So many routes of one call with conditions of zeros, on the host: places must be read."""
    bound = model.bound[name]
    size = number, bound.num_queries, model.backbone.hidden_size
    routes = [Route(0, 0, bound.tokens[0])] * number
    links = model.link(name, [routes], torch.zeros(size, device=model.device))
    calls = torch.zeros(number, dtype=torch.long)
    return replace(links, states=torch.zeros(links.states.shape), calls=calls)
