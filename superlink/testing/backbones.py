"""Tiny random backbones with real architectures, and a way to make them write what a test wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ..backbones.tiny_llava import TinyLlavaConfig, build_tiny_llava
from ..backbones.tiny_qwen import build_tiny_qwen
from ..backbones.transformers import TransformersBackbone
from ..interfaces import Backbone, Prefill, Sampler

__all__ = ["Script", "tiny_backbone"]

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


class Script:
    """Makes a random model write given texts, inside of its `with` block.

    Args:
        backbone: The model, with the link attached, so that routing tokens are known.
        texts: For each row what it writes, as `<p>dog</p>[BOX] done`; then its answer ends. A token
            that a row must not write is left to the model.
    """

    def __init__(self, backbone: Backbone, texts: Sequence[str]) -> None:
        self.backbone = backbone
        eos = min(backbone.eos_ids())
        self.scripts = [[*backbone.tokenize(text), eos] for text in texts]

    def __enter__(self) -> Script:
        self._prefill = self.backbone.prefill
        self.backbone.prefill = self._scripted  # type: ignore[method-assign]
        return self

    def __exit__(self, *error: object) -> None:
        del self.backbone.prefill

    def _scripted(self, *args: Any, **options: Any) -> Prefill:
        start = self._prefill(*args, **options)
        return Prefill(start.output, _ScriptedSampler(self.scripts, start.sampler))


class _ScriptedSampler:
    """Says for each row the token of its script that comes after those that it has written."""

    def __init__(self, scripts: Sequence[Sequence[int]], free: Sampler) -> None:
        self.scripts, self.free = scripts, free
        self.prompts: list[list[int]] | None = None

    def pick(self, ids: Tensor, logits: Tensor) -> Tensor:
        self.prompts = self.prompts or ids.tolist()
        picked = self.free.pick(ids, logits)
        for row, script in enumerate(self.scripts):
            token = script[min(_written(ids[row].tolist(), self.prompts[row]), len(script) - 1)]
            if logits[row, token] > -torch.inf:
                picked[row] = token
        return picked

    def stops(self, ids: Tensor) -> Tensor:
        return self.free.stops(ids)


def _written(ids: list[int], prompt: list[int]) -> int:
    """How many tokens stand behind the prompt; rows that wait for others are moved to the right."""
    most = len(ids) - len(prompt)
    return next(n for n in range(most, -1, -1) if ids[most - n : len(ids) - n] == prompt)
