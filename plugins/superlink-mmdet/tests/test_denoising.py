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


def test_noised_routes_are_real_routes_of_the_same_image():
    content, _, _, meta = drawn(generator())
    per_group = content[..., 0].view(2, 2 * meta["num_denoising_groups"], 2)
    assert set(per_group[0, :, 0].tolist()) == {0, 1}
    assert set(per_group[1].flatten().tolist()) == {10, 11, 12}


def test_without_label_noise_content_is_the_feature_of_the_target():
    content, _, _, _ = drawn(generator(label_noise_scale=0.0))
    assert set(content[1, :, 0].tolist()) == {11, 12}


def test_positive_boxes_stay_nearer_than_negative_ones():
    _, boxes, _, meta = drawn(generator())
    groups = boxes[1].sigmoid().view(meta["num_denoising_groups"], 2, 2, 4)
    centre, size = groups.split(2, dim=-1)
    corners = torch.cat([centre - size / 2, centre + size / 2], dim=-1)
    half = torch.tensor([0.15, 0.2, 0.15, 0.2])
    moved = (corners - BOXES[1]).abs() / half
    assert moved[:, 0].max() < 1 + 1e-3
    # Corners that met the border of the image were stopped there; those that met each other, too.
    inside = ((corners > 2e-3) & (corners < 1 - 2e-3) & (size.repeat(1, 1, 1, 2) > 2e-3))[:, 1]
    assert moved[:, 1][inside].min() > 1 - 1e-3


def test_groups_do_not_see_each_other():
    _, _, mask, meta = drawn(generator())
    size = meta["num_denoising_queries"]
    assert mask.shape == (size + 5, size + 5)
    assert mask[size:, :size].all()
    assert not mask[:4, :4].any()
    assert mask[:4, 4:size].all()


def test_noise_of_an_image_does_not_depend_on_its_neighbours():
    made = generator()
    _, together, _, meta = drawn(made)
    groups = made([BOXES[1]], [LABELS[1]], [2], features()[1:], torch.tensor([3]))
    assert meta == groups[3]
    assert torch.equal(together[1], groups[1][0])


def test_seed_depends_on_the_key_alone():
    assert noise_seed("a") == noise_seed("a")
    assert len({noise_seed(key) for key in ("a", "b", "")}) == 3
