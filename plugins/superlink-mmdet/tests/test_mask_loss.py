import dataclasses
from types import SimpleNamespace

import pytest
import torch

from superlink_mmdet.library import InstanceData
from superlink_mmdet.mask_branch import MaskBranch
from superlink_mmdet.pairs import Pairs
from superlink_mmdet.pixels import PixelMap
from superlink_mmdet.settings import detector_settings

BOXES = [[4.0, 4, 30, 40], [20.0, 10, 60, 60], [34.0, 2, 50, 20]]
LABELS = [0, 1, 1]
NAMES = {f"{part}loss_{kind}" for part in ("", "dn_") for kind in ("mask", "dice")}

both_families = pytest.mark.parametrize("family", ["grounding_dino", "deformable_detr"])


def losses_of(made, calls, links):
    return made.loss(links, made.collate([made.prepare(call, training=True) for call in calls]))


def total(losses):
    return sum(value for value, _ in losses.values())


def names_of(family):
    """The losses of masks; only one family has denoising."""
    return {name for name in NAMES if family == "grounding_dino" or name[:3] != "dn_"}


def without_gradient(module):
    return [n for n, p in module.named_parameters() if p.requires_grad and p.grad is None]


@both_families
def test_mask_losses_are_sums_with_the_number_of_masks(decoder, call, link, family):
    made = decoder(masks=True).train()
    losses = losses_of(made, [call(BOXES, LABELS, masks=True)], link([2]))
    assert set(losses) >= names_of(family)
    assert not {"enc_loss_mask", "enc_loss_dice"} & set(losses)
    assert all(count == 3 and value > 0 for value, count in losses.values())


def test_masks_leave_the_other_losses_alone(decoder, call, link):
    made = decoder(masks=True, match_mask=0, match_dice=0).train()
    links = link([2])
    with_masks = losses_of(made, [call(BOXES, LABELS, masks=True)], links)
    without = losses_of(made, [call(BOXES, LABELS)], links)
    for name in set(with_masks) - NAMES:
        torch.testing.assert_close(with_masks[name][0], without[name][0])


def test_weights_scale_the_losses(decoder, call, link):
    calls, links = [call(BOXES, LABELS, masks=True)], link([2])
    plain = losses_of(decoder(masks=True, loss_mask=1, loss_dice=1), calls, links)
    scaled = losses_of(decoder(masks=True, loss_mask=3, loss_dice=0), calls, links)
    torch.testing.assert_close(scaled["loss_mask"][0], 3 * plain["loss_mask"][0])
    assert scaled["loss_dice"][0] == 0


@both_families
@pytest.mark.parametrize("mask_channels", [8, None])
def test_gradient_reaches_pixels_and_every_parameter(decoder, call, link, mask_channels, family):
    made = decoder(masks=True, mask_channels=mask_channels).train()
    links = link([2, 3])
    calls = [call(BOXES, LABELS, masks=True), call([], [], 3, masks=True)]
    losses = losses_of(made, calls, links)
    (losses["loss_mask"][0] + losses["loss_dice"][0]).backward(retain_graph=True)
    if family == "grounding_dino":  # elsewhere masks hang on what was found, not on its route
        assert (links.states.grad[:2].abs().sum(1) > 0).all()
    pixels = made.detector.pixel_embedding
    assert all(p.grad.abs().sum() > 0 for p in pixels.parameters())
    total(losses).backward()
    assert without_gradient(made) == []


@both_families
@pytest.mark.parametrize("masks", [True, False])
def test_empty_targets_and_boxes_alone_teach_no_mask(decoder, call, link, masks, family):
    made = decoder(masks=True).train()
    boxes = () if masks else BOXES
    losses = losses_of(made, [call(boxes, LABELS[: len(boxes)], masks=masks)], link([2]))
    names = names_of(family)
    assert set(losses) >= names
    assert all(losses[name][0] == 0 == losses[name][1] for name in names)
    assert losses["loss_cls"][1] == len(boxes)
    sum(losses[name][0] for name in names).backward()
    branch = made.detector.bbox_head.mask_branch
    for module in (branch, made.detector.pixel_embedding):
        assert without_gradient(module) == []
        assert all(p.grad.abs().sum() == 0 for p in module.parameters())


@both_families
@pytest.mark.parametrize("training", [True, False])
def test_mixed_batch_of_ragged_images_equals_each_alone(decoder, call, link, part, training):
    made = decoder(masks=True, keep_ratio=True, image_size=(64, 96))
    made.train(training)
    calls = [
        call(
            BOXES[: index % 4],
            [n % (1 + index % 3) for n in range(index % 4)],
            num_routes=1 + index % 3,
            size=[(64, 64), (96, 64), (64, 96)][index % 3],
            seed=index,
            key=str(index),
            masks=index % 2 == 1,
        )
        for index in range(8)
    ]
    links = link([1 + index % 3 for index in range(8)])
    together = losses_of(made, calls, links)
    alone = [losses_of(made, [c], part(links, i)) for i, c in enumerate(calls)]
    for name, (value, count) in together.items():
        expected = sum(losses[name][0] for losses in alone)
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-4)
        assert count == sum(losses[name][1] for losses in alone)
    assert together["loss_mask"][1] == 8
    assert together["loss_cls"][1] == 12


def test_denoising_of_boxes_alone_beside_masks_counts_masks_only(decoder, call, link, part):
    made = decoder(masks=True).train()
    calls = [call(BOXES, LABELS, masks=True, key="a"), call(BOXES, LABELS, key="b", seed=1)]
    links = link([2, 2])
    together, alone = losses_of(made, calls, links), losses_of(made, calls[:1], part(links, 0))
    for name in NAMES:
        torch.testing.assert_close(together[name][0], alone[name][0], rtol=1e-4, atol=1e-4)
        assert together[name][1] == alone[name][1] == 3


def test_queries_that_fill_denoising_up_are_taught_nothing(decoder, call, link):
    made = decoder(masks=True).train()
    calls = [call([*BOXES, *BOXES[:2]], [*LABELS, 0, 1], masks=True)]
    calls.append(call(BOXES[:1], [0], masks=True))
    inputs = made.collate([made.prepare(one, training=True) for one in calls])
    found, samples = made._forward(link([2, 2]), inputs, with_targets=True)
    states = found["hidden_states"]
    states.retain_grad()
    total_of = made.detector.bbox_head.loss(**found, batch_data_samples=samples)
    sum(total_of.values()).backward()
    noised = found["noised"]
    assert noised.num_groups == (2, 12)
    taught = states.grad[:, :, : noised.number].abs().sum((0, 3)) > 0
    assert torch.equal(taught, noised.groups() >= 0)
    assert taught.sum(1).tolist() == [20, 24]


def test_points_are_drawn_from_the_key_alone(decoder, call, link):
    made = decoder(masks=True)

    def mask_loss(key, seed):
        torch.manual_seed(seed)  # of no influence
        calls = [call(BOXES, LABELS, key=key, masks=True)]
        return float(losses_of(made, calls, link([2]))["loss_mask"][0].detach())

    assert mask_loss("a", 0) == mask_loss("a", 1)
    assert mask_loss("a", 0) != mask_loss("b", 0)


def branch_of(config, **changes):
    made = detector_settings(config(masks=True, mask_dims=4, **changes), torch.nn.Identity)
    return MaskBranch(**made["bbox_head"]["masks"])


def sums_of(branch, embeddings, masks, scale):
    """The losses of two queries whose pixels are +1 and -1 in and out of masks of 8 x 8 cells."""
    cells = masks.float() * 2 - 1
    pixels = PixelMap(torch.cat([cells, 0 * cells])[None] * scale, ((8, 8),))
    truth = masks.repeat_interleave(8, 1).repeat_interleave(8, 2)
    sample = SimpleNamespace(point_seed=1, gt_instances=InstanceData(masks=truth))
    points = branch.points(pixels, [sample])
    pairs = Pairs((torch.arange(2),), (torch.arange(2),))
    return branch.sums(embeddings[None], points, pairs, torch.ones(1, 2))


def test_perfect_masks_have_nearly_no_loss(config):
    masks = torch.zeros(2, 8, 8, dtype=torch.bool)
    masks[0, :, 1:5] = masks[1, 4:] = True  # without corners, which interpolation rounds off
    branch = branch_of(config, num_mask_points=256)
    right = sums_of(branch, torch.eye(4)[:2], masks, 1e4)
    assert all(0 <= value < 0.05 for value in right.values())
    wrong = sums_of(branch, torch.eye(4)[[1, 0]], masks, 1e4)
    assert all(value > 1 for value in wrong.values())


def test_uncertain_points_lie_on_outlines(config):
    branch = branch_of(config, num_mask_points=64)
    logits = torch.linspace(-5, 5, branch.num_candidates + 16).repeat(2, 1)
    chosen = branch._choose(logits)
    assert chosen.shape == (2, 64)
    near = logits[:, : branch.num_candidates].abs().sort().values[:, 47]
    assert (logits.gather(1, chosen)[:, :48].abs() <= near[:, None]).all()
    assert chosen[0, 48:].tolist() == list(range(branch.num_candidates, branch.num_candidates + 16))


def test_masks_decide_where_boxes_and_routes_do_not(decoder, call, link):
    made = decoder(masks=True, match_cls=0, match_bbox=0, match_iou=0, match_mask=5, match_dice=5)
    calls = [call(BOXES, LABELS, masks=True)]
    by_masks = losses_of(made, calls, link([2]))
    other = decoder(masks=True, match_mask=0, match_dice=0)
    by_boxes = losses_of(other, calls, link([2]))
    assert by_masks["loss_mask"][0] < by_boxes["loss_mask"][0]
    assert by_masks["loss_bbox"][0] > by_boxes["loss_bbox"][0]


def test_number_of_points_is_bounded_by_the_stream(config):
    assert branch_of(config, num_mask_points=12544).num_points == 64 * 64 // 16


def test_masks_are_ignored_where_they_are_not_wanted(decoder, call):
    wrong = call(BOXES, LABELS)
    wrong = dataclasses.replace(wrong, target=wrong.target | {"masks": "nonsense"})
    assert "masks" not in decoder().prepare(wrong, training=True)
