"""Two calls in one reply: what the first one finds and learns does not depend on the second."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from superlink.interfaces import IMAGE, Message, Sample
from superlink.testing import toy_model

QUESTION = Message("user", (IMAGE, "Find: dog, cat"))
FIRST = "<p>dog</p>[BOX], <p>cat</p>[BOX]"
SECOND = {"another decoder": "[SPOT]", "the same one": "[DOT]"}
BOXES = {"bboxes": torch.tensor([[1.0, 2.0, 9.0, 8.0]]), "labels": torch.tensor([1])}
OTHER = {"bboxes": torch.tensor([[3.0, 3.0, 5.0, 9.0]]), "labels": torch.tensor([0])}


@pytest.fixture(scope="module")
def model():
    return toy_model()


def sample(answer, *targets):
    image = Image.linear_gradient("L").resize((16, 12)).convert("RGB")
    return Sample((QUESTION, Message("assistant", answer)), (image,), targets=targets)


def trained(model, one, name):
    """A loss and its gradients on everything below it."""
    out = model(**model.processor([one]))
    model.zero_grad()
    out.losses[name][0].backward()
    gradients = {
        key: value.grad.clone() for key, value in model.named_parameters() if value.grad is not None
    }
    return out.losses[name], gradients


def test_call_behind_changes_no_prediction(model):
    (alone,) = model.answer([sample(FIRST)], "forced")
    for token in SECOND.values():
        (both,) = model.answer([sample(f"{FIRST}. It is here: {token}")], "forced")
        assert both.calls[0] == alone.calls[0]
        assert both.calls[1].routes == (2,)
        for name in ("bboxes", "scores", "labels"):
            one, other = (getattr(r.predictions[0], name) for r in (alone, both))
            torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


def test_call_behind_changes_neither_loss_nor_gradient(model):
    (value, count), gradients = trained(model, sample(FIRST, BOXES), "toy.box/l1")
    both = sample(f"{FIRST}. It is here: [SPOT]", BOXES, OTHER)
    (other_value, other_count), others = trained(model, both, "toy.box/l1")
    assert count == other_count
    torch.testing.assert_close(value, other_value)
    touched = {name for name, grad in gradients.items() if grad.any()}
    assert touched == {name for name, grad in others.items() if grad.any()}
    assert any(name.startswith("backbone") for name in touched)
    for name in touched:
        torch.testing.assert_close(gradients[name], others[name], atol=1e-6, rtol=1e-4)
