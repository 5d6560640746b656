"""The toy decoder keeps every promise of `TaskDecoder`."""

from __future__ import annotations

import copy

import pytest
import torch
from PIL import Image

from superlink.errors import InputError
from superlink.interfaces import CallInput, Geometry, LinkedQueries
from superlink.testing import TOY_BOX, ToyBoxConfig, ToyBoxDecoder


@pytest.fixture
def decoder():
    torch.manual_seed(0)
    return ToyBoxDecoder(ToyBoxConfig())


def call(*bboxes, size=(40, 60), color="grey", labels=None, geometry=None):
    """A call with a route and a target for each box; `size` is (height, width)."""
    target = {
        "bboxes": torch.tensor(bboxes).reshape(-1, 4),
        "labels": torch.arange(len(bboxes)) if labels is None else torch.tensor(labels),
    }
    routes = max(1, len(bboxes))
    return CallInput(
        image=Image.new("RGB", size[::-1], color),
        geometry=geometry or Geometry.identity(size),
        target=target,
        tokens=("[BOX]",) * routes,
        phrases=tuple(f"thing {index}" for index in range(routes)),
    )


def links(decoder, calls, states=None):
    routes = [index for index, one in enumerate(calls) for _ in one.tokens]
    if states is None:
        states = torch.randn(len(routes), decoder.cond_size)
    return LinkedQueries(
        states=states,
        calls=torch.tensor(routes),
        tokens=tuple(token for one in calls for token in one.tokens),
        phrases=tuple(phrase for one in calls for phrase in one.phrases),
        num_calls=len(calls),
    )


def collate(decoder, calls, training=True):
    return decoder.collate([decoder.prepare(one, training=training) for one in calls])


def test_spec_describes_the_decoder():
    assert (TOY_BOX.name, TOY_BOX.routing_tokens, TOY_BOX.num_queries) == ("toy.box", ("[BOX]",), 2)
    assert TOY_BOX.factory.endswith(f":{ToyBoxDecoder.__name__}")
    assert TOY_BOX.config_class.endswith(f":{ToyBoxConfig.__name__}")


def test_loss_counts_targets_and_reaches_the_condition(decoder):
    calls = [call((0.0, 0.0, 30.0, 20.0)), call((5.0, 5.0, 9.0, 9.0), (1.0, 2.0, 3.0, 4.0))]
    states = torch.randn(3, decoder.cond_size, requires_grad=True)
    total, count = decoder(links(decoder, calls, states), collate(decoder, calls))["l1"]
    assert count == 3
    total.backward()
    assert (states.grad.abs().sum(-1) > 0).all()


def test_loss_of_batch_is_the_sum_of_its_calls(decoder):
    calls = [call((0.0, 0.0, 30.0, 20.0)), call((5.0, 5.0, 9.0, 9.0), (1.0, 2.0, 3.0, 4.0))]
    states = torch.randn(3, decoder.cond_size)
    total, _ = decoder.loss(links(decoder, calls, states), collate(decoder, calls))["l1"]
    singles = [
        decoder.loss(links(decoder, [one], part), collate(decoder, [one]))["l1"][0]
        for one, part in zip(calls, states.split([1, 2]), strict=True)
    ]
    torch.testing.assert_close(total, sum(singles))


def test_loss_without_targets_is_zero_and_hangs_on_the_condition(decoder):
    states = torch.randn(1, decoder.cond_size, requires_grad=True)
    total, count = decoder.loss(links(decoder, [call()], states), collate(decoder, [call()]))["l1"]
    assert (total.item(), count) == (0.0, 0.0)
    total.backward()
    assert torch.equal(states.grad, torch.zeros_like(states))


def test_loss_follows_labels_to_the_routes(decoder):
    boxes = ((0.0, 0.0, 30.0, 20.0), (5.0, 5.0, 9.0, 9.0))
    straight, crossed = call(*boxes), call(*boxes[::-1], labels=[1, 0])
    states = torch.randn(2, decoder.cond_size)
    one, other = (
        decoder.loss(links(decoder, [each], states), collate(decoder, [each]))["l1"][0]
        for each in (straight, crossed)
    )
    torch.testing.assert_close(one, other)


def test_predict_gives_one_box_for_each_route_inside_the_original_image(decoder):
    calls = [call((0.0, 0.0, 30.0, 20.0)), call((5.0, 5.0, 9.0, 9.0), (1.0, 2.0, 3.0, 4.0))]
    calls = [CallInput(c.image, c.geometry, None, c.tokens, c.phrases) for c in calls]
    predictions = decoder.predict(links(decoder, calls), collate(decoder, calls, training=False))
    assert [len(prediction.bboxes) for prediction in predictions] == [1, 2]
    for prediction in predictions:
        x1, y1, x2, y2 = prediction.bboxes.unbind(-1)
        assert ((x1 >= 0) & (x1 < x2) & (x2 <= 60) & (y1 >= 0) & (y1 < y2) & (y2 <= 40)).all()
    found = predictions[1].to_json()["instances"]
    assert [instance["phrase"] for instance in found] == ["thing 0", "thing 1"]


def test_predict_on_a_mirrored_stream_comes_back_mirrored(decoder):
    plain = Geometry.identity((40, 60))
    calls = [call((0.0, 0.0, 1.0, 1.0), geometry=g) for g in (plain, plain.mirrored())]
    states = torch.randn(1, decoder.cond_size).expand(2, -1)
    straight, mirrored = decoder.predict(links(decoder, calls, states), collate(decoder, calls))
    expected = 60 - straight.bboxes[:, [2, 0]]
    torch.testing.assert_close(mirrored.bboxes[:, [0, 2]], expected)
    torch.testing.assert_close(mirrored.bboxes[:, [1, 3]], straight.bboxes[:, [1, 3]])


def test_training_learns_boxes_of_its_conditions(decoder):
    boxes = ((6.0, 4.0, 30.0, 20.0), (30.0, 20.0, 54.0, 36.0))
    calls = [call(*boxes)]
    states = torch.eye(2, decoder.cond_size)
    batch, linked = collate(decoder, calls), links(decoder, calls, states)
    optimizer = torch.optim.Adam(decoder.parameters(), lr=0.005)
    for _ in range(100):
        optimizer.zero_grad()
        decoder(linked, batch)["l1"][0].backward()
        optimizer.step()
    (prediction,) = decoder(linked, batch, mode="predict")
    torch.testing.assert_close(prediction.bboxes, torch.tensor(boxes), atol=3.0, rtol=0.0)


def test_prepare_leaves_the_call_as_it_was(decoder):
    one = call((0.0, 0.0, 30.0, 20.0))
    before = copy.deepcopy(one.target)
    decoder.prepare(one, training=True)
    assert all(torch.equal(one.target[key], before[key]) for key in before)
    assert one.image.size == (60, 40)


def test_prepare_without_an_image_says_so(decoder):
    with pytest.raises(InputError, match="needs an image"):
        decoder.prepare(CallInput(None, None, None, ("[BOX]",), ("x",), "s7"), training=False)


def test_dummy_call_gives_a_loss(decoder):
    dummy = decoder.dummy_call()
    total, count = decoder.loss(links(decoder, [dummy]), collate(decoder, [dummy]))["l1"]
    assert (total.isfinite(), count) == (True, 1)
