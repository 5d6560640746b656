"""The task decoders of this plugin: one for each family of detectors."""

from __future__ import annotations

from .deformable_detr import LinkDeformableDETR
from .grounding_dino import LinkGroundingDINO
from .query_detector import QueryDetectorDecoder

__all__ = ["DeformableDetrDecoder", "GroundingDinoDecoder"]


class GroundingDinoDecoder(QueryDetectorDecoder):
    """`mmdet.grounding_dino`: routes meet the image in every layer."""

    detector_class = LinkGroundingDINO


class DeformableDetrDecoder(QueryDetectorDecoder):
    """`mmdet.deformable_detr`: routes are compared with what a plain detector has found."""

    detector_class = LinkDeformableDETR
