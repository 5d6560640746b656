"""Regions: what users draw, as pixels."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from superlink.errors import InputError
from superlink.interfaces import IMAGE, REGION, Message, Region, Sample

SIZE = (40, 60)
coordinates = st.tuples(st.floats(0, 60, width=16), st.floats(0, 40, width=16))


def sample(*regions, images=1, content=None):
    pictures = tuple(Image.new("RGB", (60, 40)) for _ in range(images))
    parts = content or (*[IMAGE] * images, "segment ", *[REGION] * len(regions))
    return Sample((Message("user", parts),), pictures, regions=regions)


@given(coordinates, coordinates)
def test_a_box_covers_the_pixels_whose_middle_lies_in_it(first, second):
    (x1, x2), (y1, y2) = sorted((first[0], second[0])), sorted((first[1], second[1]))
    expected = np.zeros(SIZE, bool)
    for y in range(40):
        for x in range(60):
            expected[y, x] = x1 <= x + 0.5 < x2 and y1 <= y + 0.5 < y2
    region = Region.box(*first, *second)
    if expected.any():
        assert np.array_equal(region.raster(SIZE), expected)
    else:
        with pytest.raises(InputError, match="covers none"):
            region.raster(SIZE)


@given(st.lists(coordinates, min_size=1, max_size=4), st.floats(0.8, 20))
def test_points_are_discs_and_a_stroke_holds_the_discs_of_its_points(points, radius):
    discs = Region.point(*points, radius=radius).raster(SIZE)
    alone = [Region.circle(point, radius).raster(SIZE) for point in points]
    assert np.array_equal(discs, np.any(alone, axis=0))
    if len(points) > 1:
        assert not (discs & ~Region.scribble(points, radius).raster(SIZE)).any()


def test_a_polygon_follows_the_even_odd_rule():
    box = Region.polygon([(10, 5), (30, 5), (30, 25), (10, 25)])
    assert np.array_equal(box.raster(SIZE), Region.box(10, 5, 30, 25).raster(SIZE))
    star = [(30, 2), (40, 38), (12, 14), (48, 14), (20, 38)]
    covered = Region.polygon(star).raster(SIZE)
    assert not covered[20, 30]  # the pentagon in the middle is surrounded twice
    assert covered[8, 30]


@pytest.mark.parametrize(
    "text",
    ["point:12,8", "point:1,2,3,4", "box:1,2,30,20", "scribble:1,1,9,9,3,8", "circle:9,9,4"],
)
def test_a_command_line_says_what_the_constructors_say(text):
    kind, _, numbers = text.partition(":")
    values = [float(value) for value in numbers.split(",")]
    pairs = list(zip(values[::2], values[1::2], strict=False))
    made = {
        "point": lambda: Region.point(*pairs),
        "box": lambda: Region.box(*values),
        "scribble": lambda: Region.scribble(pairs),
        "circle": lambda: Region.circle(values[:2], values[2]),
    }[kind]()
    assert np.array_equal(Region.parse(text).raster(SIZE), made.raster(SIZE))


@pytest.mark.parametrize(
    "text",
    ["", "point", "point:1", "box:1,2,3", "circle:1,2", "blob:1,2", "mask:x.png", "point:a,b"],
)
def test_what_is_no_region_is_refused(text):
    with pytest.raises(InputError, match="A region is"):
        Region.parse(text)


@pytest.mark.parametrize(
    ("region", "match"),
    [
        (lambda: Region.point((70, 10)).raster(SIZE), "inside of its image of 60 x 40"),
        (lambda: Region.box(-5, 0, 10, 10).raster(SIZE), "inside of its image"),
        (lambda: Region.from_mask(np.zeros(SIZE, bool)).raster(SIZE), "covers none"),
        (lambda: Region.from_mask(np.ones((40, 50), bool)).raster(SIZE), r"\(40, 60\)"),
        (lambda: Region.from_mask(np.ones(SIZE)), "bool array"),
        (lambda: Region.point((float("nan"), 1)), "A region is a point"),
        (lambda: Region.circle((5, 5), -1), "A region is a point"),
        (lambda: Region.polygon([(1, 1), (2, 2)]), "A region is a point"),
        (lambda: Region("mask"), "has a mask"),
        (lambda: Region.box((1, 2, 3, 4)), "A box is four numbers"),
        (lambda: Region.box("a", 2, 3, 4), "pairs of numbers"),
    ],
)
def test_bad_regions_say_what_is_wrong(region, match):
    with pytest.raises(InputError, match=match):
        region()


def test_a_region_lies_on_the_last_image_before_it_or_on_the_one_it_names():
    content = (IMAGE, REGION, IMAGE, REGION, REGION)
    spot = Region.point((5, 5))
    placed = sample(spot, spot, spot.on(0), images=2, content=content)
    assert [region.image for region in placed.regions] == [0, 1, 0]


def test_a_region_follows_its_place_when_a_sample_gets_other_messages():
    """With the images of the old messages it lay on another image, and nothing told."""
    spot = Region.point((5, 5))
    first = sample(spot, spot.on(0), images=2, content=(IMAGE, REGION, IMAGE, REGION))
    later = replace(
        first, messages=(Message("user", (IMAGE, IMAGE, REGION, REGION)), *first.messages[1:])
    )
    assert [region.image for region in first.regions] == [0, 0]
    assert [region.image for region in later.regions] == [1, 0]
    taken = sample(
        later.regions[0].on(0), later.regions[0], images=2, content=(IMAGE,) * 2 + (REGION,) * 2
    )
    assert [region.image for region in taken.regions] == [0, 1]


def test_a_sample_counts_its_regions_and_their_images():
    with pytest.raises(InputError, match="Expected 2 regions"):
        sample(Region.point((5, 5)), content=(IMAGE, REGION, REGION))
    with pytest.raises(InputError, match="stands before it"):
        sample(Region.point((5, 5)), content=(REGION, IMAGE))
    with pytest.raises(InputError, match="image=3"):
        sample(Region.point((5, 5)).on(3))


def test_a_radius_of_nothing_and_points_that_are_no_pairs_say_so():
    with pytest.raises(InputError, match="radius=0"):
        Region.circle((5, 5), 0)
    for wrong in (lambda: Region.point(120, 80), lambda: Region.polygon([1, 2, 3, 4, 5, 6])):
        with pytest.raises(InputError, match="Points are pairs"):
            wrong()
