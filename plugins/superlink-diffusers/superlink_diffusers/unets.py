"""The families of UNets: Stable Diffusion 1.5 and 2.1, and SDXL."""

from __future__ import annotations

from collections.abc import Mapping
from math import lcm
from typing import Any, ClassVar

from torch import Tensor, nn

from superlink.errors import ConfigError

from .family import Condition, Family, same

__all__ = ["SdxlFamily", "UnetFamily"]

_NEW = {
    "block_out_channels": (96, 192, 288),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "attention_head_dim": 8,
    "cross_attention_dim": 256,
}


class UnetFamily(Family):
    """`UNet2DConditionModel`, told by its condition alone."""

    model_class = "UNet2DConditionModel"
    part = "unet"
    pipeline = "StableDiffusionPipeline"
    editing_pipeline = "StableDiffusionInstructPix2PixPipeline"
    unused = ("text_encoder", "tokenizer", "safety_checker", "feature_extractor")
    switches: ClassVar[Mapping[str, Any]] = {"requires_safety_checker": False}
    input_layer = "conv_in"
    length = 77
    scheduler: ClassVar[Mapping[str, Any]] = {
        "type": "DDIMScheduler",
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "timestep_spacing": "trailing",  # from pure noise, as in training
    }

    def condition_width(self, config: Any) -> int:
        """Of its cross attention, or of the projection before it."""
        if config.encoder_hid_dim is not None:
            return int(config.encoder_hid_dim)
        return same(config.cross_attention_dim, "cross_attention_dim")

    def divisor(self, config: Any, factor: int) -> int:
        """The pipelines take multiples of 8 alone."""
        return lcm(8, factor)

    def settings(self, latents: int, editing: bool, size: int) -> dict[str, Any]:
        """A small UNet where nothing else is said."""
        return _NEW | super().settings(latents, editing, size)

    def check(self, config: Any) -> None:
        """Refuse what belongs to SDXL; `text` pools the condition that cross attention has."""
        if config.addition_embed_type not in (None, "text"):
            raise ConfigError(
                "A UNet of the family unet is told by its condition alone. Received: "
                f"addition_embed_type={config.addition_embed_type!r}. Choose the family sdxl"
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
        found: Tensor = model(noised, times, told.embeds, return_dict=False)[0]
        return found


class SdxlFamily(UnetFamily):
    """A UNet that takes one vector and sizes of pictures beside."""

    pipeline = "StableDiffusionXLPipeline"
    editing_pipeline = "StableDiffusionXLInstructPix2PixPipeline"
    unused = ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
    switches: ClassVar[Mapping[str, Any]] = {"add_watermarker": False}

    def pooled_width(self, config: Any) -> int:
        """What six numbers, of sizes, leave of the width that is added to times."""
        sizes = 6 * config.addition_time_embed_dim
        return int(config.projection_class_embeddings_input_dim - sizes)

    def settings(self, latents: int, editing: bool, size: int) -> dict[str, Any]:
        """What makes a UNet one of SDXL; its blocks are to be named."""
        kind = {"addition_embed_type": "text_time", "addition_time_embed_dim": 256}
        return kind | Family.settings(self, latents, editing, size)

    def check(self, config: Any) -> None:
        """Refuse a UNet without a place for sizes of pictures."""
        if config.addition_embed_type != "text_time":
            raise ConfigError(
                "A UNet of the family sdxl has addition_embed_type text_time. Received: "
                f"{config.addition_embed_type!r}. Choose the family unet"
            )

    def check_vae(self, config: Any, dtype: str) -> None:
        """That of SDXL overflows in float16."""
        if dtype == "float16" and config.get("force_upcast"):
            raise ConfigError(
                "This autoencoder overflows in float16 (force_upcast). Received: dtype='float16'. "
                "Choose bfloat16, or a source whose autoencoder was made for float16"
            )

    def editing_arguments(
        self, source: Tensor, size: tuple[int, int], scale: float
    ) -> dict[str, Any]:
        """This pipeline would choose a size of its own."""
        sides = {"height": size[0], "width": size[1]}
        return super().editing_arguments(source, size, scale) | sides

    def denoise(
        self,
        model: nn.Module,
        noised: Tensor,
        times: Tensor,
        told: Condition,
        size: tuple[int, int],
    ) -> Tensor:
        """The picture is said to be whole and of its own size, as the pipelines say it."""
        sizes = noised.new_tensor([*size, 0, 0, *size]).expand(len(noised), -1)
        beside = {"text_embeds": told.pooled, "time_ids": sizes}
        found: Tensor = model(
            noised, times, told.embeds, added_cond_kwargs=beside, return_dict=False
        )[0]
        return found
