"""What is learned, against the schedulers of diffusers."""

import diffusers
import pytest
import torch
from diffusers.training_utils import compute_snr

from superlink.errors import ConfigError
from superlink_diffusers.objectives import Diffusion, FlowMatching, make_objective

SCHEDULE = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


def pair():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 5, 3, 4, 4, generator=generator).unbind(0)


def scheduler(kind):
    return diffusers.DDPMScheduler(**SCHEDULE, prediction_type=kind)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_noise_and_targets_are_those_of_diffusers(kind):
    made, (latents, noise) = scheduler(kind), pair()
    times = torch.tensor([0.0, 0.2, 0.5, 0.7, 0.9999])
    noised, steps, target, weight = make_objective(made, None)(latents, noise, times)
    assert steps.tolist() == [0, 200, 500, 700, 999] and weight is None
    torch.testing.assert_close(noised, made.add_noise(latents, noise, steps))
    expected = {
        "epsilon": noise,
        "sample": latents,
        "v_prediction": made.get_velocity(latents, noise, steps),
    }
    torch.testing.assert_close(target, expected[kind])


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_min_snr_weights_are_those_of_the_paper(kind):
    made, (latents, noise) = scheduler(kind), pair()
    times = torch.tensor([0.0, 0.2, 0.5, 0.7, 0.9999])
    _, steps, _, weight = make_objective(made, 5.0)(latents, noise, times)
    ratio = compute_snr(made, steps)
    capped = ratio.clamp(max=5.0)
    expected = {
        "epsilon": capped / ratio,
        "v_prediction": capped / (ratio + 1),
        "sample": capped,
    }
    torch.testing.assert_close(weight, expected[kind], rtol=1e-3, atol=1e-6)


def test_a_schedule_that_ends_in_pure_noise_has_finite_weights():
    made = diffusers.DDIMScheduler(
        **SCHEDULE, prediction_type="v_prediction", rescale_betas_zero_snr=True
    )
    assert Diffusion(made, 5.0).weight.isfinite().all()


def test_flows_go_straight_from_the_picture_to_noise():
    latents, noise = pair()
    objective = make_objective(diffusers.FlowMatchEulerDiscreteScheduler(), None)
    times = torch.tensor([0.0, 0.3, 0.5, 0.8, 1 - 1e-7])
    noised, at, target, _ = objective(latents, noise, times)
    torch.testing.assert_close(target, noise - latents)
    torch.testing.assert_close(noised, latents + (at / 1000).view(-1, 1, 1, 1) * target)
    assert at[2] == pytest.approx(500) and 0 <= at[0] < at[1] < at[3] < at[4] <= 1000


def test_times_of_flows_are_logit_normal_and_shifted():
    times = torch.linspace(1e-4, 1 - 1e-4, 4001)
    latents = torch.zeros(len(times), 1, 1, 1)
    plain = FlowMatching(diffusers.FlowMatchEulerDiscreteScheduler())
    sigmas = plain(latents, latents, times)[1] / 1000
    logits = sigmas.logit()
    assert float(logits.mean()) == pytest.approx(0, abs=1e-3)
    assert float(logits.std()) == pytest.approx(1, abs=0.01)
    shifted = FlowMatching(diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0))
    found = shifted(latents, latents, times)[1] / 1000
    torch.testing.assert_close(found, 3 * sigmas / (1 + 2 * sigmas))


def test_dynamic_shifts_are_left_to_the_pipeline():
    made = diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0)
    assert FlowMatching(made).shift == 1.0


def test_other_objectives_are_refused_with_what_is_known():
    with pytest.raises(ConfigError, match="epsilon, v_prediction, sample or flow_prediction"):
        make_objective(diffusers.LCMScheduler(prediction_type="other"), None)
    with pytest.raises(ConfigError, match="leave it out with flow matching"):
        make_objective(diffusers.FlowMatchEulerDiscreteScheduler(), 5.0)
