"""Is a backbone exact with super links? What every one of them must hold."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..backbones.transformers import TransformersBackbone
from ..checkpoint import fingerprint
from ..interfaces import Backbone, LoraChoice, Message, Sample
from .backbone_case import ANSWERS, BackboneCase, States, difference
from .checks import Check, CheckResult, NotApplicable, run_checks

__all__ = ["BACKBONE_CHECKS", "backbone_checks", "check_backbone"]

TOLERANCE = 1e-4
"""Largest difference of states in float32."""
_TARGET = {"bboxes": torch.tensor([[4.0, 4.0, 30.0, 30.0]]), "labels": torch.tensor([0])}
_SMALL = 50_000_000


def _forward(case: BackboneCase) -> None:
    """Stops a backbone that does not run, or gives other shapes than it says."""
    _, logits = case.bare
    _expect(bool(logits.isfinite().all()), "finite logits", "NaN or infinite ones")
    backbone = case.backbone
    _expect(logits.shape[-1] >= backbone.vocab_size, f"{backbone.vocab_size} logits", logits.shape)


def _own(case: BackboneCase) -> str:
    """Stops an adapter that runs a model otherwise than the model runs by itself."""
    backbone = case.backbone
    if type(backbone) is not TransformersBackbone:
        raise NotApplicable("there is no forward of transformers to compare with")
    inputs = backbone._without_tiles(case.plain_inputs())
    with torch.no_grad():
        own = backbone.model(**inputs).logits[:, -1]
    gap = _gap(case.bare[1][:, -1], own)
    _expect(gap <= TOLERANCE * max(1.0, float(own.abs().max())), "the same logits", f"{gap:.1e}")
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
    _expect(same, "the same bits in all original columns", f"{_gap(after, before):.1e} apart")


def _pixels(case: BackboneCase) -> str:
    """Stops a backbone that loses its image on the way."""
    _ = case.model
    gap = _gap(case.plain_logits(0)[:, -1], case.plain_logits(1)[:, -1])
    _expect(gap > 1e-6, "an image that changes the logits", f"{gap:.1e} of a difference")
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
    _expect(bank is not None and bool(bank.abs().sum() > 0), "a gradient of the queries", "none")
    _expect(other is None or not bool(other.any()), "none of another decoder's queries", "some")
    trainable = any(p.requires_grad for p in case.backbone.parameters())
    _expect(of_llm > 0 or not trainable, "a gradient of the LLM", "none")
    return f"queries {float(bank.abs().sum()):.1e}" if bank is not None else ""


def _batch(case: BackboneCase) -> str:
    """Stops rows that change their neighbours: a route read from row 0, a mask that leaks."""
    alone = [case.read([row])[0] for row in range(4)]
    return _close(case.read(), alone, case)


def _padding(case: BackboneCase) -> str:
    """Stops positions and masks that are right on one side of the padding only."""
    return _close(case.read(side="left"), case.read(side="right"), case)


def _block(case: BackboneCase) -> str:
    """Stops states of a cached generation that are not those of a forward over the whole text."""
    forwards: list[int] = []
    handle = case.backbone.register_forward_hook(lambda *_: forwards.append(1))
    try:
        measured = _close(case.write(), case.read(), case)
    finally:
        handle.remove()
    longest = max(len(case.backbone.tokenize(answer)) for answer in ANSWERS)
    # One for the prompt, one for each token, the end, and the reading.
    return f"{measured}, {'one by one' if len(forwards) > longest + 2 else 'in blocks'}"


def _stepwise(case: BackboneCase) -> str:
    """Stops slots that give something else when they enter one by one."""
    return _close(case.write(feeding="stepwise"), case.read(), case)


def _written_batch(case: BackboneCase) -> str:
    """Stops rows that route at different steps and disturb each other."""
    alone = [case.write([row])[0] for row in range(4)]
    return _close(case.write(), alone, case)


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
        states.append([[hidden[0, route.position + 1 : route.position + 4]]])
    return _close(states[0], states[1], case)


def _half(case: BackboneCase) -> str:
    """Stops queries in float32 that a backbone in bfloat16 cannot take."""
    if sum(p.numel() for p in case.backbone.parameters()) > _SMALL:
        raise NotApplicable("more than 50 M parameters: a copy would be made")
    model = copy.deepcopy(case.model)
    model.backbone.bfloat16()
    model.hooks.attach(model.backbone)
    encoded = model.processor.encode(case.samples([1]))
    out = model.backbone(case.on_device(encoded.inputs))
    bank = model.queries.banks["toy-box"]
    _expect(bank.dtype == torch.float32, "queries in float32", bank.dtype)
    out.last_hidden_state.float().sum().backward()
    _expect(bank.grad is not None and bool(bank.grad.isfinite().all()), "finite gradients", "none")
    return str(out.last_hidden_state.dtype).removeprefix("torch.")


def _save(case: BackboneCase) -> None:
    """Stops a checkpoint that is not the model."""
    if case.reload is None:
        raise NotApplicable("no `reload` was given")
    digest, before = case.bare
    with tempfile.TemporaryDirectory() as folder:
        case.backbone.save(Path(folder))
        again = BackboneCase(lambda: case.reload(Path(folder)), name=case.name)  # type: ignore[misc]
        other, after = again.bare
    _expect(other == digest, "weights with the same bits", "others")
    # Kernels may round otherwise where memory is aligned otherwise.
    _expect(_gap(after, before) <= 1e-5, "the same logits", f"{_gap(after, before):.1e} apart")


def _lora(case: BackboneCase) -> str:
    """Stops an adapter that trains nothing, is lost in a checkpoint, or cannot be taken off."""
    digest, before = case.bare
    backbone = case.backbone
    if type(backbone).add_lora is Backbone.add_lora:
        raise NotApplicable("the backbone has no LoRA")
    if backbone.has_adapter():
        raise NotApplicable("the backbone has an adapter already")
    link = case.__dict__.pop("model", None)  # its columns would be in the way
    if link is not None:
        link.detach()
    backbone.add_lora(LoraChoice(rank=2))
    try:
        updates = [p for n, p in backbone.named_parameters() if ".lora_" in n]
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for parameter in updates:
                parameter.normal_(std=0.1)
        trained = case.plain_logits()
        _expect(_gap(trained, before) > 1e-6, "an adapter that changes the logits", "none")
        same = fingerprint(backbone.base_state_dict()) == digest
        _expect(same, "weights without the adapter with the same bits", "others")
        with tempfile.TemporaryDirectory() as folder:
            backbone.save_adapter(Path(folder))
            backbone.remove_lora()
            backbone.load_adapter(Path(folder))
        gap = _gap(case.plain_logits(), trained)
        _expect(gap <= 1e-5, "the same logits from the saved adapter", f"{gap:.1e} apart")
    finally:
        backbone.remove_lora()
    _expect(torch.equal(case.plain_logits(), before), "the bare logits again", "others")
    return f"{len(updates)} matrices"


def _detach(case: BackboneCase) -> None:
    """Stops a link that leaves something behind."""
    digest, before = case.bare
    backbone = case.model.detach()
    del case.model  # attached again where a later check asks
    same = fingerprint(backbone.base_state_dict()) == digest
    _expect(same, "weights with the same bits", "others")
    hooks = [m for m in backbone.modules() if m._forward_hooks or m._forward_pre_hooks]
    ours = [h for m in hooks for h in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())]
    left = [h for h in ours if type(getattr(h, "__self__", None)).__name__ == "LinkHooks"]
    _expect(not left, "no hook of the link", f"{len(left)} of them")
    after = case.plain_logits()
    _expect(torch.equal(after, before), "the same logits as before", "others")


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
    Check("text", "link", _text, "Let `encode` and `forward` take rows without images."),
    Check("half", "precision", _half, "Cast inputs to the dtype of the weights."),
    Check("save", "checkpoint", _save, "Write every weight and config in `save`."),
    Check("lora", "checkpoint", _lora, "Save every matrix of the adapter, and load each."),
    Check("detach", "link", _detach, "Change no weight; the link changes none either."),
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


def _close(left: States, right: States, case: BackboneCase) -> str:
    if left[0] and left[0][0].dtype != torch.float32:
        raise NotApplicable("exactness is a matter of float32; load the model in it")
    gap = difference(left, right)
    _expect(gap <= TOLERANCE, f"{TOLERANCE} at most between states", f"{gap:.1e}")
    return f"{gap:.1e}"


def _gap(left: Tensor, right: Tensor) -> float:
    return float((left.float() - right.float()).abs().max())


def _expect(holds: bool, expected: str, received: object) -> None:
    if not holds:
        raise AssertionError(f"Expected {expected}. Received: {received}")
