"""SAM and SAM 2 of transformers, cut in two: images -> maps, and maps + prompts -> masks."""

from __future__ import annotations

from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, Sam2Model, SamConfig, SamModel

from superlink.errors import ConfigError

from .config import SamMaskConfig, SamSizes

__all__ = ["PromptedSam", "load_sam"]

_FAMILIES: dict[str, Any] = {"sam": SamModel, "sam2": Sam2Model, "sam2_video": Sam2Model}


class PromptedSam(nn.Module):
    """A SAM whose prompts come from outside.

    Args:
        sam: `SamModel` or `Sam2Model`.
        train_vision: Whether its vision encoder is trained.
    """

    def __init__(self, sam: Any, *, train_vision: bool) -> None:
        super().__init__()
        self.sam: Any = sam
        self.is_sam2 = isinstance(sam, Sam2Model)
        self.train_vision = train_vision
        self.hidden_size: int = sam.config.mask_decoder_config.hidden_size
        prompts = sam.config.prompt_encoder_config
        self.image_size: int = prompts.image_size
        self.num_cells: int = 4 * (prompts.image_size // prompts.patch_size)
        sam.requires_grad_(False)
        sam.mask_decoder.requires_grad_(True)
        sam.vision_encoder.requires_grad_(train_vision)
        if self.is_sam2:
            sam.mask_decoder.pred_obj_score_head.requires_grad_(False)  # nothing reads it
            # It would fall back on other mask tokens in evaluation, which are not trained here.
            sam.mask_decoder.dynamic_multimask_via_stability = False

    def embed(self, pixels: Tensor) -> list[Tensor]:
        """Maps (I, C, H, W) of images (I, 3, S, S), finest first; SAM has one, SAM 2 three."""
        with torch.set_grad_enabled(self.train_vision and torch.is_grad_enabled()):
            seen = self.sam.vision_encoder(pixels.to(self.sam.dtype))
        if not self.is_sam2:
            return [seen.last_hidden_state]
        fine, middle, coarse = seen.fpn_hidden_states
        decoder, no_memory = self.sam.mask_decoder, self.sam.no_memory_embedding
        return [
            decoder.conv_s0(fine),
            decoder.conv_s1(middle),
            coarse + no_memory.view(1, -1, 1, 1),
        ]

    def masks(self, maps: list[Tensor], prompts: Tensor) -> tuple[Tensor, Tensor]:
        """One mask for each row of prompts.

        Args:
            maps: What `embed` gave, (R, C, H, W).
            prompts: (R, P, C), in the place of the prompt encoder's points and boxes.

        Returns:
            Logits (R, h, w) of the padded image, and the IoU (R,) that SAM expects of each.
        """
        *fine, coarse = maps
        _, dense = self.sam.prompt_encoder(None, None, None, None)  # "no mask was given"
        extra: dict[str, Any] = {"high_resolution_features": fine} if self.is_sam2 else {}
        logits, ious, *_ = self.sam.mask_decoder(
            image_embeddings=coarse,
            image_positional_embeddings=self.sam.get_image_wide_positional_embeddings().expand(
                len(coarse), -1, -1, -1
            ),
            sparse_prompt_embeddings=prompts.unsqueeze(1),
            dense_prompt_embeddings=dense,
            multimask_output=False,
            **extra,
        )
        return logits[:, 0, 0].float(), ious[:, 0, 0].float()


def load_sam(config: SamMaskConfig) -> Any:
    """The `SamModel` or `Sam2Model` at `config.source`, or a random one.

    Raises:
        ConfigError: There is no SAM at the source, or not as safetensors.
    """
    if config.source is None:
        return _random_sam(config.sizes)
    try:
        family = AutoConfig.from_pretrained(config.source, revision=config.revision).model_type
        if family not in _FAMILIES:
            raise ValueError(f"It holds a model of type {family!r}.")
        model, info = _FAMILIES[family].from_pretrained(
            config.source,
            revision=config.revision,
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
        )
        if info["missing_keys"]:
            raise ValueError(f"It lacks weights: {sorted(info['missing_keys'])[:3]}.")
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ConfigError(
            "Expected the Hub id or the folder of a SAM or SAM 2 with safetensors. Received: "
            f"source={config.source!r}, revision={config.revision!r}. {error} Connect to the Hub, "
            "or give a folder that `hf download` or `save_pretrained` wrote."
        ) from error
    return model


def _random_sam(sizes: SamSizes) -> SamModel:
    width, heads = sizes.hidden_size, sizes.hidden_size // 16
    vision = {
        "image_size": sizes.image_size,
        "hidden_size": width,
        "output_channels": width,
        "num_pos_feats": width // 2,
        "num_hidden_layers": sizes.num_layers,
        "num_attention_heads": heads,
        "global_attn_indexes": [sizes.num_layers - 1],
        # SAM's own default is 1e-10: all images would look the same.
        "initializer_range": 0.02,
    }
    prompt = {"image_size": sizes.image_size, "hidden_size": width}
    decoder = {"hidden_size": width, "num_attention_heads": heads, "mlp_dim": 4 * width}
    return SamModel(
        SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)
    )
