import pytest
import torch

from superlink_mmdet.denoising import LinkDenoising, noise_seed

BOXES = [torch.tensor([[0.2, 0.2, 0.6, 0.5]]), torch.tensor([[0.1, 0.3, 0.4, 0.7]]).repeat(2, 1)]
LABELS = [torch.tensor([0]), torch.tensor([2, 1])]


def generator(**changes):
    options = {
        "embed_dims": 1,
        "num_matching_queries": 5,
        "label_noise_scale": 1.0,
        "box_noise_scale": 1.0,
        "group_cfg": {"num_dn_queries": 40},
    }
    return LinkDenoising(**(options | changes))


def features():
    """Each route's feature tells its image and its index; -1 marks padding."""
    return torch.tensor([[0.0, 1, -1, -1], [10, 11, 12, -1]])[..., None]


def drawn(made, seeds=(1, 2)):
    return made(BOXES, LABELS, seeds, features(), torch.tensor([2, 3]))


def targets(*numbers):
    """Random boxes, a label for each, seeds, features and numbers of routes of some images."""
    random = torch.Generator().manual_seed(0)
    boxes = [torch.rand(number, 4, generator=random).sort().values for number in numbers]
    labels = [torch.arange(number) % 2 for number in numbers]
    content = torch.rand(len(numbers), 2, 1, generator=random)
    return boxes, labels, [*range(len(numbers))], content, torch.full((len(numbers),), 2)


def test_noised_routes_are_real_routes_of_the_same_image():
    content, _, _, noised = drawn(generator())
    assert (noised.num_groups, noised.number) == ((40, 20), 80)
    assert set(content[0].flatten().tolist()) == {0, 1}
    assert set(content[1].flatten().tolist()) == {10, 11, 12}


def test_without_label_noise_content_is_the_feature_of_the_target():
    content, _, _, _ = drawn(generator(label_noise_scale=0.0))
    assert content[1, :, 0].tolist() == [12, 11] * 40


def test_positive_boxes_stay_nearer_than_negative_ones():
    _, boxes, _, noised = drawn(generator())
    groups = boxes[1].sigmoid().view(noised.num_groups[1], 2, 2, 4)
    centre, size = groups.split(2, dim=-1)
    corners = torch.cat([centre - size / 2, centre + size / 2], dim=-1)
    half = torch.tensor([0.15, 0.2, 0.15, 0.2])
    moved = (corners - BOXES[1]).abs() / half
    assert moved[:, 0].max() < 1 + 1e-3
    # Corners that met the border of the image were stopped there; those that met each other, too.
    inside = ((corners > 2e-3) & (corners < 1 - 2e-3) & (size.repeat(1, 1, 1, 2) > 2e-3))[:, 1]
    assert moved[:, 1][inside].min() > 1 - 1e-3


def test_queries_see_their_own_group_and_all_matching_queries():
    _, _, hidden, noised = generator(group_cfg={"num_dn_queries": 6})(*targets(1, 3, 0, 4))
    size, groups = noised.number, noised.groups()
    assert (size, noised.num_groups[:2]) == (12, (6, 2))
    assert hidden.shape == (4, size + 5, size + 5)
    assert not hidden[:, :, size:].any()
    assert hidden[:, size:, :size].all()
    assert not hidden.all(-1).any()  # whoever sees nothing becomes NaN
    assert torch.equal(hidden[:, :size, :size], groups[:, :, None] != groups[:, None])
    assert groups[0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert groups[1].tolist() == [0] * 6 + [1] * 6
    assert groups[2].tolist() == [-1] * 12
    assert groups[3].tolist() == [0] * 8 + [-1] * 4


def test_mask_is_that_of_mmdet_where_all_images_have_as_many_targets():
    made = generator(group_cfg={"num_dn_queries": 7})
    _, _, hidden, _ = made(*targets(3, 3))
    expected = made.generate_dn_mask(3, 2, "cpu")
    assert torch.equal(hidden, expected.expand_as(hidden))


@pytest.mark.parametrize("index", range(5))
def test_noise_of_an_image_does_not_depend_on_its_neighbours(index):
    made, batch = generator(group_cfg={"num_dn_queries": 6}), targets(1, 3, 0, 7, 2)
    content, boxes, hidden, noised = made(*batch)
    one, its, seen, alone = made(*(some[index : index + 1] for some in batch))
    number = alone.number
    assert alone.num_groups == noised.num_groups[index : index + 1]
    assert torch.equal(content[index, :number], one[0])
    assert torch.equal(boxes[index, :number], its[0])
    assert torch.equal(hidden[index, :number, :number], seen[0, :number, :number])
    assert torch.equal(noised.weights()[index, :number], alone.weights()[0])
    filling = content[index, number:], boxes[index, number:], noised.weights()[index, number:]
    assert all(not some.any() for some in filling)


def test_batch_without_targets_has_no_noise():
    content, boxes, hidden, noised = generator()(*targets(0, 0))
    assert content.shape == (2, 0, 1) and boxes.shape == (2, 0, 4)
    assert not hidden.any() and hidden.shape == (2, 5, 5)
    assert noised.number == 0


def test_seed_depends_on_the_key_alone():
    assert noise_seed("a") == noise_seed("a")
    assert len({noise_seed(key) for key in ("a", "b", "")}) == 3
