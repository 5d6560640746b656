"""The config of a decoder in the words of mmdet.

Types are given as classes where this plugin brings its own: nothing enters mmdet's registries.
"""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from .config import GroundingDinoConfig, QueryDetectorConfig
from .head_settings import box_assigner, head_settings

__all__ = [
    "attention",
    "deformable",
    "detector_settings",
    "feedforward",
    "grounding_dino_settings",
]


def detector_settings(config: QueryDetectorConfig, head: type[nn.Module]) -> dict[str, Any]:
    """The keyword arguments of mmdet's `DeformableDETR`, with two stages and refined boxes."""
    return {
        "num_queries": config.num_object_queries,
        "num_feature_levels": config.num_levels,
        "with_box_refine": True,
        "as_two_stage": True,
        "backbone": {"type": nn.Identity} if config.shared_features else config.backbone,
        "neck": _channel_mapper(config) if config.neck is None else config.neck,
        "encoder": {
            "num_layers": config.encoder_layers,
            "num_cp": 0,
            "layer_cfg": {"self_attn_cfg": deformable(config), "ffn_cfg": feedforward(config)},
        },
        "decoder": {
            "num_layers": config.decoder_layers,
            "return_intermediate": True,
            "layer_cfg": {
                "self_attn_cfg": attention(config),
                "cross_attn_cfg": deformable(config),
                "ffn_cfg": feedforward(config),
            },
            "post_norm_cfg": None,
        },
        "positional_encoding": {
            "num_feats": config.embed_dims // 2,
            "normalize": True,
            "offset": -0.5,
        },
        "bbox_head": head_settings(config, head),
        "train_cfg": {"assigner": box_assigner(config)},
    }


def grounding_dino_settings(config: GroundingDinoConfig, head: type[nn.Module]) -> dict[str, Any]:
    """The keyword arguments of mmdet's `GroundingDINO`, without its language model."""
    settings = detector_settings(config, head)
    heads, width = config.text_heads, config.text_feedforward_dims
    text = {
        "self_attn_cfg": attention(config) | ({"num_heads": heads} if heads else {}),
        "ffn_cfg": feedforward(config) | ({"feedforward_channels": width} if width else {}),
    }
    settings["encoder"] |= {
        "text_layer_cfg": text if config.text_layers else None,
        "fusion_layer_cfg": _fusion(config) if config.fusion else None,
    }
    settings["decoder"]["layer_cfg"]["cross_attn_text_cfg"] = attention(config)
    settings["decoder"]["placed_queries"] = config.placed_queries
    settings["positional_encoding"] |= {"offset": 0.0, "temperature": 20}
    # Its generator of noise gives way to one that knows routes.
    return settings | {"language_model": None, "dn_cfg": {"group_cfg": {"num_dn_queries": 1}}}


def _channel_mapper(config: QueryDetectorConfig) -> dict[str, Any]:
    return {
        "type": "ChannelMapper",
        "in_channels": list(config.in_channels),
        "kernel_size": 1,
        "out_channels": config.embed_dims,
        "act_cfg": None,
        "bias": True,
        "norm_cfg": {"type": "GN", "num_groups": math.gcd(32, config.embed_dims)},
        "num_outs": config.num_levels,
    }


def attention(config: QueryDetectorConfig) -> dict[str, Any]:
    """The keyword arguments of an attention."""
    return {
        "embed_dims": config.embed_dims,
        "num_heads": config.num_heads,
        "attn_drop": config.dropout,
        "proj_drop": config.dropout,
    }


def deformable(config: QueryDetectorConfig) -> dict[str, Any]:
    """The keyword arguments of a deformable attention to the levels."""
    return {
        "embed_dims": config.embed_dims,
        "num_heads": config.num_heads,
        "dropout": config.dropout,
        "num_levels": config.num_levels,
        "num_points": config.num_points,
    }


def feedforward(config: QueryDetectorConfig) -> dict[str, Any]:
    """The keyword arguments of a feed-forward block."""
    return {
        "embed_dims": config.embed_dims,
        "feedforward_channels": config.feedforward_dims,
        "ffn_drop": config.dropout,
    }


def _fusion(config: GroundingDinoConfig) -> dict[str, Any]:
    # Small first steps, as published for GLIP's fusion (arXiv 2112.03857).
    return {
        "v_dim": config.embed_dims,
        "l_dim": config.embed_dims,
        "embed_dim": config.fusion_dims or config.embed_dims // 2,
        "num_heads": config.fusion_heads or max(1, config.num_heads // 2),
        "dropout": config.dropout,
        "init_values": 1e-4,
    }
