"""Checks of a task decoder in batches: neither size nor order nor a second run changes a result."""

from __future__ import annotations

import copy
from dataclasses import replace

from ..errors import InputError
from ..interfaces import InstancePrediction
from .checks import Check, NotApplicable, expect
from .decoder_calls import emptied, has_instances, reordered
from .decoder_case import DecoderCase
from .decoder_comparison import identical, loss_gap, prediction_gap
from .decoder_linking import sample_of
from .decoder_places import relabelled
from .decoder_sums import LOSS_TOLERANCE, sums_gap

__all__ = ["BATCH_CHECKS", "PREDICTION_TOLERANCE", "ROUTES_CHECK"]

PREDICTION_TOLERANCE = 1e-3
"""Largest difference of predictions, in units of their largest value where that exceeds 1."""


def _routes(case: DecoderCase) -> str:
    """Stops a decoder that cannot take calls of one and of many routes beside each other."""
    for counts in ((1,), (3,), (1, 3), (3, 3)):
        calls = case.batch(*counts)
        losses = case.losses(calls)
        expect(bool(losses), "losses", losses)
        found = case.predictions(calls)
        expect(len(found) == len(calls), f"{len(calls)} predictions", len(found))
    return "calls of 1 and of 3 routes"


def _linked(case: DecoderCase) -> str:
    """Stops a decoder that runs alone and not in a model, where rows have 0, 1 or many routes."""
    calls = case.batch(1, 3)
    rows = [sample_of(None, calls[0].image), *map(sample_of, calls)]
    out = case.model(**case.model.processor(rows))
    expect(bool(out.loss.isfinite()), "a finite loss", out.loss)
    counts = out.links[case.name].counts().tolist()
    given = [len(call.tokens) for call in calls]
    expect(counts == given, f"links of {given} routes", counts)
    replies = case.model.answer([replace(row, targets=()) for row in rows], "forced")
    failures = [failure.reason for reply in replies for failure in reply.failures]
    expect(not failures, "calls that can be served without a target", failures)
    numbers = [len(reply.predictions) for reply in replies]
    expect(numbers == [0, 1, 1], "0, 1 and 1 predictions", numbers)
    return "rows of 0, 1 and 3 routes"


def _tokens(case: DecoderCase) -> str:
    """Stops a routing token that is declared and makes the decoder fall over."""
    refused = []
    for token in case.spec.routing_tokens:
        try:
            call = case.call(1)
            case.predictions([replace(call, tokens=(token,), phrases=call.phrases[:1])])
        except InputError:  # a kind that is only of use beside another
            refused.append(token)
    served = [token for token in case.spec.routing_tokens if token not in refused]
    expect(bool(served), "a token that is served", f"all refused: {refused}")
    return " ".join(served)


def _ragged(case: DecoderCase) -> str:
    """Stops a batch whose images, routes and targets differ in size from being collated."""
    calls = case.batch(1, 4, 2, 1, 3)
    losses, found = case.losses(calls, training=True), case.predictions(calls)
    expect(all(bool(value.isfinite()) for value, _ in losses.values()), "finite losses", losses)
    expect(len(found) == len(calls), f"{len(calls)} predictions", len(found))
    sizes = {call.image.size for call in calls if call.image is not None}
    return f"{len(calls)} calls, {len(sizes)} image sizes"


def _batch(case: DecoderCase) -> str:
    """Stops calls that change their neighbours: a mean over the batch, a mask that leaks, row 0
    read for all, and what the fullest call of a batch decides in training."""
    calls = case.batch(1, 3, 2)
    empty = [emptied(call) for call in calls[-1:] if has_instances(call.target)]
    losses = max(sums_gap(case, calls + empty, training) for training in (False, True))
    alone = [case.predictions([call])[0] for call in calls]
    gap = max(map(prediction_gap, case.predictions(calls), alone))
    expect(gap <= PREDICTION_TOLERANCE, _APART, f"{gap:.1e}")
    return f"losses {losses:.1e}, predictions {gap:.1e}"


def _call_order(case: DecoderCase) -> str:
    """Stops results that go to another call than the one that asked."""
    calls, order = case.batch(2, 1, 3), [2, 0, 1]
    moved = [calls[index] for index in order]
    losses = loss_gap(case.losses(moved), case.losses(calls))
    expect(losses <= LOSS_TOLERANCE, f"sums {LOSS_TOLERANCE} apart at most", f"{losses:.1e}")
    before, after = case.predictions(calls), case.predictions(moved)
    gap = max(prediction_gap(found, before[i]) for found, i in zip(after, order, strict=True))
    expect(gap <= PREDICTION_TOLERANCE, _APART, f"{gap:.1e}")
    return f"losses {losses:.1e}, predictions {gap:.1e}"


def _route_order(case: DecoderCase) -> str:
    """Stops instances that bear the label of another route, and a loss that mixes routes up."""
    calls, order = case.batch(3, 3), [2, 0, 1]
    moved = [reordered(call, order) for call in calls]
    losses = 0.0
    if all(has_instances(call.target) for call in calls):
        losses = loss_gap(case.losses(moved), case.losses(calls))
        expect(losses <= LOSS_TOLERANCE, f"sums {LOSS_TOLERANCE} apart at most", f"{losses:.1e}")
    pairs = list(zip(case.predictions(moved), case.predictions(calls), strict=True))
    gaps = [
        prediction_gap(relabelled(after, order), before)
        for after, before in pairs
        if isinstance(after, InstancePrediction)
    ]
    if not gaps:
        raise NotApplicable("the predictions hold no instances, whose labels name routes")
    expect(max(gaps) <= PREDICTION_TOLERANCE, _APART, f"{max(gaps):.1e}")
    return f"losses {losses:.1e}, predictions {max(gaps):.1e}"


def _repeat(case: DecoderCase) -> str:
    """Stops dice: random draws that do not depend on the call alone, and dropout in a reply."""
    calls = case.batch(1, 3)
    losses = loss_gap(case.losses(calls, seed=1), case.losses(calls, seed=2))
    expect(losses == 0, "the same losses in eval mode, bit for bit", f"{losses:.1e} apart")
    first, second = (case.predictions(calls, seed=seed) for seed in (1, 2))
    expect(identical(first, second), "the same predictions, bit for bit", "others")
    return "bit for bit"


def _pure(case: DecoderCase) -> str:
    """Stops a decoder that changes what it was given: the next step, or another decoder, has it."""
    calls = case.batch(1, 2)
    before = copy.deepcopy(calls)
    decoder, links = case.decoder, case.links(calls)
    for training in (True, False):
        given = case.inputs(calls)
        kept = copy.deepcopy(given)
        states = links.states.clone()
        decoder.train(training)
        decoder.loss(links, given)
        decoder.eval()
        expect(identical(given, kept), "inputs as they were before `loss`", _changed(given, kept))
        decoder.predict(links, given)
        expect(identical(given, kept), "inputs as they were before `predict`", "others")
        expect(identical(links.states, states), "links.states as they were", "others")
    expect(identical(calls, before), "the call as it was, its target too", "another one")
    return "calls, inputs and links"


def _changed(given: dict[str, object], kept: dict[str, object]) -> str:
    keys = {key for key in {*given, *kept} if not identical(given.get(key), kept.get(key))}
    return f"others in {sorted(keys)}"


_APART = f"predictions {PREDICTION_TOLERANCE} apart at most"
_CALLS = "Where a target speaks of single routes and is not `labels`, give the case `calls`."

ROUTES_CHECK = Check(
    "routes",
    "batches",
    _routes,
    f"Loop over links.calls, or use links.padded(). {_CALLS}",
    True,
)
BATCH_CHECKS: tuple[Check[DecoderCase], ...] = (
    Check("linked", "batches", _linked, "Let `prepare` work with and without a target."),
    Check("tokens", "batches", _tokens, "Declare only what `prepare` and `predict` can serve."),
    Check("ragged", "batches", _ragged, "Pad in `collate`, or keep a list where sizes differ."),
    Check(
        "batch",
        "batches",
        _batch,
        "Return sums, mask padding, keep BatchNorm in eval mode, and seed draws by `call.key`.",
    ),
    Check("call_order", "batches", _call_order, "Index by links.calls; keep the order of calls."),
    Check("route_order", "batches", _route_order, "Let `labels` count the routes of the call."),
    Check(
        "repeat",
        "batches",
        _repeat,
        "Seed a generator by `call.key`; leave torch's own alone, and dropout to training mode.",
    ),
    Check("pure", "batches", _pure, "Clone what you change; use no in-place operation on inputs."),
)
"""What follows once `routes` holds."""
