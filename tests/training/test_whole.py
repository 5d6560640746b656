"""What no sample of a step calls is left as it is, idle calls or not."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
import torch

from superlink.training import stages, train

PARTS = ("decoders.", "connectors.")
SIGHT = ("vision_tower", "multi_modal_projector")
MIXED = {
    "data": {"scenes": 1, "lists": 1},
    "learning_rates": {f"backbone.model.model.{n}": 0 for n in SIGHT},
    "warmup_steps": 0,
    "weight_decay": 0.1,
}


def trained(recipe, registry, folder, monkeypatch, *, idle):
    """Train, and give the model with `(whether the decoder ran, its weights)` of each forward."""
    original, seen = stages.SuperLinkTrainer, []

    class Watched(original):
        def compute_loss(self, model, inputs, *args, **kwargs):
            self.linked.idle = idle
            weights = {n: p.detach().clone() for n, p in self.linked.named_parameters()}
            seen.append(("toy.detection" in inputs["decoder_inputs"], weights))
            return super().compute_loss(model, inputs, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(stages, "SuperLinkTrainer", Watched)
        model = train(recipe, folder, registry=registry, progress=False).model
    return {n: p.detach() for n, p in model.named_parameters()}, seen


@pytest.mark.parametrize("idle", [False, True])
def test_decoder_that_a_step_does_not_call_is_not_stepped(
    recipe, registry, tmp_path, monkeypatch, idle
):
    made = recipe(steps=8, batch_size=1, **MIXED)
    last, seen = trained(made, registry, tmp_path / "run", monkeypatch, idle=idle)
    weights = [each for _, each in seen] + [last]
    called = [ran for ran, _ in seen]
    assert (True, False) in pairwise(called)  # Adam has momentum by then
    names = [name for name in last if name.startswith(PARTS)]
    for ran, before, after in zip(called, weights, weights[1:], strict=False):
        assert ran != all(before[name].equal(after[name]) for name in names)


def test_idle_calls_change_no_weight(recipe, registry, tmp_path, monkeypatch):
    made = recipe(steps=8, batch_size=1, link_loss=0.5, **MIXED)
    plain, _ = trained(made, registry, tmp_path / "plain", monkeypatch, idle=False)
    idle, _ = trained(made, registry, tmp_path / "idle", monkeypatch, idle=True)
    assert [name for name in plain if not plain[name].equal(idle[name])] == []


def test_step_in_parts_skips_what_the_whole_step_skips(recipe, registry, tmp_path, monkeypatch):
    settings = {"steps": 6, "batch_size": 2, **MIXED}
    whole, seen = trained(recipe(**settings), registry, tmp_path / "a", monkeypatch, idle=False)
    parts, _ = trained(
        recipe(**settings, micro_batch_size=1), registry, tmp_path / "b", monkeypatch, idle=True
    )
    assert {ran for ran, _ in seen} == {True, False}
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], rtol=1e-3, atol=1e-4)


def test_queries_that_no_text_names_are_not_stepped(recipe, registry, tmp_path, monkeypatch):
    words = [{"from": "human", "value": "What is red?"}, {"from": "gpt", "value": "An apple."}]
    path = tmp_path / "chat.json"
    path.write_text(json.dumps([{"id": str(n), "conversations": words} for n in range(4)]))
    chat = {"task": "dialogue", "format": "llava", "options": {"annotations": str(path)}}
    made = recipe(steps=2, datasets={"chat": chat}, **MIXED | {"data": {"chat": 1}})
    last, seen = trained(made, registry, tmp_path / "run", monkeypatch, idle=True)
    moved = [name for name in last if not last[name].equal(seen[0][1][name])]
    assert moved
    assert not [n for n in moved if n.startswith(("queries.banks.", *PARTS))]
