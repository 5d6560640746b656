"""What the losses mean, and where their gradient goes."""

import dataclasses

import pytest
import torch

from superlink.errors import InputError

NAMES = {"loss_mask", "loss_dice", "loss_iou"}


def rectangle(left, right, size=(60, 100)):
    mask = torch.zeros(size, dtype=torch.bool)
    mask[10:50, left:right] = True
    return mask


def losses_of(made, calls, links):
    inputs = made.collate([made.prepare(one, training=True) for one in calls])
    return made.loss(links, inputs)


def total(losses):
    return sum(value for value, _ in losses.values())


def test_losses_are_sums_over_the_routes(decoder, call, link, part):
    made, links = decoder(), link([1, 3])
    masks = torch.stack([rectangle(0, 30), rectangle(40, 80)])
    calls = [call(masks[:1], [0], 1), call(masks, [2, 0], 3, seed=1)]
    together = losses_of(made, calls, links)
    assert set(together) == NAMES
    assert all((value.dim(), count) == (0, 4.0) for value, count in together.values())
    alone = [losses_of(made, [calls[i]], part(links, i)) for i in range(2)]
    for name, (value, _) in together.items():
        assert torch.isclose(value, sum(one[name][0] for one in alone), rtol=1e-4)


def test_instances_of_one_route_are_one_mask(decoder, call, link):
    made = decoder()
    parts = torch.stack([rectangle(0, 30), rectangle(40, 80)])
    several = losses_of(made, [call(parts, [1, 1])], link([2]))
    joined = losses_of(made, [call(parts.any(0, keepdim=True), [1])], link([2]))
    assert several == joined


@pytest.mark.parametrize("keys", [("masks", "labels"), ("labels",)])
def test_empty_target_gives_a_loss_that_hangs_on_the_condition(decoder, call, link, keys):
    made, links, given = decoder(), link([2]), call()
    given = dataclasses.replace(given, target={key: given.target[key] for key in keys})
    losses = losses_of(made, [given], links)
    assert all(count == 2.0 for _, count in losses.values())
    total(losses).backward()
    assert (links.states.grad.abs().sum(1) > 0).all()


def test_right_mask_has_a_small_loss_and_a_wrong_one_a_large_one(decoder, call, link, monkeypatch):
    made, mask = decoder(), rectangle(20, 60)[None]
    target = made.prepare(call(mask, [0], 1), training=True)["targets"]
    ious = torch.ones(1)
    monkeypatch.setattr(made, "_masks", lambda *_: (40 * (target - 0.5), ious))
    right = losses_of(made, [call(mask, [0], 1)], link([1]))
    wrong = losses_of(made, [call(rectangle(62, 99)[None], [0], 1)], link([1]))
    absent = losses_of(made, [call(num_routes=1)], link([1]))
    assert total(right) < 0.5  # cells on the rim are half inside
    for losses in (wrong, absent):
        assert losses["loss_mask"][0] > 5
        assert losses["loss_dice"][0] > 0.45
        assert losses["loss_iou"][0] > 0.9


def test_padding_has_no_loss(decoder, call, link, monkeypatch):
    made, given = decoder(), call(rectangle(0, 100)[None], [0], 1)
    item = made.prepare(given, training=True)
    logits = 40 * (item["targets"] - 0.5)
    padded = torch.where(item["inside"] > 0, logits, 20.0)
    values = []
    for each in (logits, padded):
        monkeypatch.setattr(made, "_masks", lambda *_, each=each: (each, torch.ones(1)))
        values.append(float(total(losses_of(made, [given], link([1])))))
    assert values[0] == values[1]


def test_weights_scale_their_losses(decoder, call, link):
    plain = losses_of(decoder(), [call()], link([2]))
    off = losses_of(decoder(loss_mask=4.0, loss_dice=0.0, loss_iou=0.5), [call()], link([2]))
    factors = {"loss_mask": 2, "loss_dice": 0, "loss_iou": 0.5}
    for name, factor in factors.items():
        assert torch.isclose(off[name][0], factor * plain[name][0])


@pytest.mark.parametrize("num_prompt_tokens", [1, 3])
def test_gradient_reaches_every_prompt_token(decoder, call, link, num_prompt_tokens):
    made = decoder(num_prompt_tokens=num_prompt_tokens)
    assert made.cond_size == 32 * num_prompt_tokens
    links = link([2], made.cond_size)
    total(losses_of(made, [call(rectangle(0, 30)[None], [1])], links)).backward()
    tokens = links.states.grad.unflatten(1, (num_prompt_tokens, 32))
    assert (tokens.abs().sum(2) > 0).all()


def test_dummy_call_gives_a_loss(decoder, link):
    made = decoder()
    assert total(losses_of(made, [made.dummy_call()], link([1]))).isfinite()


def test_loss_without_targets_is_refused(decoder, call, link):
    made = decoder()
    inputs = made.collate([made.prepare(dataclasses.replace(call(), target=None), training=False)])
    with pytest.raises(InputError, match="targets"):
        made.loss(link([2]), inputs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": None}, "needs an image"),
        ({"target": None}, "Training needs a target"),
        ({"target": {"masks": torch.zeros(1, 60, 100).bool()}}, "masks .* and labels"),
        ({"target": {"labels": torch.tensor([0])}}, "masks .* and labels"),
        ({"target": {"masks": torch.zeros(1, 60, 100).bool(), "labels": [2]}}, "from 0 to 1"),
        ({"target": {"masks": torch.zeros(2, 60, 100).bool(), "labels": [0]}}, r"\(1, 60, 100\)"),
        ({"target": {"masks": torch.zeros(1, 64, 64).bool(), "labels": [0]}}, "original image"),
        ({"target": {"masks": torch.zeros(1, 60, 100), "labels": [0]}}, "bool"),
    ],
)
def test_call_that_cannot_be_used_is_refused(decoder, call, changes, message):
    with pytest.raises(InputError, match=rf"{message}.*key='sample 0'"):
        decoder().prepare(dataclasses.replace(call(), **changes), training=True)
