"""Random draws: what they hang on, and how often a condition is dropped."""

import pytest
import torch

from superlink_diffusers.draws import draw, picture_seeds, seed_of

from .conftest import draw_call, edit_call, inputs_of, links_of


def test_draws_of_a_route_hang_on_key_and_place_alone():
    three, two, other = draw("a", 3, (2, 4, 4)), draw("a", 2, (2, 4, 4)), draw("b", 2, (2, 4, 4))
    for name in ("noise", "times", "luck"):
        assert torch.equal(three[name][:2], two[name])
        assert not torch.equal(two[name], other[name])
    assert not torch.equal(two["noise"][0], two["noise"][1])


def test_draws_leave_the_generator_of_torch_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    draw("a", 2, (1, 4, 4))
    assert torch.equal(torch.rand(1), expected)


def test_noise_is_normal_and_times_are_even():
    drawn = [draw(f"sample {index}", 1, (1, 8, 8)) for index in range(1500)]
    noise, times = (torch.cat([one[name] for one in drawn]) for name in ("noise", "times"))
    assert float(noise.mean()) == pytest.approx(0, abs=0.02)
    assert float(noise.std()) == pytest.approx(1, abs=0.02)
    counts = torch.histc(times, 10, 0, 1) / len(times)
    assert float((counts - 0.1).abs().max()) < 0.03


def test_seeds_of_pictures_are_those_given_then_their_own():
    own = picture_seeds(0, (), "key", 3)
    assert len({*own, *picture_seeds(1, (), "key", 3), *picture_seeds(0, (), "other", 3)}) == 9
    assert picture_seeds(0, (7, 8), "key", 3) == (7, 8, own[2])
    assert picture_seeds(0, (7, 8), "key", 1) == (7,)
    assert all(0 <= seed < 2**32 for seed in own)


def test_seeds_of_parts_do_not_run_into_each_other():
    assert seed_of("a", "bc") != seed_of("ab", "c")


class Seen(torch.nn.Module):
    """Keeps what a model is told, and predicts zeros."""

    def __init__(self, model):
        super().__init__()
        self.conv_in, self.config = model.conv_in, model.config

    def forward(self, noised, times, embeds, **others):
        self.noised, self.embeds = noised, embeds
        return (torch.zeros_like(noised[:, : self.config.out_channels]) + 0 * embeds.sum(),)


def dropped(decoder, calls, *, training=True):
    """For each route whether its condition, and its source, are dropped."""
    decoder.model = Seen(decoder.model)
    decoder.loss(links_of(decoder, calls), inputs_of(decoder, calls, training=training))
    condition = (decoder.model.embeds == decoder.null).flatten(1).all(1)
    latents = decoder.model.config.out_channels
    return condition, (decoder.model.noised[:, latents:] == 0).flatten(1).all(1)


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.3])
def test_conditions_are_dropped_at_the_configured_rate(drawing, rate):
    decoder = drawing(condition_drop=rate, image_size=(8, 8))
    calls = [draw_call(1, key=f"sample {index}") for index in range(3000)]
    condition, _ = dropped(decoder, calls)
    spread = (rate * (1 - rate) / len(calls)) ** 0.5
    assert float(condition.float().mean()) == pytest.approx(rate, abs=3 * spread)


def test_sources_are_dropped_as_in_instructpix2pix(editing):
    decoder = editing(condition_drop=0.2, image_drop=0.3, image_size=(8, 8))
    calls = [edit_call(1, key=f"sample {index}") for index in range(3000)]
    condition, image = dropped(decoder, calls)
    rates = [float(one.float().mean()) for one in (condition, image, condition & image)]
    assert rates == pytest.approx([0.2, 0.3, 0.1], abs=0.025)


def test_nothing_is_dropped_outside_of_training(editing):
    decoder = editing(condition_drop=0.9, image_drop=0.55)
    calls = [edit_call(1, key=f"sample {index}") for index in range(20)]
    condition, image = dropped(decoder, calls, training=False)
    assert not condition.any() and not image.any()
