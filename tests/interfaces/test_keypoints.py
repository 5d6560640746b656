from __future__ import annotations

import pytest

from superlink.errors import InputError
from superlink.interfaces import DEFAULT_SIGMA, KeypointSet

FACE = KeypointSet(
    names=("nose", "left eye", "right eye"),
    sigmas=(0.026, 0.025, 0.024),
    limbs=(("nose", "left eye"), ("nose", "right eye")),
    sides=(("left eye", "right eye"),),
)


def test_a_part_has_its_own_order_and_keeps_what_lies_within():
    part = FACE.part(["right eye", "nose"])
    assert part.names == ("right eye", "nose")
    assert part.sigmas == (0.024, 0.026)
    assert part.limbs == (("nose", "right eye"),)
    assert part.sides is None  # the left eye is missing
    assert FACE.part(["nose"]).sides == ()
    assert FACE.part(["right eye", "left eye"]).sides == FACE.sides


def test_limbs_are_told_by_place():
    known = KeypointSet(("tail", "nose", "neck"), limbs=(("nose", "neck"), ("neck", "tail")))
    assert known.limb_indices() == [(1, 2), (2, 0)]


def test_a_mirror_image_exchanges_the_sides():
    order = FACE.mirror_order()
    assert order is not None and order.tolist() == [0, 2, 1]


def test_sides_that_nobody_knows_mirror_nothing():
    assert KeypointSet(("tip", "tail")).mirror_order() is None
    assert KeypointSet(("tip", "tail")).sigmas == (DEFAULT_SIGMA,) * 2


@pytest.mark.parametrize(
    ("names", "settings", "told"),
    [
        (("Nose", "nose "), {}, "twice: \\['nose'\\]"),
        (("nose", " "), {}, "need names"),
        (("nose",), {"sigmas": (0.1, 0.2)}, "1 keypoints need as many sigmas"),
        (("nose",), {"sigmas": (float("nan"),)}, "above 0"),
        (("nose",), {"limbs": (("nose", "ear"),)}, "\\['ear'\\]"),
    ],
)
def test_bad_sets_are_refused(names, settings, told):
    with pytest.raises(InputError, match=told):
        KeypointSet(names, **settings)


def test_a_part_of_other_names_is_refused():
    with pytest.raises(InputError, match="\\['ear'\\]"):
        FACE.part(["ear"])
