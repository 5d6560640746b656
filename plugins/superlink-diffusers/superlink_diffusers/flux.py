"""The family of Flux, whose transformer takes a list of patches of latents."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .dits import Sd3Family
from .family import Condition, Family, guided

__all__ = ["FluxFamily", "packed"]


class FluxFamily(Sd3Family):
    """`FluxTransformer2DModel`, which takes a list of patches of latents."""

    model_class = "FluxTransformer2DModel"
    pipeline = "FluxPipeline"
    unused = ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
    input_layer = "x_embedder"
    length = 512
    packing = 2

    def divisor(self, config: Any, factor: int) -> int:
        """Patches of latents."""
        return factor * self.packing

    def check_size(self, size: tuple[int, int], config: Any, factor: int, what: str) -> None:
        """Places are rotations, of any number."""
        Family.check_size(self, size, config, factor, what)

    def settings(self, latents: int, editing: bool, size: int) -> dict[str, Any]:
        """It does not say how many patches it takes."""
        settings = super().settings(latents, editing, size)
        del settings["sample_size"]
        return settings

    def denoise(
        self,
        model: nn.Module,
        noised: Tensor,
        times: Tensor,
        told: Condition,
        size: tuple[int, int],
    ) -> Tensor:
        """A model that knows the scale of guidance is told 1: the target is not guided."""
        config: Any = model.config
        height, width = (side // 2 for side in noised.shape[-2:])
        places = noised.new_zeros(height, width, 3)
        places[..., 1] = torch.arange(height, device=noised.device)[:, None]
        places[..., 2] = torch.arange(width, device=noised.device)
        found: Tensor = model(
            packed(noised),
            encoder_hidden_states=told.embeds,
            pooled_projections=told.pooled,
            timestep=times / 1000,
            img_ids=places.flatten(0, 1),
            txt_ids=noised.new_zeros(told.embeds.shape[1], 3),
            guidance=torch.ones_like(times) if config.guidance_embeds else None,
            return_dict=False,
        )[0]
        cells = found.transpose(1, 2).reshape(len(found), -1, height, width)
        return functional.pixel_shuffle(cells, 2)

    def arguments(
        self, told: Condition, null: Condition, scale: float, config: Any
    ) -> dict[str, Any]:
        """A model that knows the scale of guidance needs no second forward for it."""
        if config.guidance_embeds:
            return guided(told, null, 1.0) | {"guidance_scale": scale}
        return guided(told, null, scale) | {"guidance_scale": 1.0, "true_cfg_scale": scale}


def packed(latents: Tensor) -> Tensor:
    """Latents (R, C, h, w) as patches (R, h * w / 4, 4 * C), as Flux packs them."""
    return functional.pixel_unshuffle(latents, 2).flatten(2).transpose(1, 2)
