"""Two calls in one reply, a detection and then a referring, of which one decoder serves both."""

import pytest
import torch
from PIL import Image

from superlink import IMAGE, Message, Sample, build_model

from .conftest import TINY

QUESTION = Message("user", (IMAGE, "Find: apple, dog"))
DETECTION, BOTH = "<p>apple</p>[DET], <p>dog</p>[DET]", "{}. The left ones are here: [GRD]"
FOUND = {
    "bboxes": torch.tensor([[4.0, 4.0, 20.0, 24.0], [30.0, 8.0, 60.0, 60.0]]),
    "labels": torch.tensor([0, 1]),
}
REFERRED = {
    "bboxes": torch.tensor(
        [[2.0, 30.0, 24.0, 50.0], [8.0, 8.0, 40.0, 30.0], [1.0, 1.0, 9.0, 60.0]]
    ),
    "labels": torch.tensor([0, 0, 0]),
}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    backbone = {"encoder": "conv", "hidden_size": 32, "num_layers": 2, "num_heads": 2}
    decoder = {"name": "mmdet.grounding_dino", "config": {**TINY, "dropout": 0.0}}
    made = build_model(
        {"backbone": {"name": "tiny_llava", "config": backbone}, "decoders": [decoder]}
    )
    with torch.no_grad():
        for parameter in made.decoders.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    made.eval().decoders.train()  # with denoising
    return made


def sample(answer, *targets):
    image = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
    return Sample((QUESTION, Message("assistant", answer)), (image,), targets=targets, key="one")


def losses(model, batch, calls, *targets):
    """The losses of some calls of a batch, by name; what they count; and the gradients of their sum
    on the LLM, the queries and the connectors."""
    prepared = model.processor.decoder_inputs(
        [sample("", *targets)], batch["routes"], calls, training=True
    )
    terms = model(**{**batch, "calls": calls, "decoder_inputs": prepared}).losses
    terms.pop("lm")
    model.zero_grad()
    torch.stack([value for value, _ in terms.values()]).sum().backward()
    gradients = {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None and not name.startswith("decoders")
    }
    values = {name: value.item() for name, (value, _) in terms.items()}
    return values, {name: float(count) for name, (_, count) in terms.items()}, gradients


def test_referring_behind_a_detection_changes_no_prediction(model):
    (alone,) = model.answer([sample(DETECTION)], "forced")
    (both,) = model.answer([sample(BOTH.format(DETECTION))], "forced")
    assert [call.routes for call in both.calls] == [(0, 1), (2,)]
    assert [prediction.phrases for prediction in both.predictions] == [("apple", "dog"), ("",)]
    one, other = alone.predictions[0], both.predictions[0]
    torch.testing.assert_close(one.scores, other.scores, atol=1e-4, rtol=0)
    torch.testing.assert_close(one.bboxes, other.bboxes, atol=1e-2, rtol=0)
    assert torch.equal(one.labels, other.labels)


def test_losses_and_gradients_of_both_are_those_of_each(model):
    """The detection has the losses and gradients that it has alone, and the two add up."""
    single = model.processor([sample(DETECTION, FOUND)])
    pair = model.processor([sample(BOTH.format(DETECTION), FOUND, REFERRED)])
    detection, referring = pair["calls"]
    alone, counts, gradients = losses(model, single, single["calls"], FOUND)
    first, first_counts, first_gradients = losses(model, pair, [detection], FOUND)
    second, second_counts, second_gradients = losses(model, pair, [referring], REFERRED)
    both, both_counts, both_gradients = losses(model, pair, [detection, referring], FOUND, REFERRED)
    assert first == pytest.approx(alone, rel=1e-4)
    assert first_counts == counts
    for name, value in both.items():
        assert value == pytest.approx(first[name] + second[name], rel=1e-4), name
        assert both_counts[name] == first_counts[name] + second_counts[name]
    for name, gradient in gradients.items():
        torch.testing.assert_close(first_gradients[name], gradient, atol=1e-4, rtol=1e-3)
        total = first_gradients[name] + second_gradients[name]
        torch.testing.assert_close(both_gradients[name], total, atol=1e-4, rtol=1e-3)
    assert any(name.startswith("backbone") for name in gradients)
