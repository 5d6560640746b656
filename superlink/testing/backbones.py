"""Tiny random backbones with real architectures, and a way to make them write what a test wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..backbones.tiny_llava import TinyLlavaConfig, build_tiny_llava
from ..backbones.tiny_qwen import build_tiny_qwen
from ..backbones.transformers import TransformersBackbone
from ..interfaces import Backbone

__all__ = ["ScriptedHead", "tiny_backbone"]

Architecture = Literal["llava", "qwen2_5_vl"]


def tiny_backbone(
    architecture: Architecture = "llava", *, seed: int = 0, words: Sequence[str] = ()
) -> TransformersBackbone:
    """A random model with 2 layers of width 64 and a working processor; nothing is downloaded.

    Args:
        architecture: `llava` has a fixed number of tokens per image and one table for input and
            output; `qwen2_5_vl` has images of any size, positions on three axes and two tables.
        seed: Of the weights.
        words: Words that shall be one token each.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = _tiny_llava(words) if architecture == "llava" else build_tiny_qwen(words)
    backbone.eval()
    return backbone


def _tiny_llava(words: Sequence[str]) -> TransformersBackbone:
    return build_tiny_llava(
        TinyLlavaConfig(
            hidden_size=64,
            num_layers=2,
            num_heads=4,
            image_size=64,
            encoder="conv",
            words=tuple(words),
        )
    )


class ScriptedHead:
    """Makes a random model write given texts: inside of its `with` block, one token a step and row.

    Args:
        backbone: The model, with the link attached, so that routing tokens have a column.
        texts: For each row what it writes, as `<p>dog</p>[BOX] done`; then its answer ends.
    """

    def __init__(self, backbone: Backbone, texts: Sequence[str]) -> None:
        self.backbone = backbone
        eos = min(backbone.eos_ids())
        self.scripts = [[*backbone.tokenize(text), eos] for text in texts]
        self.steps = 0

    def __enter__(self) -> ScriptedHead:
        self._handle = self.backbone.output_head().register_forward_hook(self._steer)
        return self

    def __exit__(self, *error: object) -> None:
        self._handle.remove()

    def _steer(self, module: nn.Module, args: tuple[Any, ...], logits: Tensor) -> Tensor:
        """Add 1e4 to the next token of each row, at every position (B, T, V) of the step."""
        bonus = torch.zeros_like(logits)
        for row, script in enumerate(self.scripts):
            bonus[row, :, script[min(self.steps, len(script) - 1)]] = 1e4
        self.steps += 1
        return logits + bonus
