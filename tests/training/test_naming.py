"""The link loss: the condition of a route learns to name the words of its phrase."""

from __future__ import annotations

import random

import pytest
import torch

from superlink.build import build_model
from superlink.interfaces import LinkedQueries, Message, Sample
from superlink.tasks.detection import text_only_conversation
from superlink.training.naming import LinkNaming

NAMES = ("apple", "dog", "boat")


@pytest.fixture
def model(registry, recipe):
    return build_model(recipe().model, registry)


@pytest.fixture
def batch(model):
    rng = random.Random(0)
    samples = [text_only_conversation(NAMES, rng) for _ in range(4)]
    made = {**model.processor(samples, run_decoders=False)}
    del made["dropped"]
    return made


def linked(states, phrases):
    calls = torch.zeros(len(states), dtype=torch.long)
    return {"toy": LinkedQueries(states, calls, ("[DET]",) * len(states), phrases, 1)}


def test_link_loss_falls_on_text_alone(model, batch):
    naming = LinkNaming(model)
    parameters = [*model.queries.parameters(), *model.connectors.parameters()]
    optimizer = torch.optim.AdamW([*parameters, *naming.parameters()], lr=1e-2)
    losses = []
    for _ in range(20):
        total, count = naming(model(**batch).links)
        loss = total / count
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_gradient_of_the_link_loss_reaches_queries_and_backbone(model, batch):
    LinkNaming(model)(model(**batch).links)[0].backward()
    assert model.queries.banks["toy-detection"].grad.abs().sum() > 0
    assert any(p.grad is not None and p.grad.any() for p in model.backbone.parameters())


def test_link_loss_is_the_cross_entropy_of_the_words_of_each_route(model):
    naming = LinkNaming(model)
    states = torch.randn(2, model.bound["toy.detection"].decoder.cond_size)
    head = naming.heads[str(states.shape[1])]
    words = [model.backbone.tokenize(word)[0] for word in ("red", "apple", "dog")]
    logs = head(states).log_softmax(-1)
    expected = -((logs[0, words[0]] + logs[0, words[1]]) / 2 + logs[1, words[2]])
    total, count = naming(linked(states, ("red apple", "dog")))
    torch.testing.assert_close(total, expected)
    assert count == 2


def test_link_loss_takes_conditions_that_were_not_pooled(model):
    naming = LinkNaming(model)
    states = torch.randn(2, 3, model.bound["toy.detection"].decoder.cond_size)
    pooled = naming(linked(states.mean(1), ("apple", "dog")))
    torch.testing.assert_close(naming(linked(states, ("apple", "dog"))), pooled)


def test_link_loss_without_phrases_is_0(model):
    naming = LinkNaming(model)
    states = torch.randn(1, model.bound["toy.detection"].decoder.cond_size)
    assert naming(linked(states, ("",))) == (0, 0)
    assert naming({}) == (0, 0)


def test_a_route_without_a_phrase_names_the_words_of_its_question(registry, recipe):
    model = build_model(recipe().model, registry)
    token = model.bound["toy.detection"].tokens[0]
    talk = (("Find apple", f"here{token}"), ("Find dog", f"there{token}"))
    messages = [m for q, a in talk for m in (Message("user", q), Message("assistant", a))]
    target = {"bboxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}
    batch = model.processor([Sample(tuple(messages), targets=(target,) * 2)], run_decoders=False)
    naming = LinkNaming(model)
    words = [
        {model.backbone.decode([i]).strip() for i in ids}
        for ids in naming._asked("toy.detection", batch)
    ]
    assert ["apple" in some for some in words] == [True, False]
    assert ["dog" in some for some in words] == [False, True]
    assert not {"here", "there", token} & set.union(*words)
    links = model(**{k: v for k, v in batch.items() if k != "dropped"}).links
    total, count = naming(links, batch)
    assert total > 0
    assert count == naming.count(batch) > 0
    assert naming(links) == (0, 0)


def test_each_route_of_an_answer_names_the_words_of_the_question(registry, recipe):
    model = build_model(recipe().model, registry)
    tokens = model.bound["toy.detection"].tokens
    answer = f"here{tokens[0]} and{tokens[0]}"
    target = {"bboxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}
    sample = Sample((Message("user", "Find dog"), Message("assistant", answer)), targets=(target,))
    batch = model.processor([sample], run_decoders=False)
    first, second = LinkNaming(model)._asked("toy.detection", batch)
    assert first == second and model.backbone.tokenize("dog")[0] in first
