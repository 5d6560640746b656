import torch

from superlink_mmdet.denoising import LinkDenoising
from superlink_mmdet.pairs import Pairs, noised_pairs


def test_places_and_targets_of_pairs_go_image_by_image():
    pairs = Pairs(
        (torch.tensor([4, 1]), torch.arange(0), torch.tensor([7])),
        (torch.tensor([0, 1]), torch.arange(0), torch.tensor([2])),
    )
    images, queries = pairs.places()
    assert images.tolist() == [0, 0, 2]
    assert queries.tolist() == [4, 1, 7]
    values = [torch.tensor([10, 11]), torch.tensor([20]), torch.tensor([30, 31, 32])]
    assert pairs.of_targets(values).tolist() == [10, 11, 32]


def test_noised_pairs_are_where_denoising_puts_its_positive_copies():
    made = LinkDenoising(
        embed_dims=1,
        num_matching_queries=5,
        label_noise_scale=0.0,
        box_noise_scale=1e-6,
        group_cfg={"num_dn_queries": 12},
    )
    boxes = [torch.tensor([[0.1, 0.1, 0.5, 0.5]]), torch.rand(3, 4).sort().values]
    labels = [torch.zeros(len(one), dtype=torch.long) for one in boxes]
    features, numbers = torch.ones(2, 1, 1), torch.ones(2, dtype=torch.long)
    content, noised, _, meta = made(boxes, labels, [1, 2], features, numbers)
    groups, number = meta["num_denoising_groups"], meta["num_denoising_queries"]
    pairs, counted = noised_pairs([1, 3], number, groups, torch.device("cpu"))
    assert torch.equal(counted, content[..., 0] != 0)  # what fills an image up has no content
    assert counted.sum(1).tolist() == [2 * groups, 6 * groups]
    images, queries = pairs.places()
    centres = noised.sigmoid()[images, queries, :2]
    wanted = pairs.of_targets([(one[:, :2] + one[:, 2:]) / 2 for one in boxes])
    torch.testing.assert_close(centres, wanted, atol=1e-3, rtol=0)
    assert pairs.targets[1].tolist() == [0, 1, 2] * groups


def test_image_without_targets_has_no_noised_pairs():
    pairs, counted = noised_pairs([0, 1], 4, 2, torch.device("cpu"))
    assert len(pairs.queries[0]) == 0
    assert pairs.queries[1].tolist() == [0, 2]
    assert counted.tolist() == [[False] * 4, [True] * 4]
