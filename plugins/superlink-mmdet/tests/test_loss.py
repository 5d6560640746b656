import dataclasses

import pytest
import torch

from superlink.errors import InputError

BOXES = [[4.0, 4, 30, 40], [20.0, 10, 60, 60], [34.0, 2, 50, 20]]

both_families = pytest.mark.parametrize("family", ["grounding_dino", "deformable_detr"])
variants = pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("grounding_dino", {}),
        ("grounding_dino", {"fusion": False, "text_layers": False}),
        ("deformable_detr", {}),
    ],
    ids=["grounding_dino", "grounding_dino_plain", "deformable_detr"],
)


def losses_of(made, calls, links):
    return made.loss(links, made.collate([made.prepare(call, training=True) for call in calls]))


def total(losses):
    return sum(value for value, _ in losses.values())


@both_families
def test_losses_are_sums_with_the_number_of_targets(decoder, call, link):
    losses = losses_of(decoder(), [call(BOXES, [0, 1, 1])], link([2]))
    assert set(losses) == {
        f"{part}loss_{kind}" for part in ("", "enc_") for kind in ("cls", "bbox", "iou")
    }
    assert all(count == 3 for _, count in losses.values())
    assert all(value.isfinite() and value > 0 for value, _ in losses.values())


def test_losses_equal_those_of_mmdet_times_the_number_of_targets(decoder, call, link):
    from mmdet.models.dense_heads import GroundingDINOHead

    made = decoder().train()
    inputs = made.collate([made.prepare(call(BOXES, [0, 1, 1]), training=True)])
    head_inputs, samples = made._forward(link([2]), inputs, with_targets=True)
    head = made.detector.bbox_head
    ours = head.loss(**head_inputs, batch_data_samples=samples)
    noised = head_inputs.pop("noised")
    (groups,) = noised.num_groups
    meta = {"num_denoising_queries": noised.number, "num_denoising_groups": groups}
    for loss in (head.loss_cls, head.loss_bbox, head.loss_iou):
        loss.reduction = "mean"
    head.__class__ = GroundingDINOHead
    theirs = head.loss(**head_inputs, batch_data_samples=samples, dn_meta=meta)
    layers = dict.fromkeys(ours, 0.0)
    for name, value in theirs.items():
        layers[name.rpartition(".")[2]] += value.reshape(()) * 3  # "d0.loss_cls" is of layer 0
    assert set(ours) == set(layers)
    for name, value in ours.items():
        torch.testing.assert_close(value, layers[name])


@both_families
@pytest.mark.parametrize("training", [True, False])
def test_batch_of_eight_equals_eight_of_one(decoder, call, link, part, training):
    made = decoder(keep_ratio=True, image_size=(64, 96)).train(training)
    counts = [1, 2, 3, 4, 5, 1, 2, 3]
    calls = [
        call(
            BOXES[: index % 4],
            [n % counts[index] for n in range(index % 4)],
            num_routes=counts[index],
            size=(64, 64) if index % 2 else (96, 64),
            seed=index,
        )
        for index in range(8)
    ]
    links = link(counts)
    together = losses_of(made, calls, links)
    alone = [losses_of(made, [c], part(links, i)) for i, c in enumerate(calls)]
    for name, (value, count) in together.items():
        expected = sum(losses[name][0] for losses in alone)
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-4)
        assert count == sum(losses[name][1] for losses in alone)


@variants
def test_gradient_reaches_states_and_every_parameter(decoder, call, link, changes):
    made = decoder(**changes).train()
    links = link([2, 3])
    total(losses_of(made, [call(BOXES, [0, 1, 1]), call([], [], 3)], links)).backward()
    assert (links.states.grad.abs().sum(1) > 0).all()
    assert [n for n, p in made.named_parameters() if p.requires_grad and p.grad is None] == []
    for part in ("backbone", "neck", "encoder", "decoder", "bbox_head", "text_feat_map"):
        gradients = [p.grad for p in getattr(made.detector, part).parameters() if p.requires_grad]
        assert sum(one.abs().sum() for one in gradients) > 0, part


@both_families
def test_empty_targets_give_class_losses_only(decoder, call, link):
    made = decoder().train()
    links = link([2])
    losses = losses_of(made, [call()], links)
    assert all(value == 0 for name, (value, _) in losses.items() if not name.endswith("cls"))
    assert losses["loss_cls"][0] > 0
    assert all(value.isfinite() and count == 0 for value, count in losses.values())
    total(losses).backward()
    assert links.states.grad.abs().sum() > 0
    assert [n for n, p in made.named_parameters() if p.requires_grad and p.grad is None] == []


@both_families
def test_names_of_losses_do_not_depend_on_targets(decoder, call, link, family):
    made = decoder().train()
    full, empty = (losses_of(made, [c], link([2])) for c in (call(BOXES, [0, 1, 1]), call()))
    assert set(full) == set(empty)
    assert ("dn_loss_cls" in full) == (family == "grounding_dino")


def test_denoising_draws_from_the_key_alone(decoder, call, link):
    made = decoder().train()

    def noise_loss(key, seed):
        torch.manual_seed(seed)  # of no influence
        calls = [call(BOXES, [0, 1, 1], key=key)]
        return float(losses_of(made, calls, link([2]))["dn_loss_bbox"][0].detach())

    assert noise_loss("a", 0) == noise_loss("a", 1)
    assert noise_loss("a", 0) != noise_loss("b", 0)


def test_denoising_leaves_the_matched_queries_alone(decoder, call, link):
    made = decoder()
    calls = [call(BOXES, [0, 1, 1])]
    plain = losses_of(made.eval(), calls, link([2]))
    noisy = losses_of(made.train(), calls, link([2]))
    for name, (value, _) in plain.items():
        torch.testing.assert_close(noisy[name][0], value)


@both_families
def test_training_mode_with_shared_features_reaches_the_maps(decoder, call, link):
    made = decoder(shared_features=True).train()
    inputs = made.collate([made.prepare(call(BOXES, [0, 1, 1]), training=True)])
    maps = tuple(
        torch.randn(1, channels, side, side, requires_grad=True)
        for channels, side in ((16, 8), (32, 4), (64, 2))
    )
    inputs["image_features"] = maps
    total(made.loss(link([2]), inputs)).backward()
    assert all(one.grad.abs().sum() > 0 for one in maps)


@both_families
def test_loss_without_targets_is_refused(decoder, call, link):
    made = decoder()
    target_less = dataclasses.replace(call(), target=None)
    inputs = made.collate([made.prepare(target_less, training=False)])
    with pytest.raises(InputError, match="targets"):
        made.loss(link([2]), inputs)


@both_families
def test_dummy_call_gives_a_loss(decoder, link):
    made = decoder().train()
    losses = losses_of(made, [made.dummy_call()], link([1]))
    assert total(losses).isfinite()


@both_families
def test_thirty_steps_on_one_picture_lower_the_loss(decoder, call, link):
    torch.manual_seed(0)
    made = decoder().train()
    links = link([2])
    inputs = made.collate([made.prepare(call(BOXES, [0, 1, 1]), training=True)])
    optimizer = torch.optim.AdamW([*made.parameters(), links.states], lr=2e-3)
    curve = []
    for _ in range(30):
        loss = total(made.loss(links, inputs)) / 3
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(made.parameters(), 1.0)
        optimizer.step()
        curve.append(float(loss.detach()))
    assert sum(curve[-3:]) < 0.6 * sum(curve[:3])
