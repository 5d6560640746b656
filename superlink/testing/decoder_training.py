"""Checks of a task decoder's losses and of the gradient that they send to the LLM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..interfaces import CallInput, LossTerm
from ..link import module_key
from .checks import Check, NotApplicable, expect
from .decoder_calls import emptied, has_instances
from .decoder_case import DecoderCase
from .decoder_comparison import total
from .decoder_linking import sample_of

__all__ = ["LOSS_CHECK", "TRAINING_CHECKS"]


def _loss(case: DecoderCase) -> str:
    """Stops losses that nobody can add up, or that do not hang on the condition."""
    dummy = case.decoder.dummy_call()
    expect(dummy.target is not None, "a target in dummy_call()", dummy.target)
    leaders = [token for token in dummy.tokens if token not in case.spec.follows]
    expect(len(leaders) == 1, "one route, and what follows it, in dummy_call()", dummy.tokens)
    dummy = replace(case.own_dummy, key=dummy.key or "dummy")
    parts: set[str] = set()
    for training in (True, False):
        for calls in ([dummy], case.batch(1)):
            states = case.links(calls).states.requires_grad_()
            losses = case.losses(calls, training=training, states=states)
            _expect_losses(losses)
            _condition_gradient(losses, states)
            parts |= set(losses)
    return ", ".join(sorted(parts))


def _expect_losses(losses: Mapping[str, LossTerm]) -> None:
    expect(isinstance(losses, dict) and bool(losses), "a dict of losses", losses)
    for name, term in losses.items():
        pair = isinstance(term, tuple) and len(term) == 2
        expect(pair, f"(sum, count) as loss {name!r}", type(term).__name__)
        value, count = term
        scalar = isinstance(value, Tensor) and value.dim() == 0
        expect(scalar, f"a sum without dimensions as {name!r}", getattr(value, "shape", value))
        expect(bool(value.isfinite()), f"a finite sum of {name!r}", value)
        number = isinstance(count, int | float) or (isinstance(count, Tensor) and not count.dim())
        expect(number and 0 <= float(count) < 1e9, f"a number as the count of {name!r}", count)


def _condition_gradient(losses: Mapping[str, LossTerm], states: Tensor) -> Tensor:
    """The gradient of the sum of all losses in the condition."""
    value = total(losses)
    expect(value.requires_grad, "a loss that hangs on links.states", "one without a gradient")
    (gradient,) = torch.autograd.grad(value, states, allow_unused=True)
    if gradient is None:
        raise AssertionError(
            "Expected a loss that hangs on links.states. Received: one that does not use them"
        )
    expect(bool(gradient.isfinite().all()), "a finite gradient", "NaN or infinite ones")
    return gradient


def _condition(case: DecoderCase) -> str:
    """Stops a decoder that teaches nothing to a route that has a target."""
    calls = case.batch(1, 3)
    links = case.links(calls)
    gradient = _condition_gradient(
        *_losses_and_states(case, calls, links.states.requires_grad_())
    ).flatten(1)
    taught = gradient.abs().sum(1) > 0  # (R,)
    if not all(has_instances(call.target) for call in calls):
        # Which routes a target speaks of is known of instances alone.
        taught = torch.stack([taught[links.calls == call].any() for call in range(len(calls))])
    expect(bool(taught.all()), "a gradient in each condition", f"none in {(~taught).sum()} of them")
    return f"{float(gradient.abs().sum()):.1e}"


def _losses_and_states(
    case: DecoderCase, calls: Sequence[CallInput], states: Tensor
) -> tuple[dict[str, LossTerm], Tensor]:
    return case.losses(calls, training=True, states=states), states


def _queries(case: DecoderCase) -> str:
    """Stops a gradient that does not reach the decoder's own queries and the LLM, or that reaches
    the queries of another decoder."""
    model = case.model
    call = case.call(1)
    batch = model.processor([sample_of(call)])
    model.zero_grad(set_to_none=True)
    model.lm_weight = 0.0
    try:
        model(**batch).loss.backward()
        sums = {
            name: 0.0 if bank.grad is None else float(bank.grad.abs().sum())
            for name, bank in model.queries.banks.items()
        }
        weights = [p.grad for p in model.backbone.parameters() if p.grad is not None]
        of_llm = sum(float(gradient.abs().sum()) for gradient in weights)
    finally:
        model.lm_weight = 1.0
        model.zero_grad(set_to_none=True)
    for token in dict.fromkeys(call.tokens):
        own = sums.pop(module_key(case.spec.bank(token)), None)
        expect(own != 0, f"a gradient of the queries behind {token}", "none")
    expect(not any(sums.values()), "none of any other queries", sums)
    expect(of_llm > 0, "a gradient of the LLM", "none")
    return f"LLM {of_llm:.1e}"


def _empty(case: DecoderCase) -> str:
    """Stops NaN, and losses without a gradient, where a picture shows nothing of what is asked."""
    full, other = case.batch(2, 1)
    if not has_instances(full.target):
        raise NotApplicable("a target without instances cannot be empty")
    sizes = []
    for calls in ([emptied(full)], [emptied(full), other], [emptied(full), emptied(other)]):
        for training in (True, False):
            states = case.links(calls).states.requires_grad_()
            losses = case.losses(calls, training=training, states=states)
            _expect_losses(losses)
            _condition_gradient(losses, states)
            sizes.append(float(total(losses).detach()))
    return f"{sizes[0]:.2g} without any target"


def _parameters(case: DecoderCase) -> str:
    """Stops weights that some batches leave without a gradient: other processes wait for them."""
    batches = {"targets": case.batch(1, 2), "dummy_call()": [case.own_dummy]}
    if has_instances(batches["targets"][0].target):
        batches["no target"] = [emptied(call) for call in batches["targets"]]
    trained = {n: p for n, p in case.decoder.named_parameters() if p.requires_grad}
    if not trained:
        raise NotApplicable("nothing of the decoder is trained")
    for name, calls in batches.items():
        case.decoder.zero_grad(set_to_none=True)
        torch.autograd.backward(total(case.losses(calls, training=True)))
        left = [n for n, p in trained.items() if p.grad is None]
        case.decoder.zero_grad(set_to_none=True)
        expect(not left, f"a gradient of every trained weight with {name}", f"none of {left[:3]}")
    return f"{len(trained)} weights"


def _half(case: DecoderCase) -> str:
    """Stops a decoder that breaks, or overflows, where the LLM runs in bfloat16."""
    calls = case.batch(1, 2)
    for dtype in (torch.float32, torch.bfloat16):
        states = case.links(calls).states.to(dtype).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses = case.losses(calls, training=True, states=states)
        _expect_losses(losses)
        _condition_gradient(losses, states)
    return f"{float(total(losses).detach()):.3g}"


LOSS_CHECK = Check(
    "loss",
    "training",
    _loss,
    "Return {name: (sum, count)} from `loss`, computed from links.states and never detached.",
    True,
)
TRAINING_CHECKS: tuple[Check[DecoderCase], ...] = (
    Check("condition", "training", _condition, "Neither detach links.states nor skip a route."),
    Check("queries", "training", _queries, "Read links.states; hold no state of another model."),
    Check(
        "empty",
        "training",
        _empty,
        "Add the sum of the outputs times 0 where there is no target, and divide by no number of "
        "targets.",
    ),
    Check(
        "parameters",
        "training",
        _parameters,
        "Add unused outputs times 0 to a loss, freeze what is never used, and give dummy_call() a "
        "target that uses every head.",
    ),
    Check("half", "training", _half, "Cast links.states, or switch autocast off around the loss."),
)
"""What follows once `loss` holds."""
