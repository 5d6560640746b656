"""The decoder's config in the words of mmdet."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from .config import GroundingDinoConfig
from .library import ConfigDict

__all__ = ["detector_settings"]


def detector_settings(config: GroundingDinoConfig, head: type[nn.Module]) -> dict[str, Any]:
    """The keyword arguments of mmdet's `GroundingDINO`, all but the language model.

    Types are given as classes where this plugin brings its own: nothing enters mmdet's registries.
    mmdet writes into what it is given, so every call makes new dicts.
    """
    settings = {
        "num_queries": config.num_object_queries,
        "num_feature_levels": config.num_levels,
        "with_box_refine": True,
        "as_two_stage": True,
        "backbone": {"type": nn.Identity} if config.shared_features else config.backbone,
        "neck": _neck(config),
        "encoder": _encoder(config),
        "decoder": _decoder(config),
        "positional_encoding": {
            "num_feats": config.embed_dims // 2,
            "normalize": True,
            "offset": 0.0,
            "temperature": 20,
        },
        "bbox_head": _head(config, head),
        "dn_cfg": {"group_cfg": {"num_dn_queries": 1}},
        "train_cfg": {"assigner": _assigner(config)},
    }
    return dict(ConfigDict(settings))


def _neck(config: GroundingDinoConfig) -> dict[str, Any]:
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


def _attention(config: GroundingDinoConfig) -> dict[str, Any]:
    return {
        "embed_dims": config.embed_dims,
        "num_heads": config.num_heads,
        "attn_drop": config.dropout,
        "proj_drop": config.dropout,
    }


def _deformable(config: GroundingDinoConfig) -> dict[str, Any]:
    return {
        "embed_dims": config.embed_dims,
        "num_heads": config.num_heads,
        "dropout": config.dropout,
        "num_levels": config.num_levels,
        "num_points": config.num_points,
    }


def _feedforward(config: GroundingDinoConfig) -> dict[str, Any]:
    return {
        "embed_dims": config.embed_dims,
        "feedforward_channels": config.feedforward_dims,
        "ffn_drop": config.dropout,
    }


def _encoder(config: GroundingDinoConfig) -> dict[str, Any]:
    feedforward = _feedforward(config)
    text = {"self_attn_cfg": _attention(config), "ffn_cfg": feedforward}
    # Half the width and small first steps, as published for GLIP's fusion (arXiv 2112.03857).
    fusion = {
        "v_dim": config.embed_dims,
        "l_dim": config.embed_dims,
        "embed_dim": config.embed_dims // 2,
        "num_heads": max(1, config.num_heads // 2),
        "dropout": config.dropout,
        "init_values": 1e-4,
    }
    return {
        "num_layers": config.encoder_layers,
        "num_cp": 0,
        "layer_cfg": {"self_attn_cfg": _deformable(config), "ffn_cfg": feedforward},
        "text_layer_cfg": text if config.text_layers else None,
        "fusion_layer_cfg": fusion if config.fusion else None,
    }


def _decoder(config: GroundingDinoConfig) -> dict[str, Any]:
    return {
        "num_layers": config.decoder_layers,
        "return_intermediate": True,
        "layer_cfg": {
            "self_attn_cfg": _attention(config),
            "cross_attn_text_cfg": _attention(config),
            "cross_attn_cfg": _deformable(config),
            "ffn_cfg": _feedforward(config),
        },
        "post_norm_cfg": None,
    }


def _head(config: GroundingDinoConfig, head: type[nn.Module]) -> dict[str, Any]:
    return {
        "type": head,
        "num_classes": config.max_routes,
        "embed_dims": config.embed_dims,
        "contrastive_cfg": {
            "max_text_len": config.max_routes,
            "log_scale": "auto",
            "bias": True,
        },
        "loss_cls": {
            "type": "FocalLoss",
            "use_sigmoid": True,
            "gamma": 2.0,
            "alpha": 0.25,
            "reduction": "sum",
            "loss_weight": config.loss_cls,
        },
        "loss_bbox": {"type": "L1Loss", "reduction": "sum", "loss_weight": config.loss_bbox},
        "loss_iou": {"type": "GIoULoss", "reduction": "sum", "loss_weight": config.loss_iou},
        "masks": _masks(config) if config.masks else None,
    }


def _masks(config: GroundingDinoConfig) -> dict[str, Any]:
    """The keyword arguments of `MaskBranch`."""
    # As Mask2Former has it (arXiv 2112.01527), in matching and loss: no squares, and 1 added.
    dice = {"naive_dice": True, "eps": 1.0}
    costs = [
        {"type": "CrossEntropyLossCost", "use_sigmoid": True, "weight": config.match_mask},
        {"type": "DiceCost", "pred_act": True, "weight": config.match_dice, **dice},
    ]
    assigner = _assigner(config)
    assigner["match_costs"] += costs
    height, width = config.image_size
    return {
        "embed_dims": config.embed_dims,
        "mask_dims": config.mask_dims,
        # More points than cells of a map of stride 4 would cost time and tell nothing new.
        "num_points": min(config.num_mask_points, max(1, height * width // 16)),
        "oversampling": config.mask_oversampling,
        "importance": config.mask_importance,
        "mask_weight": config.loss_mask,
        "dice_loss": {"reduction": "sum", "loss_weight": config.loss_dice, **dice},
        "assigner": assigner,
    }


def _assigner(config: GroundingDinoConfig) -> dict[str, Any]:
    return {
        "type": "HungarianAssigner",
        "match_costs": [
            {"type": "BinaryFocalLossCost", "weight": config.match_cls},
            {"type": "BBoxL1Cost", "weight": config.match_bbox, "box_format": "xywh"},
            {"type": "IoUCost", "iou_mode": "giou", "weight": config.match_iou},
        ],
    }
