"""What a decoder must know of a kind of diffusion model: one object states it all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from superlink.errors import ConfigError

__all__ = ["Condition", "Family", "guided", "same"]


@dataclass(frozen=True)
class Condition:
    """What a diffusion model is told: R routes, L places of width C, and P joined values."""

    embeds: Tensor
    """(R, L, C)."""
    pooled: Tensor | None
    """(R, P), where the family takes one vector beside."""


class Family(ABC):
    """A kind of diffusion model of diffusers, with the pipelines that run it."""

    model_class: ClassVar[str]
    """Name of the model's class."""
    part: ClassVar[str]
    """What the pipeline calls the model, and its folder."""
    pipeline: ClassVar[str]
    """Name of the pipeline's class that makes pictures of a condition."""
    editing_pipeline: ClassVar[str | None] = None
    """Name of the one that edits; None: the source image is joined to the model's input, and
    `pipeline` serves."""
    unused: ClassVar[tuple[str, ...]]
    """Parts of the pipeline that are left out: whatever encodes text."""
    switches: ClassVar[Mapping[str, Any]] = {}
    """Further arguments that build the pipeline."""
    input_layer: ClassVar[str]
    """Path of the model's first convolution or projection."""
    length: ClassVar[int]
    """Places of the condition that the text encoders of the family give."""
    scheduler: ClassVar[Mapping[str, Any]]
    """The scheduler of a model that is made anew."""
    packing: ClassVar[int] = 1
    """Sides of the patches of latents that stand beside each other as channels."""
    scales: ClassVar[bool] = True
    """Whether the pipeline asks its scheduler to scale what the model is given."""
    flows: ClassVar[bool] = False
    """Whether the model knows nothing but flow matching."""
    shifted: ClassVar[bool] = False
    """Whether the pipeline knows that an autoencoder may shift its latents."""

    @abstractmethod
    def condition_width(self, config: Any) -> int:
        """Width C of the condition that a model with this config takes."""

    def pooled_width(self, config: Any) -> int | None:
        """Width P of the vector that it takes beside, or None."""
        return None

    @abstractmethod
    def divisor(self, config: Any, factor: int) -> int:
        """Both sides of a picture must be multiples of it, where latents are smaller by
        `factor`."""

    @abstractmethod
    def denoise(
        self,
        model: nn.Module,
        noised: Tensor,
        times: Tensor,
        told: Condition,
        size: tuple[int, int],
    ) -> Tensor:
        """What a model predicts.

        Args:
            model: Of this family.
            noised: (R, C, h, w) latents; in editing those of the source stand behind them as
                further channels.
            times: (R,) as the scheduler counts them.
            told: The condition.
            size: Height and width of the pictures.

        Returns:
            (R, C, h, w), or more channels where the model predicts a variance beside.
        """

    def arguments(
        self, told: Condition, null: Condition, scale: float, config: Any
    ) -> dict[str, Any]:
        """What the pipeline is given; by default what most of them share.

        Args:
            told: The condition.
            null: The one in its place that guidance moves away from.
            scale: How far it does so; 1 is not at all.
            config: Of the model.
        """
        return guided(told, null, scale)

    def settings(self, latents: int, editing: bool, size: int) -> dict[str, Any]:
        """Settings of a new model for so many channels and this side of latents."""
        cells = latents * self.packing**2
        return {
            "in_channels": cells * (2 if editing else 1),
            "out_channels": cells,
            "sample_size": size,
        }

    def check(self, config: Any) -> None:  # noqa: B027 - most families refuse nothing
        """Refuse models that nothing here can run.

        Raises:
            ConfigError: There is something in the model that this family lacks.
        """

    def check_scheduler(self, scheduler: Any) -> None:
        """Refuse schedulers that the pipeline of the family cannot run.

        Raises:
            ConfigError: This one is of them.
        """
        flow = scheduler.config.get("prediction_type", "flow_prediction") == "flow_prediction"
        name = type(scheduler).__name__
        if self.flows and not flow:
            raise ConfigError(
                f"{self.pipeline} runs schedulers of flow matching. Received: {name}. Choose "
                "FlowMatchEulerDiscreteScheduler"
            )
        if self.scales and not hasattr(scheduler, "init_noise_sigma"):
            raise ConfigError(
                f"{self.pipeline} does not run a {name}. For flow matching choose "
                "DPMSolverMultistepScheduler with prediction_type flow_prediction and "
                "use_flow_sigmas true"
            )

    def check_vae(self, config: Any, dtype: str) -> None:  # noqa: B027 - as above
        """Refuse autoencoders that fail in a precision.

        Raises:
            ConfigError: This one does.
        """

    def editing_arguments(
        self, source: Tensor, size: tuple[int, int], scale: float
    ) -> dict[str, Any]:
        """What `editing_pipeline` is given beside.

        Args:
            source: (R, 3, H, W) between -1 and 1.
            size: Its height and width.
            scale: How far guidance moves away from a picture without source.
        """
        return {"image": source / 2 + 0.5, "image_guidance_scale": scale}

    def latent_factor(self, vae: Any) -> int:
        """How much smaller latents are, as the pipelines of the family count it."""
        return int(2 ** (len(vae.config.block_out_channels) - 1))

    def check_size(self, size: tuple[int, int], config: Any, factor: int, what: str) -> None:
        """Refuse a size (height, width) that does not divide.

        Raises:
            ConfigError: It says the nearest ones that do.
        """
        step = self.divisor(config, factor)
        if any(side % step for side in size):
            nearest = "x".join(str(max(step, round(side / step) * step)) for side in size)
            raise ConfigError(
                f"Both sides of a picture must be multiples of {step}, as autoencoder and model "
                f"need. Received: {what}={size[0]}x{size[1]}. Choose {nearest}"
            )


def guided(told: Condition, null: Condition, scale: float) -> dict[str, Any]:
    """The arguments that most pipelines share."""
    found: dict[str, Any] = {"prompt_embeds": told.embeds, "guidance_scale": scale}
    if scale > 1:
        found["negative_prompt_embeds"] = null.embeds
    if told.pooled is not None:
        found["pooled_prompt_embeds"] = told.pooled
        if scale > 1:
            found["negative_pooled_prompt_embeds"] = null.pooled
    return found


def same(values: Any, what: str) -> int:
    """One number, also where a model may have another one in each block.

    Raises:
        ConfigError: They differ.
    """
    several = {*values} if isinstance(values, list | tuple) else {values}
    if len(several) != 1:
        raise ConfigError(
            f"A condition has one width, so all blocks must have the same {what}. "
            f"Received: {values}"
        )
    return int(several.pop())
