"""A multimodal LLM in plain PyTorch, ready in a millisecond: no model of transformers is imported.
It answers nothing of use, and holds every rule of a backbone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ..checkpoint import read_tensors, write_tensors
from ..interfaces import (
    Backbone,
    BackboneOutput,
    BackboneSpec,
    ImageFeatures,
    Message,
    keep_columns,
)

__all__ = ["PLAIN_BACKBONE", "PlainBackbone", "PlainConfig", "build_plain_backbone"]

PLAIN_BACKBONE = BackboneSpec(
    name="plain",
    factory="superlink.testing.plain_backbone:build_plain_backbone",
    config_class="superlink.testing.plain_backbone:PlainConfig",
)
_SPECIALS = ("<|end|>", "<image>", "<|system|>", "<|user|>", "<|assistant|>")
_END, _IMAGE, _VOCAB_SIZE = 256, 257, 256 + len(_SPECIALS)  # the bytes come first
_SIDE, _CELLS, _WEIGHTS = 64, 4, "model.safetensors"


class PlainConfig(BaseModel):
    """Where a saved one lies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str | None = None
    """A folder that `PlainBackbone.save` wrote; None: random weights."""


class PlainBackbone(Backbone):
    """Each token sees itself and the mean of all tokens up to it; an image is four tokens.

    The maps of its image encoder have 16, 24 and 32 channels at strides 8, 16 and 32, as those of
    `tiny_backbone`.
    """

    hidden_size = 64
    vocab_size = _VOCAB_SIZE
    spec_name = PLAIN_BACKBONE.name

    def __init__(self) -> None:
        super().__init__()
        size = self.hidden_size
        self.encoder = nn.ModuleList(
            [nn.Conv2d(3, 16, 8, 8), nn.Conv2d(16, 24, 2, 2), nn.Conv2d(24, 32, 2, 2)]
        )
        self.see = nn.Linear(32, size)
        self.embedding = nn.Embedding(_VOCAB_SIZE, size)
        self.mix, self.norm = nn.Linear(2 * size, size), nn.LayerNorm(size)
        self.head = nn.Linear(size, _VOCAB_SIZE, bias=False)
        self.forget_tokens()

    def add_tokens(self, tokens: Sequence[str]) -> list[int]:
        """Ids beyond the table."""
        for token in tokens:
            self.ids.setdefault(token, 256 + len(self.ids))
        return [self.ids[token] for token in tokens]

    def forget_tokens(self) -> None:
        """Only the special tokens stay."""
        self.ids = {token: 256 + index for index, token in enumerate(_SPECIALS)}

    def special_tokens(self) -> Sequence[str]:
        """Roles, the end of a message, and the image placeholder."""
        return _SPECIALS

    def tokenize(self, text: str) -> list[int]:
        """Known tokens are cut out, the longest first; what is left is bytes."""
        known = "|".join(map(re.escape, sorted(self.ids, key=len, reverse=True)))
        pieces = re.split(f"({known})", text)
        return [i for p in pieces for i in ([self.ids[p]] if p in self.ids else p.encode())]

    def decode(self, ids: Sequence[int]) -> str:
        """Undo `tokenize`."""
        known = {index: token.encode() for token, index in self.ids.items()}
        return b"".join(known.get(i) or bytes([i]) for i in ids).decode(errors="replace")

    def eos_ids(self) -> frozenset[int]:
        """The end of a message."""
        return frozenset({_END})

    def embedding_modules(self) -> Sequence[nn.Module]:
        """The one table."""
        return [self.embedding]

    def output_head(self) -> nn.Module:
        """The one head."""
        return self.head

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> str:
        """Messages one after the other."""
        text = "".join(f"<|{m.role}|>{m.text_with('<image>')}<|end|>" for m in messages)
        return text + "<|assistant|>" * add_generation_prompt

    def encode(
        self,
        texts: Sequence[str],
        images: Sequence[Sequence[Image.Image]],
        *,
        padding_side: Literal["left", "right"] = "right",
    ) -> dict[str, Tensor]:
        """Bytes, and images as squares."""
        texts = [text.replace("<image>", "<image>" * _CELLS) for text in texts]
        rows = [torch.tensor(self.tokenize(text)) for text in texts]
        keep = [torch.ones_like(row) for row in rows]
        inputs = {
            "input_ids": pad_sequence(rows, batch_first=True, padding_side=padding_side),
            "attention_mask": pad_sequence(keep, batch_first=True, padding_side=padding_side),
        }
        squares = [one.convert("RGB").resize((_SIDE, _SIDE)) for row in images for one in row]
        if squares:
            pixels = torch.tensor(np.stack([np.asarray(one) for one in squares])).movedim(-1, 1)
            inputs["pixel_values"] = pixels / 127.5 - 1  # (images, 3, H, W)
        return inputs

    def image_features(self, inputs: Mapping[str, Tensor]) -> ImageFeatures | None:
        """The maps, and the last of them as tokens."""
        if "pixel_values" not in inputs:
            return None
        maps = [inputs["pixel_values"].to(self.see.weight)]
        for layer in self.encoder:
            maps.append(layer(maps[-1]).tanh())
        return ImageFeatures(tuple(maps[1:]), raw=self.see(maps[-1].flatten(2).mT))

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        *,
        cache: Any = None,
        use_cache: bool = False,
        image_features: ImageFeatures | None = None,
        logits_to_keep: int | Tensor = 0,
    ) -> BackboneOutput:
        """The cache is the sum and the number of the tokens so far."""
        ids, keep = inputs["input_ids"], inputs["attention_mask"]
        x = self.embedding(ids)  # (B, T, C)
        seen = image_features or self.image_features(inputs)
        if seen is not None:
            x = x.masked_scatter((ids == _IMAGE)[..., None], seen.raw.to(x))
        keep = keep[:, -ids.shape[1] :, None].to(x)
        sums, number = (x * keep).cumsum(1), keep.cumsum(1)
        if cache is not None:
            sums, number = sums + cache[0], number + cache[1]
        mixed = self.mix(torch.cat([x, sums / number.clamp(min=1)], dim=-1)).tanh()
        states = keep_columns(self.norm(x + mixed), logits_to_keep)
        grown = (sums[:, -1:], number[:, -1:]) if use_cache else None
        return BackboneOutput(states, self.head(states), grown)

    def save(self, folder: Path) -> None:
        """The weights; there is nothing else."""
        write_tensors(self.state_dict(), folder / _WEIGHTS)


def build_plain_backbone(config: PlainConfig) -> PlainBackbone:
    """Make a random one, or load a saved one from `config.source`."""
    backbone = PlainBackbone()
    if config.source is not None:
        backbone.load_state_dict(read_tensors(Path(config.source) / _WEIGHTS))
    return backbone.eval()
