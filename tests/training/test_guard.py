"""The chat guard: the loss per token of a text set, and a model that is left as it was."""

from __future__ import annotations

import pytest
import torch

from superlink.errors import InputError
from superlink.interfaces import Message, Sample
from superlink.testing.models import toy_model
from superlink.training.guard import chat_loss


@pytest.fixture
def model():
    return toy_model("llava")


def lessons(*answers):
    return [Sample((Message("user", "hello"), Message("assistant", text))) for text in answers]


def test_chat_loss_is_the_mean_over_tokens_whatever_the_batch(model):
    samples = lessons("dog", "a big red car", "apple")
    alone = [model.likelihoods(Sample(s.messages[:1]), [s.messages[1].text])[0] for s in samples]
    batch = model.processor(samples)
    tokens = int((batch["labels"] >= 0).sum())
    assert chat_loss(model, samples) == pytest.approx(-sum(alone) / tokens, rel=1e-4)
    assert chat_loss(model, samples, batch_size=2) == pytest.approx(chat_loss(model, samples))


def test_chat_loss_counts_answers_with_routes_and_runs_no_decoder(model, monkeypatch):
    for bound in model.bound.values():
        monkeypatch.setattr(bound.decoder, "forward", pytest.fail)
    (token, *_) = model.vocabulary.bindings
    assert chat_loss(model, lessons(f"<p>dog</p>{token}")) > 0


def test_chat_loss_changes_nothing(model):
    model.train()
    model.connectors.eval()
    model.idle = True
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    state = torch.random.get_rng_state()
    chat_loss(model, lessons("dog", "apple"))
    assert [module.training for module in model.modules()] == modes
    assert model.idle
    assert torch.random.get_rng_state().equal(state)
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_chat_guard_without_text_says_so(model):
    with pytest.raises(InputError, match="needs conversations with answers"):
        chat_loss(model, [])
