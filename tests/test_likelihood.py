"""How likely answers are: the loss of each answer alone, whatever stands beside it."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from superlink.interfaces import IMAGE, REGION, Message, Region, Sample
from superlink.link import RegionConfig
from superlink.testing.models import toy_model

NAMES = ["dog", "a big red car", "", "apple"]


@pytest.fixture(scope="module", params=["llava", "qwen2_5_vl"])
def model(request):
    return toy_model(request.param, regions=RegionConfig(image_size=32, dims=16))


def asked(*before, region=None):
    image = Image.new("RGB", (60, 40), "green")
    parts = (IMAGE, "what is ", REGION) if region else (IMAGE, "what is it")
    regions = (region,) if region else ()
    told = (Message("user", "hello"), Message("assistant", "hi")) if before else ()
    return Sample((*told, Message("user", parts)), (image,), regions=regions)


def loss(model, sample, *answer):
    """The summed language loss of a conversation."""
    messages = (*sample.messages, *(Message("assistant", text) for text in answer))
    whole = Sample(messages, sample.images, regions=sample.regions)
    batch = model.processor([whole])
    del batch["dropped"]
    with torch.no_grad():
        return float(model(**batch).losses["lm"][0])


@pytest.mark.parametrize("region", [None, Region.box(5, 5, 30, 30)])
def test_a_likelihood_is_the_loss_of_the_answer(model, region):
    sample = asked(region=region)
    found = model.likelihoods(sample, NAMES, batch_size=3)
    expected = [-loss(model, sample, name) for name in NAMES]
    assert found == pytest.approx(expected, abs=1e-3)
    assert max(found) < 0


def test_earlier_answers_do_not_count(model):
    sample = asked("hello")
    (found,) = model.likelihoods(sample, ["dog"])
    first = Sample(sample.messages[:1])
    assert found == pytest.approx(loss(model, first, "hi") - loss(model, sample, "dog"), abs=1e-3)


def test_regions_change_what_is_likely_and_the_batch_does_not(model):
    one, other = (asked(region=Region.box(*box)) for box in ((0, 0, 12, 12), (40, 20, 60, 40)))
    found = model.likelihoods(one, NAMES)
    assert found == pytest.approx(model.likelihoods(one, NAMES, batch_size=1), abs=1e-3)
    assert found != pytest.approx(model.likelihoods(other, NAMES), abs=1e-6)


def test_a_training_goes_on_in_its_mode(model):
    model.train()
    model.likelihoods(asked(), ["dog"])
    assert model.training and torch.is_grad_enabled()
    model.eval()
