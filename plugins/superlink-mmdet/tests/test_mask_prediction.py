import dataclasses

import pytest
import torch

from superlink.errors import ConfigError, InputError

both_families = pytest.mark.parametrize("family", ["grounding_dino", "deformable_detr"])


def predict(made, calls, links):
    return made.predict(links, made.collate([made.prepare(c, training=False) for c in calls]))


def close(ours, theirs):
    torch.testing.assert_close(ours.scores, theirs.scores, atol=1e-4, rtol=0)
    assert ours.labels.tolist() == theirs.labels.tolist()
    assert ours.masks.shape == theirs.masks.shape
    assert (ours.masks != theirs.masks).float().mean() < 1e-3


@both_families
def test_masks_have_the_size_of_the_original_and_are_kept_with_their_boxes(decoder, call, link):
    made = decoder(masks=True, max_per_image=5, nms_iou=0.7)
    (found,) = predict(made, [call(size=(50, 90), num_routes=3)], link([3]))
    assert found.masks.shape == (len(found.scores), 50, 90)
    assert 0 < len(found.scores) <= 5
    assert found.masks.dtype == torch.bool
    (more,) = predict(decoder(masks=True), [call(size=(50, 90), num_routes=3)], link([3]))
    for box, mask in zip(found.bboxes, found.masks, strict=True):
        same = (more.bboxes == box).all(1)
        assert torch.equal(more.masks[same][0], mask)


def test_nothing_found_has_no_masks_of_the_right_size(decoder, call, link):
    made = decoder(masks=True, score_threshold=1.0)
    (found,) = predict(made, [call(size=(50, 90))], link([2]))
    assert found.masks.shape == (0, 50, 90)


def test_without_masks_there_are_none(decoder, call, link):
    (found,) = predict(decoder(), [call()], link([2]))
    assert found.masks is None


@both_families
def test_batch_of_ragged_images_gives_the_masks_of_each_alone(decoder, call, link, part):
    made = decoder(masks=True, keep_ratio=True, image_size=(64, 128))
    calls = [call(size=size, seed=i) for i, size in enumerate([(64, 128), (128, 64), (50, 60)])]
    links = link([2, 3, 1])
    for index, together in enumerate(predict(made, calls, links)):
        (alone,) = predict(made, [calls[index]], part(links, index))
        close(together, alone)
        assert together.masks.any()
        assert not together.masks.all()


@both_families
def test_permuting_a_batch_permutes_its_masks(decoder, call, link, part):
    made = decoder(masks=True)
    calls = [call(seed=index) for index in range(3)]
    links, order = link([2, 2, 2]), [2, 0, 1]
    rows = torch.tensor([4, 5, 0, 1, 2, 3])
    moved = dataclasses.replace(links, states=links.states[rows])
    straight, mixed = predict(made, calls, links), predict(made, [calls[i] for i in order], moved)
    for found, index in zip(mixed, order, strict=True):
        close(found, straight[index])


@both_families
def test_flipped_stream_gives_masks_of_the_original(decoder, call, link):
    made, plain = decoder(masks=True), call()
    flipped = dataclasses.replace(plain, geometry=plain.geometry.mirrored())
    (found,), (mirrored,) = (predict(made, [c], link([2])) for c in (plain, flipped))
    assert torch.equal(mirrored.masks, found.masks.flip(-1))


def test_cropped_stream_finds_nothing_outside(decoder, call, link):
    plain = call()
    geometry = plain.geometry.cropped((16, 0, 64, 64))
    cropped = dataclasses.replace(plain, image=plain.image.crop((16, 0, 64, 64)), geometry=geometry)
    (found,) = predict(decoder(masks=True), [cropped], link([2]))
    assert found.masks.shape[1:] == (64, 64)
    assert not found.masks[:, :, :16].any()
    assert found.masks.any()


def test_shared_features_bring_the_finer_map(decoder, call, link):
    made = decoder(masks=True, shared_features=True)
    inputs = made.collate([made.prepare(call(size=(40, 80)), training=False)])
    maps = [torch.randn(1, c, s, s) for c, s in ((8, 16), (16, 8), (32, 4), (64, 2))]
    (found,) = made.predict(link([2]), inputs | {"image_features": tuple(maps)})
    assert found.masks.shape[1:] == (40, 80)
    other = [maps[0] + 1 + torch.randn_like(maps[0]), *maps[1:]]
    (changed,) = made.predict(link([2]), inputs | {"image_features": tuple(other)})
    assert torch.equal(changed.bboxes, found.bboxes)
    assert not torch.equal(changed.masks, found.masks)
    with pytest.raises(InputError, match="mask_channels"):
        made.predict(link([2]), inputs | {"image_features": tuple(maps[1:])})


def test_backbone_without_the_finer_map_is_refused(decoder, config, call, link):
    made = decoder(masks=True)
    made.detector.backbone.out_indices = (1, 2, 3)
    with pytest.raises(ConfigError, match=r"out_indices"):
        predict(made, [call()], link([2]))
