"""How the samples of a step are dealt to devices, and what is told where they cannot be."""

from __future__ import annotations

import pytest

from superlink.errors import ConfigError
from superlink.training.arguments import forward_size
from superlink.training.recipe import Stage


def stage(**settings):
    return Stage(name="joint", data="scenes", steps=1, **settings)


def test_number_that_fits_is_told_once():
    with pytest.raises(ConfigError, match=r"batch_size=4, 8 devices\. Set it to 8\."):
        forward_size(stage(batch_size=4), 8)
    with pytest.raises(ConfigError, match=r"Set it to 20 or 25\."):
        forward_size(stage(batch_size=24), 5)


def test_size_of_a_forward_is_explained_where_blocks_do_not_fit():
    with pytest.raises(ConfigError) as error:
        forward_size(stage(batch_size=4, micro_batch_size=3, block_size=3), 1)
    assert "a device has 4 samples of a step" in str(error.value).lower()
    assert "micro_batch_size=3 allows 3 at once, so that it takes them in equal forwards of 2" in (
        str(error.value)
    )
    with pytest.raises(ConfigError, match="has 4 samples of a step, so that it takes them in"):
        forward_size(stage(batch_size=4, block_size=3), 1)
