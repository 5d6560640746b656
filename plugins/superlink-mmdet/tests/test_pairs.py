import torch

from superlink_mmdet.denoising import LinkDenoising
from superlink_mmdet.pairs import NoisedQueries, Pairs


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
    boxes = [torch.rand(number, 4).sort().values for number in (1, 0, 5)]
    labels = [torch.zeros(len(one), dtype=torch.long) for one in boxes]
    features, numbers = torch.ones(3, 1, 1), torch.ones(3, dtype=torch.long)
    content, moved, _, noised = made(boxes, labels, [1, 2, 3], features, numbers)
    pairs, weights = noised.pairs(torch.device("cpu")), noised.weights()
    assert noised.num_groups[0::2] == (12, 2)
    # What fills an image up has neither content nor weight, and each target weighs the same.
    assert torch.equal(weights > 0, content[..., 0] != 0)
    torch.testing.assert_close(weights.sum(1), torch.tensor([2.0, 0.0, 10.0]))
    images, queries = pairs.places()
    centres = moved.sigmoid()[images, queries, :2]
    wanted = pairs.of_targets([(one[:, :2] + one[:, 2:]) / 2 for one in boxes])
    torch.testing.assert_close(centres, wanted, atol=1e-3, rtol=0)
    assert [one.tolist() for one in pairs.targets] == [[0] * 12, [], [0, 1, 2, 3, 4] * 2]


def test_sources_tell_of_each_noised_query_what_it_is_a_copy_of():
    noised = NoisedQueries((1, 0, 2), (2, 1, 1))
    image, place, target, negative = noised.sources()
    assert image.tolist() == [0, 0, 0, 0, 2, 2, 2, 2]
    assert place.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert target.tolist() == [0, 0, 0, 0, 1, 2, 1, 2]
    assert negative.tolist() == [False, True, False, True, False, False, True, True]


def test_image_without_targets_has_no_noised_pairs():
    noised = NoisedQueries((0, 1), (1, 2))
    pairs = noised.pairs(torch.device("cpu"))
    assert len(pairs.queries[0]) == 0
    assert pairs.queries[1].tolist() == [0, 2]
    assert noised.weights().tolist() == [[0.0] * 4, [0.5] * 4]
