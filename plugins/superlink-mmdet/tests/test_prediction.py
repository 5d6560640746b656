import dataclasses

import pytest
import torch

from superlink.errors import ConfigError, InputError
from superlink.interfaces import DecoderInputs, LinkedQueries

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


def predict(made, calls, links):
    return made.predict(links, made.collate([made.prepare(c, training=False) for c in calls]))


def close(ours, theirs, atol=1e-4):
    torch.testing.assert_close(ours.scores, theirs.scores, atol=atol, rtol=0)
    torch.testing.assert_close(ours.bboxes, theirs.bboxes, atol=64 * atol, rtol=0)
    assert ours.labels.tolist() == theirs.labels.tolist()


@both_families
def test_building_prints_nothing(decoder, capfd):
    decoder()
    assert capfd.readouterr() == ("", "")


@both_families
def test_predictions_lie_in_the_original_image(decoder, call, link):
    made = decoder()
    (found,) = predict(made, [call(size=(50, 90), num_routes=3)], link([3]))
    assert len(found.scores) == 36
    assert (found.bboxes >= 0).all()
    assert (found.bboxes <= torch.tensor([90, 50, 90, 50])).all()
    assert found.scores.diff().max() <= 0
    assert found.phrases == ("thing 0", "thing 1", "thing 2")


def test_prediction_twice_is_the_same(decoder, call, link):
    made = decoder()
    first, second = (predict(made, [call()], link([2]))[0] for _ in range(2))
    assert torch.equal(first.bboxes, second.bboxes)
    assert torch.equal(first.scores, second.scores)


@variants
def test_permuting_routes_permutes_labels(decoder, call, link, changes):
    made = decoder(**changes)
    links, order = link([4]), torch.tensor([2, 0, 3, 1])
    permuted = dataclasses.replace(links, states=links.states[order])
    (straight,) = predict(made, [call(num_routes=4)], links)
    (mixed,) = predict(made, [call(num_routes=4)], permuted)
    mixed = dataclasses.replace(mixed, labels=order[mixed.labels])
    close(mixed, straight)


@variants
def test_batch_of_ragged_calls_equals_each_alone(decoder, call, link, part, changes):
    made = decoder(**changes)
    counts = [2, 5, 1]
    calls = [call(num_routes=count, seed=index) for index, count in enumerate(counts)]
    links = link(counts)
    for index, together in enumerate(predict(made, calls, links)):
        (alone,) = predict(made, [calls[index]], part(links, index))
        close(together, alone)


@both_families
def test_batch_of_ragged_images_equals_each_alone(decoder, call, link, part):
    made = decoder(keep_ratio=True, image_size=(64, 128))
    calls = [call(size=size, seed=i) for i, size in enumerate([(64, 128), (128, 64), (64, 64)])]
    links = link([2, 2, 2])
    for index, together in enumerate(predict(made, calls, links)):
        (alone,) = predict(made, [calls[index]], part(links, index))
        close(together, alone)


@both_families
@pytest.mark.parametrize("count", [1, 8])
def test_as_many_routes_or_calls_as_queries_change_nothing(decoder, call, link, part, count):
    made = decoder(num_object_queries=8)
    calls = [call(num_routes=count, seed=index) for index in range(8)]
    links = link([count] * 8)
    together = predict(made, calls, links)
    (alone,) = predict(made, calls[3:4], part(links, 3))
    close(together[3], alone)


@both_families
def test_flipped_stream_gives_boxes_of_the_original(decoder, call, link):
    made = decoder()
    plain = call()
    flipped = dataclasses.replace(plain, geometry=plain.geometry.mirrored())
    (found,), (mirrored,) = (predict(made, [c], link([2])) for c in (plain, flipped))
    expected = mirrored.bboxes[:, [2, 1, 0, 3]] * torch.tensor([-1, 1, -1, 1])
    expected += torch.tensor([64, 0, 64, 0])
    torch.testing.assert_close(found.bboxes, expected)


@both_families
def test_shared_features_take_the_place_of_the_backbone(decoder, call, link):
    made = decoder(shared_features=True)
    assert made.uses_image_features
    inputs = made.collate([made.prepare(call(size=(40, 80)), training=False)])
    assert "image" not in inputs
    inputs["image_features"] = tuple(
        torch.randn(1, channels, side, side) for channels, side in ((16, 8), (32, 4), (64, 2))
    )
    (found,) = made.predict(link([2]), inputs)
    assert found.bboxes[:, 2].max() > 64  # the original is wider than the stream


@pytest.mark.parametrize("maps", [None, (torch.zeros(1, 3, 8, 8),)])
def test_shared_features_that_do_not_fit_are_refused(decoder, call, link, maps):
    made = decoder(shared_features=True)
    inputs = made.collate([made.prepare(call(), training=False)])
    inputs["image_features"] = maps
    with pytest.raises(InputError, match="in_channels"):
        made.predict(link([2]), inputs)


@both_families
def test_autocast_does_not_lower_the_precision(decoder, call, link):
    made = decoder()
    links = link([2])
    (plain,) = predict(made, [call()], links)
    with torch.autocast("cpu", torch.bfloat16):
        (found,) = predict(made, [call()], links)
    close(found, plain)


def test_half_precision_states_are_served(decoder, call, link):
    made = decoder()
    links = link([2])
    halved = dataclasses.replace(links, states=links.states.bfloat16())
    (found,) = predict(made, [call()], halved)
    assert found.scores.dtype == torch.float32


def test_call_without_image_is_refused(decoder, call):
    with pytest.raises(InputError, match="image"):
        decoder().prepare(dataclasses.replace(call(), image=None), training=False)


def test_call_with_too_many_routes_is_refused(decoder, call):
    with pytest.raises(InputError, match="max_routes"):
        decoder().prepare(call(num_routes=9), training=False)


def test_training_without_target_is_refused(decoder, call):
    with pytest.raises(InputError, match="target"):
        decoder().prepare(dataclasses.replace(call(), target=None), training=True)


def test_call_without_routes_is_refused(decoder, call):
    made = decoder()
    links = LinkedQueries(torch.randn(1, 64), torch.tensor([0]), ("[DET]",), ("thing",), 2)
    inputs = made.collate([made.prepare(call(), training=False)] * 2)
    with pytest.raises(InputError, match="route"):
        made.predict(links, DecoderInputs(inputs))


def test_more_queries_than_cells_are_refused(decoder, call, link):
    made = decoder(num_object_queries=200)
    with pytest.raises(ConfigError, match="num_object_queries"):
        predict(made, [call()], link([2]))


def test_prepare_does_not_change_the_call(decoder, call):
    given = call([[8.0, 8, 32, 40]], [0], size=(40, 80))
    decoder().prepare(given, training=True)
    assert given.target["bboxes"].tolist() == [[8, 8, 32, 40]]
    assert given.geometry.size == (40, 80)


def test_forward_dispatches_by_mode(decoder, call, link):
    made = decoder()
    inputs = made.collate([made.prepare(call(), training=False)])
    assert len(made(link([2]), inputs, mode="predict")) == 1
    assert "loss_cls" in made(link([2]), inputs, mode="loss")
