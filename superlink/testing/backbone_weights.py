"""Checks of a backbone's weights: in half precision, in a checkpoint, with LoRA, behind a link."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path

import torch

from ..checkpoint import fingerprint
from ..interfaces import Backbone, LoraChoice
from .backbone_case import BackboneCase, largest_gap
from .checks import NotApplicable, expect

__all__ = ["check_detach", "check_half", "check_lora", "check_save"]

_SMALL = 50_000_000


def check_half(case: BackboneCase) -> str:
    """Stops queries in float32 that a backbone in bfloat16 cannot take."""
    if sum(p.numel() for p in case.backbone.parameters()) > _SMALL:
        raise NotApplicable("more than 50 M parameters: a copy would be made")
    model = copy.deepcopy(case.model)
    model.backbone.bfloat16()
    model.hooks.attach(model.backbone)
    encoded = model.processor.encode(case.samples([1]))
    out = model.backbone(case.on_device(encoded.inputs))
    bank = model.queries.banks["toy-box"]
    expect(bank.dtype == torch.float32, "queries in float32", bank.dtype)
    out.last_hidden_state.float().sum().backward()
    expect(bank.grad is not None and bool(bank.grad.isfinite().all()), "finite gradients", "none")
    return str(out.last_hidden_state.dtype).removeprefix("torch.")


def check_save(case: BackboneCase) -> None:
    """Stops a checkpoint that is not the model."""
    if case.reload is None:
        raise NotApplicable("no `reload` was given")
    digest, before = case.bare
    with tempfile.TemporaryDirectory() as folder:
        case.backbone.save(Path(folder))
        again = BackboneCase(lambda: case.reload(Path(folder)), name=case.name)  # type: ignore[misc]
        other, after = again.bare
    expect(other == digest, "weights with the same bits", "others")
    # Kernels may round otherwise where memory is aligned otherwise.
    expect(
        largest_gap(after, before) <= 1e-5,
        "the same logits",
        f"{largest_gap(after, before):.1e} apart",
    )


def check_lora(case: BackboneCase) -> str:
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
        expect(largest_gap(trained, before) > 1e-6, "an adapter that changes the logits", "none")
        same = fingerprint(backbone.base_state_dict()) == digest
        expect(same, "weights without the adapter with the same bits", "others")
        with tempfile.TemporaryDirectory() as folder:
            backbone.save_adapter(Path(folder))
            backbone.remove_lora()
            backbone.load_adapter(Path(folder))
        gap = largest_gap(case.plain_logits(), trained)
        expect(gap <= 1e-5, "the same logits from the saved adapter", f"{gap:.1e} apart")
    finally:
        backbone.remove_lora()
    expect(torch.equal(case.plain_logits(), before), "the bare logits again", "others")
    return f"{len(updates)} matrices"


def check_detach(case: BackboneCase) -> None:
    """Stops a link that leaves something behind."""
    digest, before = case.bare
    backbone = case.model.detach()
    del case.model  # attached again where a later check asks
    same = fingerprint(backbone.base_state_dict()) == digest
    expect(same, "weights with the same bits", "others")
    hooks = [m for m in backbone.modules() if m._forward_hooks or m._forward_pre_hooks]
    ours = [h for m in hooks for h in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())]
    left = [h for h in ours if type(getattr(h, "__self__", None)).__name__ == "LinkHooks"]
    expect(not left, "no hook of the link", f"{len(left)} of them")
    after = case.plain_logits()
    expect(torch.equal(after, before), "the same logits as before", "others")
