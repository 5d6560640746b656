"""Ways to point at objects."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image

from superlink.data import AnnotatedImage, AnnotatedObject
from superlink.errors import ConfigError
from superlink.interfaces import REGION
from superlink.tasks.pointing import Pointer, object_region, with_marks

IMAGE = Image.new("RGB", (60, 30), (90, 90, 90))
MASK = np.zeros((30, 60), bool)
MASK[10:20, 20:40] = True
OBJECT = AnnotatedObject("cup", (20, 10, 40, 20), MASK)
RECORD = AnnotatedImage(IMAGE, (OBJECT, OBJECT), ("cup",), "one")


def _pointer(pointing="region", prompts="mask", marks=("box",), seed=0):
    return Pointer(random.Random(seed), pointing, prompts, marks, varied=False)


def test_regions_have_a_part_each_and_leave_the_image_alone():
    shown = _pointer().show(RECORD, [OBJECT, OBJECT])
    assert shown.words == (REGION, ", ", REGION)
    assert [(region.raster((30, 60)) == MASK).all() for region in shown.regions] == [True, True]
    assert shown.image == IMAGE


def test_marks_are_drawn_and_called_by_their_looks():
    one = _pointer("mark").show(RECORD, [OBJECT])
    assert one.words[0].startswith("the ") and one.words[0].endswith(" box")
    assert one.image != IMAGE and one.regions == ()
    two = _pointer("mark").show(RECORD, [OBJECT, OBJECT])
    assert two.words == (f"{one.words[0]}es",)


def test_nothing_is_pointed_at():
    shown = _pointer("none").show(RECORD, [])
    assert (shown.words, shown.regions, shown.image) == ((), (), IMAGE)


def test_one_way_is_drawn_for_all_images():
    ways = {_pointer(("region", "mark"), seed=seed).way for seed in range(20)}
    assert ways == {"region", "mark"}


def test_object_without_a_mask_is_marked_by_all_pixels_of_its_box():
    thin = AnnotatedObject("line", (20.6, 10.2, 20.9, 19.5))
    region = object_region(thin, random.Random(0), "mask", varied=True)
    assert region.points == ((20, 10), (21, 20)) and region.raster((30, 60)).sum() == 10


def test_with_marks_puts_words_into_a_template():
    assert with_marks("At {marks}: see", (REGION, ", ", REGION)) == (
        *("At ", REGION, ", ", REGION),
        ": see",
    )
    assert with_marks("{marks}", (REGION,)) == (REGION,)
    assert with_marks("Caption", ()) == ("Caption",)


@pytest.mark.parametrize(
    "options",
    [{"pointing": "finger"}, {"pointing": ()}, {"prompts": "ear"}, {"marks": ()}, {"marks": ["x"]}],
)
def test_unknown_ways_raise(options):
    with pytest.raises(ConfigError, match="Received"):
        _pointer(**options)
