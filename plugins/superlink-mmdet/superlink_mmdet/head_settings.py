"""The part of a decoder's config that tells its box head and its mask branch, in mmdet's words."""

from __future__ import annotations

from typing import Any

from torch import nn

from .config import QueryDetectorConfig

__all__ = ["box_assigner", "head_settings"]


def head_settings(config: QueryDetectorConfig, head: type[nn.Module]) -> dict[str, Any]:
    """The keyword arguments of `head`, a `LinkHead`, and its type."""
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


def box_assigner(config: QueryDetectorConfig) -> dict[str, Any]:
    """What pairs queries with targets by routes and boxes."""
    return {
        "type": "HungarianAssigner",
        "match_costs": [
            {"type": "BinaryFocalLossCost", "weight": config.match_cls},
            {"type": "BBoxL1Cost", "weight": config.match_bbox, "box_format": "xywh"},
            {"type": "IoUCost", "iou_mode": "giou", "weight": config.match_iou},
        ],
    }


def _masks(config: QueryDetectorConfig) -> dict[str, Any]:
    """The keyword arguments of `MaskBranch`."""
    # As Mask2Former has it (arXiv 2112.01527), in matching and loss: no squares, and 1 added.
    dice = {"naive_dice": True, "eps": 1.0}
    costs = [
        {"type": "CrossEntropyLossCost", "use_sigmoid": True, "weight": config.match_mask},
        {"type": "DiceCost", "pred_act": True, "weight": config.match_dice, **dice},
    ]
    assigner = box_assigner(config)
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
