"""Region i in, route i out: regions, names and targets stay together."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from PIL import Image

from superlink.data import AnnotatedImage, AnnotatedObject, read_scenes
from superlink.errors import ConfigError, InputError
from superlink.interfaces import IMAGE, REGION
from superlink.tasks.interactive import interactive_conversation
from superlink.tasks.phrasing import load_templates

SIZE = (8, 16)  # height, width


def _mask(column, width=2):
    mask = np.zeros(SIZE, np.bool_)
    mask[1:7, column : column + width] = True
    return mask


def _object(column, name="cup", mask=None):
    mask = _mask(column) if mask is None else mask
    return AnnotatedObject(name, (column, 1, column + 2, 7), mask)


def _record(*objects, **options):
    image = Image.new("RGB", SIZE[::-1])
    return AnnotatedImage(image, objects, ("cup", "dog"), "one", **options)


CUPS = _record(_object(0), _object(4), _object(8, "dog"), _object(12))
EMPTY = np.zeros(SIZE, np.bool_)


def _sample(record=CUPS, seed=0, training=False, **options):
    return interactive_conversation(record, random.Random(seed), training, **options)


def _hits(sample):
    """For each region the indices of the target's masks that it covers a pixel of."""
    rasters = [region.raster(SIZE) for region in sample.regions]
    masks = sample.targets[0]["masks"].numpy()
    return [[i for i, mask in enumerate(masks) if (mask & raster).any()] for raster in rasters]


def test_evaluation_marks_every_object_in_order():
    sample = _sample(prompts="mask")
    user, assistant = sample.messages
    between = (", ", REGION) * 3
    assert user.parts == (IMAGE, "Segment: ", REGION, *between)
    assert assistant.text.split(", ") == [f"<p>region {i}</p>[GRD]" for i in (1, 2, 3, 4)]
    (target,) = sample.targets
    assert target["names"] == ("region 1", "region 2", "region 3", "region 4")
    assert target["labels"].tolist() == [0, 1, 2, 3] and target["size"] == SIZE
    assert target["prompts"] == ("mask",) * 4 and "shuffled" not in target
    assert (target["masks"].numpy() == np.stack([item.mask for item in CUPS.objects])).all()
    assert _hits(sample) == [[0], [1], [2], [3]]
    assert sample.key == "one" and all(region.image == 0 for region in sample.regions)


def test_evaluation_marks_so_many_objects_at_most():
    sample = _sample(max_regions=2)
    assert len(sample.regions) == len(sample.targets[0]["labels"]) == 2


@pytest.mark.parametrize("seed", range(20))
def test_training_draws_objects_and_keeps_regions_routes_and_targets_together(seed):
    sample = _sample(seed=seed, training=True, prompts=["point", "mask"], max_regions=3)
    (target,) = sample.targets
    count = len(sample.regions)
    assert 1 <= count <= 3
    assert sample.messages[0].num_regions == sample.messages[1].text.count("[GRD]") == count
    assert target["labels"].tolist() == list(range(count))
    assert target["prompts"] == tuple(region.kind for region in sample.regions)
    for index, (region, hit) in enumerate(zip(sample.regions, _hits(sample), strict=True)):
        assert index in hit
        assert region.kind == "point" or hit == [index]


def test_training_varies_number_order_and_words():
    samples = [_sample(seed=s, training=True, prompts="mask", variety=0.5) for s in range(40)]
    assert {len(sample.regions) for sample in samples} == {1, 2, 3, 4}
    orders = [tuple(s.targets[0]["bboxes"][:, 0].tolist()) for s in samples]
    assert any(order != tuple(sorted(order)) for order in orders)
    assert len({sample.messages[0].text for sample in samples}) > 10


def test_object_whose_mask_vanished_is_dropped_everywhere():
    """The release dropped such objects from the regions, and took targets of the whole list."""
    record = _record(_object(0), _object(4, mask=EMPTY), _object(8), _object(12))
    for training in (True, False):
        sample = _sample(record, training=training, prompts="mask", seed=3)
        assert 0.0 in sample.targets[0]["bboxes"] or training
        assert 4.0 not in sample.targets[0]["bboxes"][:, 0]
        assert _hits(sample) == [[i] for i in range(len(sample.regions))]
    assert len(_sample(record).regions) == 3


def test_shuffled_regions_mark_other_objects_than_their_targets():
    for seed in range(10):
        sample = _sample(seed=seed, prompts="mask", shuffled=True)
        hits = _hits(sample)
        assert all(len(hit) == 1 and hit != [i] for i, hit in enumerate(hits))
        assert sorted(i for (i,) in hits) == [0, 1, 2, 3]
        assert sample.targets[0]["labels"].tolist() == [0, 1, 2, 3]
        assert sample.targets[0]["shuffled"] is True
    few = _sample(prompts="mask", shuffled=True, max_regions=1)
    assert _hits(few) == [[]] and few.targets[0]["shuffled"] is True
    alone = _sample(_record(_object(4)), prompts="mask", shuffled=True)
    assert _hits(alone) == [[0]] and alone.targets[0]["shuffled"] is False


def test_mirrored_images_are_mirrored_before_they_are_marked():
    person = AnnotatedObject("cup", (0, 1, 2, 7), _mask(0), keypoints=np.ones((17, 3), np.float32))
    sample = _sample(_record(person), training=True, flip=1.0, prompts="mask")
    assert sample.targets[0]["bboxes"].tolist() == [[14, 1, 16, 7]]
    assert "keypoints" not in sample.targets[0] and _hits(sample) == [[0]]


def test_pixels_of_which_nothing_is_known_are_in_the_target():
    void = _mask(10)
    assert (_sample(_record(_object(0), void=void)).targets[0]["void"].numpy() == void).all()


def test_scenes_can_be_asked():
    scene = read_scenes(split="val", num_scenes=3)[2]
    for seed in range(6):
        sample = _sample(scene, seed, training=True)
        for region, mask in zip(sample.regions, sample.targets[0]["masks"], strict=True):
            assert (torch.from_numpy(region.raster((128, 128))) & mask).any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prompts": "star"}, "Visual prompts"),
        ({"max_regions": 0}, "one region or more"),
        ({"shuffled": True}, "in evaluation alone"),
        ({"token": "GRD"}, "routing token"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        _sample(training=True, **options)


@pytest.mark.parametrize("objects", [(), (_object(4, mask=EMPTY),)])
def test_image_without_anything_to_mark_is_refused(objects):
    with pytest.raises(InputError, match=r"a mask that is not empty.*record 'one'"):
        _sample(_record(*objects))


def test_object_without_a_mask_is_refused():
    with pytest.raises(InputError, match=r"no mask of \['dog'\].*Ask the reader for masks"):
        _sample(_record(_object(0), AnnotatedObject("dog", (1, 1, 3, 3))))


def test_questions_of_the_command_line_are_among_the_templates():
    varied = load_templates("interactive_segmentation")["segment"]["varied"]
    assert {"segment {regions}", "Segment {regions}."} <= set(varied)


def test_answers_may_call_each_region_by_the_name_of_what_it_marks():
    sample = _sample(prompts="mask", named=True)
    names = ("cup", "cup", "dog", "cup")
    assert sample.messages[1].text.split(", ") == [f"<p>{name}</p>[GRD]" for name in names]
    assert sample.targets[0]["names"] == names
    assert sample.targets[0]["labels"].tolist() == [0, 1, 2, 3]
    assert _hits(sample) == [[0], [1], [2], [3]]
