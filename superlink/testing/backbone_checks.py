"""Is a backbone exact with super links? What every one of them must hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from ..backbones.transformers import TransformersBackbone
from ..interfaces import Message, Sample
from .backbone_case import ANSWERS, TOLERANCE, BackboneCase, check_close, largest_gap
from .backbone_regions import (
    check_region_batch,
    check_region_block,
    check_region_cells,
    check_region_place,
)
from .backbone_weights import check_detach, check_half, check_lora, check_save
from .checks import Check, CheckResult, NotApplicable, expect, run_checks

__all__ = ["BACKBONE_CHECKS", "backbone_checks", "check_backbone"]

_TARGET = {"bboxes": torch.tensor([[4.0, 4.0, 30.0, 30.0]]), "labels": torch.tensor([0])}


def _forward(case: BackboneCase) -> None:
    """Stops a backbone that does not run, or gives other shapes than it says."""
    _, logits = case.bare
    expect(bool(logits.isfinite().all()), "finite logits", "NaN or infinite ones")
    backbone = case.backbone
    expect(logits.shape[-1] >= backbone.vocab_size, f"{backbone.vocab_size} logits", logits.shape)


def _own(case: BackboneCase) -> str:
    """Stops an adapter that runs a model otherwise than the model runs by itself."""
    backbone = case.backbone
    if type(backbone) is not TransformersBackbone:
        raise NotApplicable("there is no forward of transformers to compare with")
    inputs = backbone._without_tiles(case.plain_inputs())
    with torch.no_grad():
        own = backbone.model(**inputs).logits[:, -1]
    gap = largest_gap(case.bare[1][:, -1], own)
    expect(gap <= TOLERANCE * max(1.0, float(own.abs().max())), "the same logits", f"{gap:.1e}")
    return f"{gap:.1e}"


def _attach(case: BackboneCase) -> str:
    """Stops a tokenizer that splits control tokens, and a model without a place for the hooks."""
    ids = case.model.vocabulary.ids
    slots = [ids[slot] for bank in case.model.vocabulary.slots.values() for slot in bank]
    rows = case.backbone.embedding_modules()[0].get_parameter("weight").shape[0]
    beyond = sum(i >= rows for i in slots)
    return f"{len(slots)} slots, {beyond} of them beyond the table of {rows} rows"


def _untouched(case: BackboneCase) -> None:
    """Stops a link that changes what the model says where no route is in its input."""
    before = case.bare[1]
    _ = case.model
    after = case.plain_logits()[..., : before.shape[-1]]
    same = torch.equal(after, before)
    expect(same, "the same bits in all original columns", f"{largest_gap(after, before):.1e} apart")


def _pixels(case: BackboneCase) -> str:
    """Stops a backbone that loses its image on the way."""
    _ = case.model
    gap = largest_gap(case.plain_logits(0)[:, -1], case.plain_logits(1)[:, -1])
    expect(gap > 1e-6, "an image that changes the logits", f"{gap:.1e} of a difference")
    return f"{gap:.1e}"


def _gradient(case: BackboneCase) -> str:
    """Stops a link whose decoders teach neither their queries nor the LLM."""
    model = case.model
    sample = case.samples([1])[0]
    model.zero_grad(set_to_none=True)
    sample = Sample(sample.messages, sample.images, targets=(_TARGET,))
    batch = model.processor([sample])
    batch["inputs"] = case.on_device(batch["inputs"])
    model.lm_weight = 0.0
    try:
        model(**batch).loss.backward()
    finally:
        model.lm_weight = 1.0
    bank = model.queries.banks["toy-box"].grad
    other = model.queries.banks["toy-spot"].grad
    grads = [p.grad for p in case.backbone.parameters() if p.grad is not None]
    of_llm = sum(float(grad.float().abs().sum()) for grad in grads)
    model.zero_grad(set_to_none=True)
    expect(bank is not None and bool(bank.abs().sum() > 0), "a gradient of the queries", "none")
    expect(other is None or not bool(other.any()), "none of another decoder's queries", "some")
    trainable = any(p.requires_grad for p in case.backbone.parameters())
    expect(of_llm > 0 or not trainable, "a gradient of the LLM", "none")
    return f"queries {float(bank.abs().sum()):.1e}" if bank is not None else ""


def _batch(case: BackboneCase) -> str:
    """Stops rows that change their neighbours: a route read from row 0, a mask that leaks."""
    alone = [case.read([row])[0] for row in range(4)]
    return check_close(case.read(), alone)


def _padding(case: BackboneCase) -> str:
    """Stops positions and masks that are right on one side of the padding only."""
    return check_close(case.read(side="left"), case.read(side="right"))


def _block(case: BackboneCase) -> str:
    """Stops states of a cached generation that are not those of a forward over the whole text."""
    forwards: list[int] = []
    handle = case.backbone.register_forward_hook(lambda *_: forwards.append(1))
    try:
        measured = check_close(case.write(), case.read())
    finally:
        handle.remove()
    longest = max(len(case.backbone.tokenize(answer)) for answer in ANSWERS)
    # One for the prompt, one for each token, the end, and the reading.
    return f"{measured}, {'one by one' if len(forwards) > longest + 2 else 'in blocks'}"


def _stepwise(case: BackboneCase) -> str:
    """Stops slots that give something else when they enter one by one."""
    return check_close(case.write(feeding="stepwise"), case.read())


def _written_batch(case: BackboneCase) -> str:
    """Stops rows that route at different steps and disturb each other."""
    alone = [case.write([row])[0] for row in range(4)]
    return check_close(case.write(), alone)


def _text(case: BackboneCase) -> str:
    """Stops a backbone that cannot talk without an image, or only where no row has one."""
    model = case.model
    mixed = [Sample((Message("user", "hello there"), Message("assistant", ANSWERS[3])))]
    mixed += case.samples([1])
    states = []
    for samples in (mixed, mixed[:1]):
        encoded = model.processor.encode(samples)
        with torch.no_grad():
            hidden = case.backbone(case.on_device(encoded.inputs)).last_hidden_state
        route = encoded.routes[0]
        places = model.vocabulary.bindings[route.token].states_at(route.position)
        states.append([[hidden[0, [*places]]]])
    return check_close(states[0], states[1])


BACKBONE_CHECKS: tuple[Check[BackboneCase], ...] = (
    Check("forward", "basic", _forward, "Run `encode` and `forward` on one conversation.", True),
    Check("own", "basic", _own, "Give the model what its own `generate` gives it."),
    Check("attach", "basic", _attach, "See the error; `Backbone` names the methods.", True),
    Check("untouched", "link", _untouched, "Look ids up in `embedding_modules()` alone."),
    Check("pixels", "link", _pixels, "Hand what `encode` made of images on to the model."),
    Check("gradient", "link", _gradient, "Run the model without `no_grad`, states not detached."),
    Check(
        "batch", "exactness", _batch, "Mask padding in every layer, and count no position for it."
    ),
    Check("padding", "exactness", _padding, "Derive positions from the attention mask."),
    Check("block", "generation", _block, "Say False in `block_safe` where holes do harm."),
    Check("stepwise", "generation", _stepwise, "Check how positions go on behind a cache."),
    Check(
        "written_batch", "generation", _written_batch, "Say False in `block_safe`, or see `batch`."
    ),
    Check(
        "region_cells",
        "regions",
        check_region_cells,
        "Give `ImageFeatures.grids` and `region_shares` the same cells in the same order.",
    ),
    Check("region_place", "regions", check_region_place, "Look ids up once, by the hooked module."),
    Check("region_batch", "regions", check_region_batch, "See `batch` and `padding`."),
    Check("region_block", "regions", check_region_block, "See `block`."),
    Check("text", "link", _text, "Let `encode` and `forward` take rows without images."),
    Check("half", "precision", check_half, "Cast inputs to the dtype of the weights."),
    Check("save", "checkpoint", check_save, "Write every weight and config in `save`."),
    Check("lora", "checkpoint", check_lora, "Save every matrix of the adapter, and load each."),
    Check("detach", "link", check_detach, "Change no weight; the link changes none either."),
)
"""Every check, basic ones first."""


def backbone_checks(
    case: BackboneCase,
    *,
    expected_failed_checks: Mapping[str, str] | None = None,
    on_result: Callable[[CheckResult], None] = lambda result: None,
) -> list[CheckResult]:
    """Run every check on a backbone; the arguments are those of `run_checks`."""
    return run_checks(
        BACKBONE_CHECKS, case, expected_failed_checks=expected_failed_checks, on_result=on_result
    )


def check_backbone(case: BackboneCase) -> None:
    """Raise `AssertionError` with every check that fails: a conformance test in one line."""
    failed = [result for result in backbone_checks(case) if result.status == "failed"]
    if failed:
        lines = (f"{result.name}: {result.detail} {result.cure}" for result in failed)
        raise AssertionError("\n".join([f"{case.name or 'The backbone'} fails", *lines]))
