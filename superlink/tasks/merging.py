"""One reply of several: what a model said to the parts of a question, as one answer."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..errors import InputError
from ..interfaces import Call, InstancePrediction, Prediction, Reply, Route, RouteFailure

__all__ = ["merge_replies"]

_BETWEEN = ", "
Served = tuple[Call, Prediction]


def merge_replies(replies: Sequence[Reply], max_per_image: int | None = None) -> Reply:
    """Join replies about one image, in their order.

    Instances of calls with the same routing token become those of one call, sorted by score; calls
    with other tokens stay apart, and so do those with keypoints, of which each has its own, and
    what is no `InstancePrediction`. To merge what was merged gives what merging all at once gives.

    Args:
        replies: To the parts of a question.
        max_per_image: The most instances of a call; None keeps all.

    Returns:
        Text and routes of all, with `span` in the joined text, and calls whose labels count the
        routes of all parts. It is `complete` where all of them are. The `position` of a route is
        known where there is one reply alone.

    Raises:
        InputError: There are no replies.
    """
    if not replies:
        raise InputError("Expected at least one reply to merge. Received: none")
    shifted = list(_one_after_the_other(replies))
    served = [p for reply in shifted for p in zip(reply.calls, reply.predictions, strict=True)]
    routes = tuple(route for reply in shifted for route in reply.routes)
    groups: dict[Hashable, list[Served]] = {}
    for index, (call, prediction) in enumerate(served):
        mergeable = isinstance(prediction, InstancePrediction) and prediction.keypoint_set is None
        kind = (call.decoder, call.turn, call.image, routes[call.routes[0]].token)
        groups.setdefault(kind if mergeable else index, []).append((call, prediction))
    merged = [_one_call(group, max_per_image) for group in groups.values()]
    return Reply(
        text=_BETWEEN.join(reply.text for reply in shifted if _says(reply)),
        raw=_BETWEEN.join(reply.raw for reply in shifted if _says(reply)),
        routes=routes,
        calls=tuple(call for call, _ in merged),
        predictions=tuple(prediction for _, prediction in merged),
        failures=tuple(failure for reply in shifted for failure in reply.failures),
        complete=all(reply.complete for reply in shifted),
    )


def _one_after_the_other(replies: Sequence[Reply]) -> Iterator[Reply]:
    """The replies, with spans in the text of all, and calls that count the routes of all."""
    if len(replies) == 1:
        yield replies[0]
        return
    length = num_routes = 0  # of the text and of the routes so far
    said = False
    for reply in replies:
        start = length + (len(_BETWEEN) if said and _says(reply) else 0)
        said = said or _says(reply)
        yield replace(
            reply,
            routes=tuple(_placed(route, start) for route in reply.routes),
            calls=tuple(_moved(call, num_routes) for call in reply.calls),
            failures=tuple(
                RouteFailure(_moved(failure.call, num_routes), failure.reason)
                for failure in reply.failures
            ),
        )
        length = start + len(reply.text)
        num_routes += len(reply.routes)


def _placed(route: Route, start: int) -> Route:
    if start == 0 and route.position == -1:
        return route  # of what was merged before: a long list grows part by part
    return replace(route, span=(route.span[0] + start, route.span[1] + start), position=-1)


def _moved(call: Call, first: int) -> Call:
    return replace(call, routes=tuple(first + index for index in call.routes))


def _says(reply: Reply) -> bool:
    return bool(reply.text or reply.raw)


def _one_call(served: Sequence[Served], max_per_image: int | None) -> Served:
    """Calls of one kind as one."""
    call, prediction = served[0]
    found = [p for _, p in served if isinstance(p, InstancePrediction)]
    if not found:
        return call, prediction
    routes = tuple(index for part, _ in served for index in part.routes)
    return replace(call, routes=routes), _best_instances(found, max_per_image)


def _best_instances(
    predictions: Sequence[InstancePrediction], most: int | None
) -> InstancePrediction:
    """The instances of all predictions, the best first; labels count the phrases of all."""
    best = _order(torch.cat([prediction.scores for prediction in predictions]))[:most]
    # Chosen before they are joined: masks of all instances at once may be many gigabytes.
    parts, first_instance, first_label = [], 0, 0
    for prediction in predictions:
        end = first_instance + len(prediction.scores)
        mine = best[(best >= first_instance) & (best < end)].sort().values - first_instance
        parts.append(replace(prediction, labels=prediction.labels + first_label).select(mine))
        first_instance, first_label = end, first_label + len(prediction.phrases)
    full = [part for part in parts if len(part.scores)] or parts[:1]
    joined = InstancePrediction(
        torch.cat([part.bboxes for part in full]),
        torch.cat([part.scores for part in full]),
        torch.cat([part.labels for part in full]),
        tuple(phrase for prediction in predictions for phrase in prediction.phrases),
        _cat([part.masks for part in full]),
        _cat([part.keypoints for part in full]),
        _cat([part.keypoint_scores for part in full]),
        predictions[0].keypoint_set,
    )
    return joined.select(_order(joined.scores))


def _order(scores: Tensor) -> Tensor:
    """Indices, best first; equal ones as they come, and behind all what is no number."""
    return torch.where(scores.isnan(), -torch.inf, scores).argsort(descending=True, stable=True)


def _cat(values: Sequence[Tensor | None]) -> Tensor | None:
    known = [value for value in values if value is not None]
    return torch.cat(known) if len(known) == len(values) else None
