"""Tiny settings of `mmpose.top_down`, and what its tests look at."""

import torch

from superlink_mmpose.top_down import TopDownDecoder
from superlink_mmpose.top_down_config import TopDownConfig

from .conftest import TINY

TINY_CROPS = {
    "embed_dims": 32,
    "image_size": (64, 64),
    "size_divisor": 32,
    "crop_size": (64, 48),
    "backbone": {
        "type": "ResNet",
        "depth": 18,
        "base_channels": 8,
        "stem_channels": 8,
        "num_stages": 3,
        "strides": (1, 2, 2),
        "dilations": (1, 1, 1),
        "out_indices": (2,),
        "norm_eval": True,
    },
    "in_channels": 32,
    "stride": 16,
    "final_layer_kernel_size": 3,
    "head": {
        "type": "RTMCCHead",
        "gau_cfg": {
            "hidden_dims": 32,
            "s": 16,
            "expansion_factor": 2,
            "dropout_rate": 0.0,
            "drop_path": 0.0,
            "act_fn": "SiLU",
            "use_rel_bias": False,
            "pos_enc": False,
        },
        "loss": {"type": "KLDiscretLoss", "beta": 10.0, "label_softmax": True},
    },
}
TINY_DETECTOR = {
    "encoder_layers": 1,
    "decoder_layers": 2,
    "num_object_queries": 12,
    "num_points": 2,
    "num_levels": 3,
    "num_heads": 4,
    "feedforward_dims": 32,
    "max_routes": 8,
    "backbone": TINY["backbone"] | {"out_indices": (1, 2, 3)},
    "in_channels": (16, 32, 64),
}


def top_down(*, shaken=True, **changes):
    """A tiny decoder in eval mode, its weights shaken: fresh ones predict the same everywhere."""
    torch.manual_seed(0)
    made = TopDownDecoder(TopDownConfig(**TINY_CROPS | changes)).eval()
    if shaken:
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.05)
    return made


def prepared(decoder, *calls, training=True):
    """What a decoder makes of calls, as a batch."""
    return decoder.collate([decoder.prepare(call, training=training) for call in calls])
