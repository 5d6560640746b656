"""The names of mmpose that this plugin builds on, imported after the stand-ins are in place."""

from __future__ import annotations

from superlink_mmdet import compat

compat.install()
with compat.quiet_imports():
    from mmengine.model import BaseModule
    from mmpose.codecs import SimCCLabel
    from mmpose.models.heads.coord_cls_heads.rtmcc_head import RTMCCHead
    from mmpose.models.losses import KLDiscretLoss, OKSLoss
    from mmpose.registry import MODELS

__all__ = [
    "MODELS",
    "BaseModule",
    "KLDiscretLoss",
    "OKSLoss",
    "RTMCCHead",
    "SimCCLabel",
]
