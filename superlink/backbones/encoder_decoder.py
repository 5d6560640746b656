"""Encoder-decoder models as backbones."""

from __future__ import annotations

from .transformers import TransformersBackbone

__all__ = ["EncoderDecoderBackbone"]


class EncoderDecoderBackbone(TransformersBackbone):
    """TODO"""
