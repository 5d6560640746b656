"""Tiny random decoders of each family, and calls, made by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from superlink.interfaces import CallInput, Geometry, LinkedQueries

VAE = {
    "type": "AutoencoderKL",
    "block_out_channels": (8, 16),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "norm_num_groups": 4,
    "latent_channels": 4,
    "force_upcast": False,
}
UNET = {
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "cross_attention_dim": 32,
    "attention_head_dim": 4,
    "norm_num_groups": 4,
}
SMALL = {"num_layers": 2, "num_attention_heads": 2, "attention_head_dim": 16}
TINY = {
    "image_size": (32, 32),
    "condition_length": 6,
    "num_inference_steps": 2,
    "guidance_scale": 2.0,
}
FAMILIES = {
    "unet": {"model": UNET, "vae": {"type": "pixels", "patch": 4}},
    "sdxl": {
        "model": UNET
        | {"addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 48 + 24},
        "vae": VAE,
    },
    "sd3": {
        "model": SMALL
        | {"joint_attention_dim": 32, "caption_projection_dim": 32, "pooled_projection_dim": 24},
        "vae": VAE,
    },
    "pixart": {"model": SMALL | {"cross_attention_dim": 32, "caption_channels": 24}, "vae": VAE},
    "sana": {
        "model": SMALL
        | {
            "num_cross_attention_heads": 2,
            "cross_attention_head_dim": 16,
            "cross_attention_dim": 32,
            "caption_channels": 24,
        },
        "vae": {
            "type": "AutoencoderDC",
            "latent_channels": 4,
            "attention_head_dim": 2,
            "encoder_block_types": ("ResBlock", "EfficientViTBlock"),
            "decoder_block_types": ("ResBlock", "EfficientViTBlock"),
            "encoder_block_out_channels": (8, 8),
            "decoder_block_out_channels": (8, 8),
            "encoder_qkv_multiscales": ((), (5,)),
            "decoder_qkv_multiscales": ((), (5,)),
            "encoder_layers_per_block": (1, 1),
            "decoder_layers_per_block": (1, 1),
            "downsample_block_type": "conv",
            "upsample_block_type": "interpolate",
            "decoder_norm_types": "rms_norm",
            "decoder_act_fns": "silu",
            "scaling_factor": 0.4,
        },
    },
    "flux": {
        "model": SMALL
        | {
            "num_layers": 1,
            "num_single_layers": 1,
            "joint_attention_dim": 32,
            "pooled_projection_dim": 24,
            "axes_dims_rope": (4, 4, 8),
        },
        "vae": VAE,
    },
}
"""What each family is told beside `TINY`."""


def settings(family="unet", **changes):
    """Of a tiny decoder."""
    return TINY | FAMILIES[family] | {"family": family} | changes


def picture(seed=0, size=(32, 32)):
    """Smooth spots of colour; `size` is height and width."""
    pixels = np.random.default_rng(seed).integers(0, 255, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BICUBIC)


def draw_call(num_routes=1, seed=0, *, key=None):
    """A call of `[GEN]` with pictures as its target."""
    images = tuple(picture(100 * seed + route) for route in range(num_routes))
    target = {
        "images": images,
        "captions": tuple(f"spots {route}" for route in range(num_routes)),
        "attributes": ({},) * num_routes,
    }
    phrases = tuple(f"thing {route}" for route in range(num_routes))
    tokens = ("[GEN]",) * num_routes
    return CallInput(None, None, target, tokens, phrases, key or f"case {seed}")


def edit_call(num_routes=1, seed=0, *, key=None, size=None):
    """A call of `[EDIT]` on a picture of its own size."""
    size = size or (32 + 8 * (seed % 3), 40)
    call = draw_call(num_routes, seed, key=key)
    target = {**call.target, "changed": (None,) * num_routes}
    return replace(
        call,
        image=picture(seed + 50, size),
        geometry=Geometry.identity(size),
        target=target,
        tokens=("[EDIT]",) * num_routes,
    )


def links_of(decoder, calls, queries=5):
    """Conditions that hang on key and phrase alone."""
    length = decoder.length if decoder.config.connector == "mapper" else queries

    def state(key):
        seed = sum(map(ord, key)) * 7919 % 2**31
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(length, decoder.cond_size, generator=generator)

    routes = [
        (index, call.key, token, phrase)
        for index, call in enumerate(calls)
        for token, phrase in zip(call.tokens, call.phrases, strict=True)
    ]
    return LinkedQueries(
        states=torch.stack([state(f"{key}/{phrase}") for _, key, _, phrase in routes]),
        calls=torch.tensor([index for index, *_ in routes]),
        tokens=tuple(token for _, _, token, _ in routes),
        phrases=tuple(phrase for *_, phrase in routes),
        num_calls=len(calls),
    )


def inputs_of(decoder, calls, *, training=True, **options):
    """What a decoder makes of calls."""
    batch = decoder.collate([decoder.prepare(call, training=training) for call in calls])
    if options:
        batch["options"] = decoder.read_options(options)
    return batch


@pytest.fixture
def drawing():
    """Build a tiny decoder of `[GEN]`: `drawing("sd3", dtype="bfloat16")`."""
    from superlink_diffusers.config import TextToImageConfig
    from superlink_diffusers.decoder import TextToImageDecoder

    def build(family="unet", **changes):
        torch.manual_seed(0)
        return TextToImageDecoder(TextToImageConfig(**settings(family, **changes))).eval()

    return build


@pytest.fixture
def editing():
    """Build a tiny decoder of `[EDIT]`."""
    from superlink_diffusers.config import ImageEditingConfig
    from superlink_diffusers.editing import ImageEditingDecoder

    def build(family="unet", **changes):
        torch.manual_seed(0)
        return ImageEditingDecoder(ImageEditingConfig(**settings(family, **changes))).eval()

    return build
