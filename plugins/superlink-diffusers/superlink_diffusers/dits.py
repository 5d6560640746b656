"""The families of transformers that take a map of latents: SD3, PixArt and Sana."""

from __future__ import annotations

from collections.abc import Mapping
from math import lcm
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from superlink.errors import ConfigError

from .family import Condition, Family, guided

__all__ = ["PixArtFamily", "SanaFamily", "Sd3Family"]

_EULER = {"type": "FlowMatchEulerDiscreteScheduler"}


class Sd3Family(Family):
    """`SD3Transformer2DModel`, which reads the condition beside the picture."""

    model_class = "SD3Transformer2DModel"
    part = "transformer"
    pipeline = "StableDiffusion3Pipeline"
    unused: ClassVar[tuple[str, ...]] = (
        *("text_encoder", "text_encoder_2", "text_encoder_3"),
        *("tokenizer", "tokenizer_2", "tokenizer_3"),
    )
    input_layer = "pos_embed.proj"
    length = 333  # 77 of CLIP and 256 of T5
    scheduler = _EULER
    scales = False
    flows = True
    shifted = True

    def condition_width(self, config: Any) -> int:
        """See the base class."""
        return int(config.joint_attention_dim)

    def pooled_width(self, config: Any) -> int:
        """See the base class."""
        return int(config.pooled_projection_dim)

    def divisor(self, config: Any, factor: int) -> int:
        """Patches of latents."""
        return factor * int(config.patch_size)

    def check_size(self, size: tuple[int, int], config: Any, factor: int, what: str) -> None:
        """Places of patches are known up to a number."""
        super().check_size(size, config, factor, what)
        most = self.divisor(config, factor) * int(config.pos_embed_max_size)
        if max(size) > most:
            raise ConfigError(
                f"The model knows places up to {most} pixels (pos_embed_max_size="
                f"{config.pos_embed_max_size}). Received: {what}={size[0]}x{size[1]}"
            )

    def denoise(
        self,
        model: nn.Module,
        noised: Tensor,
        times: Tensor,
        told: Condition,
        size: tuple[int, int],
    ) -> Tensor:
        """See the base class."""
        found: Tensor = model(
            noised,
            encoder_hidden_states=told.embeds,
            pooled_projections=told.pooled,
            timestep=times,
            return_dict=False,
        )[0]
        return found


class _MaskedFamily(Family):
    """A transformer whose condition has a mask; here all of its places count."""

    part = "transformer"
    unused = ("text_encoder", "tokenizer")
    least = 1

    def condition_width(self, config: Any) -> int:
        """Before the projection that the model begins with."""
        return int(config.caption_channels)

    def divisor(self, config: Any, factor: int) -> int:
        """Patches of latents; the pipelines take multiples of their own number alone."""
        return lcm(self.least, factor * int(config.patch_size))

    def arguments(
        self, told: Condition, null: Condition, scale: float, config: Any
    ) -> dict[str, Any]:
        """See the base class."""
        mask = torch.ones(told.embeds.shape[:2], device=told.embeds.device)
        found = guided(told, null, scale)
        # Where it is left out, their own negative prompt stands against the null condition.
        found |= {"negative_prompt": None, "use_resolution_binning": False}
        found["prompt_attention_mask"] = mask
        return found | ({"negative_prompt_attention_mask": mask} if scale > 1 else {})


class PixArtFamily(_MaskedFamily):
    """`PixArtTransformer2DModel`, as of PixArt-Sigma."""

    model_class = "PixArtTransformer2DModel"
    pipeline = "PixArtSigmaPipeline"
    input_layer = "pos_embed.proj"
    length = 300
    # The pipeline asks a scheduler more than those of flow matching alone answer.
    scheduler: ClassVar[Mapping[str, Any]] = {
        "type": "DPMSolverMultistepScheduler",
        "prediction_type": "flow_prediction",
        "use_flow_sigmas": True,
    }
    least = 8

    def settings(self, latents: int, editing: bool, size: int) -> dict[str, Any]:
        """Also of 1024 pixels a model needs no sizes beside."""
        return super().settings(latents, editing, size) | {"use_additional_conditions": False}

    def check(self, config: Any) -> None:
        """Refuse what PixArt-Alpha is told beside."""
        asked = config.use_additional_conditions
        if asked or (asked is None and config.sample_size == 128):
            raise ConfigError(
                "A model of the family pixart is told no sizes of pictures, as PixArt-Sigma is "
                "not. Received: use_additional_conditions=True. Choose another source"
            )
        if config.caption_channels is None:
            raise ConfigError(
                "A model of the family pixart projects its condition. Received: "
                "caption_channels=None. Set it to the condition's width"
            )

    def denoise(
        self,
        model: nn.Module,
        noised: Tensor,
        times: Tensor,
        told: Condition,
        size: tuple[int, int],
    ) -> Tensor:
        """See the base class."""
        found: Tensor = model(
            noised,
            encoder_hidden_states=told.embeds,
            timestep=times,
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
            return_dict=False,
        )[0]
        return found


class SanaFamily(_MaskedFamily):
    """`SanaTransformer2DModel`, whose autoencoder makes pictures 32 times smaller."""

    model_class = "SanaTransformer2DModel"
    pipeline = "SanaPipeline"
    input_layer = "patch_embed.proj"
    length = 300
    scheduler = _EULER
    scales = False
    least = 32

    def check(self, config: Any) -> None:
        """Refuse models that know the scale of guidance."""
        if config.guidance_embeds:
            raise ConfigError(
                "A model of the family sana is not told how much it is guided. Received: "
                "guidance_embeds=True. Choose a source that is not distilled"
            )

    def latent_factor(self, vae: Any) -> int:
        """See the base class."""
        return int(2 ** (len(vae.config.encoder_block_out_channels) - 1))

    def denoise(
        self,
        model: nn.Module,
        noised: Tensor,
        times: Tensor,
        told: Condition,
        size: tuple[int, int],
    ) -> Tensor:
        """See the base class."""
        config: Any = model.config
        found: Tensor = model(
            noised, told.embeds, times * config.timestep_scale, return_dict=False
        )[0]
        return found
