"""What a diffusion model learns to predict of a noised picture: read from its scheduler."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from superlink.errors import ConfigError

__all__ = ["Diffusion", "FlowMatching", "make_objective"]

Noised = tuple[Tensor, Tensor, Tensor, Tensor | None]
"""A noised picture (R, C, h, w), its time (R,) as the scheduler counts it, what is to be predicted
(R, C, h, w), and the weight (R,) of each picture; None: 1."""


class Diffusion(nn.Module):
    """Noise is added as a schedule of variances says (arXiv 2006.11239).

    Args:
        scheduler: Of diffusers; its `prediction_type` is `epsilon`, `v_prediction` or `sample`.
        gamma: Cap of the signal-to-noise ratio in weights (arXiv 2303.09556); None for none.
    """

    def __init__(self, scheduler: Any, gamma: float | None) -> None:
        super().__init__()
        self.kind = str(scheduler.config.prediction_type)
        kept = scheduler.alphas_cumprod.detach().double()  # (T,) share of the picture's variance
        self.register_buffer("signal", kept.sqrt().float(), persistent=False)
        self.register_buffer("spread", (1 - kept).sqrt().float(), persistent=False)
        weight = None if gamma is None else self._weights(kept, gamma)
        self.register_buffer("weight", weight, persistent=False)

    def _weights(self, kept: Tensor, gamma: float) -> Tensor:
        """(T,) min(SNR, gamma) in units of what the loss on the picture itself would weigh."""
        ratio = kept / (1 - kept).clamp(min=1e-12)
        unit = {"epsilon": ratio, "v_prediction": ratio + 1, "sample": torch.ones_like(ratio)}
        return (ratio.clamp(max=gamma) / unit[self.kind].clamp(min=1e-12)).float()

    def forward(self, latents: Tensor, noise: Tensor, times: Tensor) -> Noised:
        """Add noise (R, C, h, w) to latents at `times` (R,) between 0 and 1."""
        signal, spread = self.get_buffer("signal"), self.get_buffer("spread")
        steps = (times * len(signal)).long()
        a, b = signal[steps].view(-1, 1, 1, 1), spread[steps].view(-1, 1, 1, 1)
        noised = a * latents + b * noise
        if self.kind == "epsilon":
            target = noise
        else:
            target = latents if self.kind == "sample" else a * noise - b * latents
        weight = self.weight
        return noised, steps, target, weight[steps] if isinstance(weight, Tensor) else None


class FlowMatching(nn.Module):
    """Straight lines from noise to the picture (arXiv 2403.03206); what is learned is noise minus
    picture. Times are logit-normal, then shifted as the scheduler shifts its own.

    Args:
        scheduler: Of diffusers.
    """

    def __init__(self, scheduler: Any) -> None:
        super().__init__()
        config = scheduler.config
        self.num_steps = int(config.num_train_timesteps)
        dynamic = config.get("use_dynamic_shifting", False)
        self.shift = 1.0 if dynamic else float(config.get("shift", config.get("flow_shift", 1.0)))

    def forward(self, latents: Tensor, noise: Tensor, times: Tensor) -> Noised:
        """Go from latents towards noise (R, C, h, w); `times` (R,) are even between 0 and 1."""
        sigmas = torch.special.ndtri(times).sigmoid()
        sigmas = self.shift * sigmas / (1 + (self.shift - 1) * sigmas)
        noised = torch.lerp(latents, noise, sigmas.view(-1, 1, 1, 1))
        return noised, sigmas * self.num_steps, noise - latents, None


def make_objective(scheduler: Any, gamma: float | None) -> Diffusion | FlowMatching:
    """What the scheduler of a model says that it predicts.

    Raises:
        ConfigError: It is nothing that can be learned here.
    """
    kind = scheduler.config.get("prediction_type", "flow_prediction")
    if kind == "flow_prediction":
        if gamma is not None:
            raise ConfigError(
                "min_snr_gamma is for schedules of variances; leave it out with flow matching. "
                f"Received: min_snr_gamma={gamma}, scheduler={type(scheduler).__name__}"
            )
        return FlowMatching(scheduler)
    if kind in ("epsilon", "v_prediction", "sample") and hasattr(scheduler, "alphas_cumprod"):
        return Diffusion(scheduler, gamma)
    raise ConfigError(
        "A scheduler must say prediction_type epsilon, v_prediction, sample or flow_prediction, or "
        f"be one of flow matching. Received: {type(scheduler).__name__}, prediction_type={kind!r}"
    )
