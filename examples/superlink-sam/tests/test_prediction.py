"""Predictions: one mask for each route, the same in every batch."""

import dataclasses

import pytest
import torch


def predict(made, calls, links):
    return made.predict(links, made.collate([made.prepare(c, training=False) for c in calls]))


def shaken(made):
    """Fresh weights say nearly the same of every pixel; these do not."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in made.model.sam.mask_decoder.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return made


def test_instances_lie_in_the_original_image(decoder, call, link):
    (found,) = predict(shaken(decoder()), [call(num_routes=4, size=(50, 90))], link([4]))
    assert len(found.scores) > 1
    assert len(set(found.labels.tolist())) == len(found.labels)
    assert found.masks.shape == (len(found.scores), 50, 90)
    assert found.masks.dtype == torch.bool
    assert found.scores.diff().max() <= 0
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert (found.bboxes[:, 2:] > found.bboxes[:, :2]).all()
    assert (found.bboxes <= torch.tensor([90, 50, 90, 50])).all()
    assert found.phrases == ("thing 0", "thing 1", "thing 2", "thing 3")


def test_route_without_a_pixel_has_no_instance(decoder, call, link, monkeypatch):
    made = decoder()
    logits = torch.tensor([-1.0, 1.0]).view(2, 1, 1).expand(2, 32, 32)
    monkeypatch.setattr(made, "_masks", lambda *_: (logits, torch.tensor([0.9, 1.2])))
    (found,) = predict(made, [call()], link([2]))
    assert (found.labels.tolist(), found.scores.tolist()) == ([1], [1.0])
    assert found.bboxes.tolist() == [[0, 0, 100, 60]]
    monkeypatch.setattr(made, "_masks", lambda *_: (logits * 0, torch.ones(2)))
    (found,) = predict(made, [call()], link([2]))
    assert found.masks.shape == (0, 60, 100)
    assert found.bboxes.shape == (0, 4)


def test_batch_of_ragged_calls_equals_each_alone(decoder, call, link, part):
    made, counts = shaken(decoder()), [2, 5, 1]
    sizes = [(60, 100), (90, 40), (64, 64)]
    calls = [call(num_routes=n, size=sizes[i], seed=i) for i, n in enumerate(counts)]
    links = link(counts)
    for index, together in enumerate(predict(made, calls, links)):
        (alone,) = predict(made, [calls[index]], part(links, index))
        assert together.labels.tolist() == alone.labels.tolist()
        assert (together.scores - alone.scores).abs().max() < 1e-5
        assert (together.masks == alone.masks).float().mean() > 0.999


def test_permuting_routes_permutes_instances(decoder, call, link):
    made, links, order = shaken(decoder()), link([4]), torch.tensor([2, 0, 3, 1])
    mixed = dataclasses.replace(links, states=links.states[order])
    (first,) = predict(made, [call(num_routes=4)], links)
    (second,) = predict(made, [call(num_routes=4)], mixed)
    for label, mask in zip(second.labels, second.masks, strict=True):
        (same,) = first.masks[first.labels == order[label]]
        assert (same == mask).float().mean() > 0.999


@pytest.mark.parametrize("device_type", ["cpu"])
def test_half_precision_is_served(decoder, call, link, device_type):
    made, links = shaken(decoder()), link([2])
    (plain,) = predict(made, [call()], links)
    halved = dataclasses.replace(links, states=links.states.bfloat16())
    with torch.autocast(device_type, torch.bfloat16):
        (found,) = predict(made, [call()], halved)
    assert found.scores.dtype == torch.float32
    assert (found.scores - plain.scores).abs().max() < 0.05
    (whole,) = predict(made.bfloat16(), [call()], halved)
    assert whole.scores.dtype == torch.float32


def test_prediction_is_json_and_draws_itself(decoder, call, link):
    (found,) = predict(shaken(decoder()), [call()], link([2]))
    instance = found.to_json()["instances"][0]
    assert instance["mask_area"] == int(found.masks[0].sum())


def test_forward_dispatches_by_mode(decoder, call, link):
    made = decoder()
    inputs = made.collate([made.prepare(call(), training=True)])
    assert len(made(link([2]), inputs, mode="predict")) == 1
    assert "loss_mask" in made(link([2]), inputs, mode="loss")
