"""The names of mmdet that this plugin builds on, imported after the stand-ins are in place."""

from __future__ import annotations

from . import compat

compat.install()
with compat.quiet_imports():
    from mmcv.cnn import ConvModule
    from mmcv.cnn.bricks.transformer import MultiheadAttention
    from mmcv.ops import batched_nms, point_sample
    from mmdet.models.dense_heads.grounding_dino_head import GroundingDINOHead
    from mmdet.models.detectors.deformable_detr import DeformableDETR
    from mmdet.models.detectors.grounding_dino import GroundingDINO
    from mmdet.models.layers import MLP, CdnQueryGenerator, SinePositionalEncoding
    from mmdet.models.layers.transformer.deformable_detr_layers import (
        DeformableDetrTransformerDecoder,
        DeformableDetrTransformerDecoderLayer,
        DeformableDetrTransformerEncoder,
        DeformableDetrTransformerEncoderLayer,
    )
    from mmdet.models.layers.transformer.grounding_dino_layers import (
        DetrTransformerEncoderLayer,
        GroundingDinoTransformerDecoder,
        GroundingDinoTransformerEncoder,
        SingleScaleBiAttentionBlock,
    )
    from mmdet.models.layers.transformer.utils import coordinate_to_encoding, inverse_sigmoid
    from mmdet.models.losses import DiceLoss
    from mmdet.registry import TASK_UTILS
    from mmdet.structures import DetDataSample
    from mmengine.config import ConfigDict
    from mmengine.model import ModuleList
    from mmengine.structures import InstanceData

__all__ = [
    "MLP",
    "TASK_UTILS",
    "CdnQueryGenerator",
    "ConfigDict",
    "ConvModule",
    "DeformableDETR",
    "DeformableDetrTransformerDecoder",
    "DeformableDetrTransformerDecoderLayer",
    "DeformableDetrTransformerEncoder",
    "DeformableDetrTransformerEncoderLayer",
    "DetDataSample",
    "DetrTransformerEncoderLayer",
    "DiceLoss",
    "GroundingDINO",
    "GroundingDINOHead",
    "GroundingDinoTransformerDecoder",
    "GroundingDinoTransformerEncoder",
    "InstanceData",
    "ModuleList",
    "MultiheadAttention",
    "SinePositionalEncoding",
    "SingleScaleBiAttentionBlock",
    "batched_nms",
    "coordinate_to_encoding",
    "inverse_sigmoid",
    "point_sample",
]
