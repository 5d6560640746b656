"""What a user most likely meant with a region."""

from __future__ import annotations

import pytest

from superlink.errors import InputError
from superlink.interfaces import Region
from superlink.replies import check_pixels

SIZE = (40, 60)


@pytest.mark.parametrize("region", [Region.point((0.5, 0.3)), Region.box(0, 0, 1, 1)])
def test_shares_of_an_image_are_refused(region):
    with pytest.raises(InputError, match=r"not shares of the image.*60 x 40"):
        check_pixels(region, SIZE)


def test_a_small_image_and_a_whole_pixel_are_no_shares():
    check_pixels(Region.point((0.5, 0.5)), (1, 2))
    check_pixels(Region.point((1, 1)), SIZE)
    check_pixels(Region.box(0.2, 0.2, 5, 1), SIZE)
