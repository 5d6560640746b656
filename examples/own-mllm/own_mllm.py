"""A multimodal LLM of one's own in plain PyTorch, and the adapter that gives it super links.

The model knows nothing of superlink; `OwnBackbone`, at the end, is all that superlink asks for.
Shapes: B rows, T tokens, C width, D width of a head, V vocabulary, I images.
"""
# ruff: noqa: ANN001, ANN201, D102 (types and meaning of the adapter's methods: superlink.Backbone)

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel
from safetensors.torch import load_model, save_model
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

import superlink
from superlink.errors import InputError
from superlink.interfaces import BackboneOutput, ImageFeatures, keep_columns

SPECIALS = ("<|end|>", "<image>", "<|system|>", "<|user|>", "<|assistant|>")
END, IMAGE, VOCAB_SIZE = 256, 257, 256 + len(SPECIALS)  # the bytes come first


class OwnConfig(BaseModel, frozen=True, extra="forbid"):
    """Sizes of the model, or the folder of a saved one with sizes of its own."""

    source: str | None = None
    num_layers: int = 2
    num_heads: int = 4
    head_size: int = 16
    image_size: int = 32
    patch_size: int = 8


class ByteTokenizer:
    """Bytes are their own ids; special tokens follow them."""

    def __init__(self, specials: Iterable[str] = SPECIALS) -> None:
        self.ids = {token: 256 + i for i, token in enumerate(specials)}

    def encode(self, text: str) -> list[int]:
        """Cut the special tokens out, the longest first; what is left is bytes."""
        specials = "|".join(map(re.escape, sorted(self.ids, key=len, reverse=True)))
        pieces = re.split(f"({specials})", text)
        return [i for p in pieces for i in ([self.ids[p]] if p in self.ids else p.encode())]

    def decode(self, ids: Iterable[int]) -> str:
        """Undo `encode`."""
        specials = {i: token.encode() for token, i in self.ids.items()}
        return b"".join(specials.get(i) or bytes([i]) for i in ids).decode(errors="replace")


class Block(nn.Module):
    """Attention with rotary positions, and an MLP."""

    def __init__(self, size: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Sequential(nn.LayerNorm(size), nn.Linear(size, 3 * size))
        self.out = nn.Linear(size, size)
        wide = nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, size)
        self.mlp = nn.Sequential(nn.LayerNorm(size), *wide)

    def forward(self, x: Tensor, angles: Tensor, mask: Tensor, past: tuple[Tensor, Tensor] | None):
        """New vectors (B, T, C), and the keys and values (B, heads, T, D) of all tokens so far."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        (left, right), cos, sin = torch.stack([q, k]).chunk(2, dim=-1), angles.cos(), angles.sin()
        q, k = torch.cat([left * cos - right * sin, left * sin + right * cos], dim=-1).to(v)
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.mlp(x), (k, v)


class OwnMLLM(nn.Module):
    """Patches of images and bytes of text in one causal transformer."""

    def __init__(self, config: OwnConfig) -> None:
        super().__init__()
        self.config, size = config, config.num_heads * config.head_size
        self.see = nn.Conv2d(3, size, config.patch_size, config.patch_size)
        self.embedding = nn.Embedding(VOCAB_SIZE, size)
        blocks = [Block(size, config.num_heads) for _ in range(config.num_layers)]
        self.blocks, self.norm = nn.ModuleList(blocks), nn.LayerNorm(size)
        self.head = nn.Linear(size, VOCAB_SIZE, bias=False)

    def forward(self, ids, keep, seen=None, cache=None, wanted=0):
        """Ids (B, T), `keep` (B, T) with 0 at padding and holes, and patches (I, C, H, W), to
        states (B, T, C), logits (B, T, V), and a cache: all of `keep`, keys and values by block."""
        x, num_new = self.embedding(ids), ids.shape[1]
        if seen is not None:  # each image placeholder becomes a patch
            x = x.masked_scatter((ids == IMAGE)[..., None], seen.flatten(2).mT.to(x))
        old, past = cache or (keep[:, :0], [None] * len(self.blocks))
        keep, past = torch.cat([old, keep], dim=1), [*past]  # the cache of the caller stays
        positions = keep.cumsum(1)[:, -num_new:]  # neither padding nor a hole takes one
        speeds = 1e4 ** -torch.linspace(0, 1, self.config.head_size // 2, device=ids.device)
        angles = positions[:, None, :, None] * speeds  # (B, 1, T, D / 2)
        columns = torch.arange(keep.shape[1], device=ids.device)
        own = columns[-num_new:, None]
        # All see themselves, padding too: a softmax over nothing would be NaN.
        mask = ((columns < own) & keep[:, None].bool()) | (columns == own)  # (B, new, all)
        for i, block in enumerate(self.blocks):
            x, past[i] = block(x, angles, mask[:, None], past[i])
        states = keep_columns(self.norm(x), wanted)
        return states, self.head(states), (keep, past)


class OwnBackbone(superlink.Backbone):
    """What superlink asks of a multimodal LLM."""

    spec_name = "own_mllm"  # in the plugin; so a checkpoint knows who builds it again

    def __init__(self, model: OwnMLLM) -> None:
        super().__init__()
        self.model, self.tokenizer = model, ByteTokenizer()
        self.vocab_size, self.hidden_size = model.head.weight.shape

    def add_tokens(self, tokens):
        # Ids beyond the model's table are fine: superlink never looks them up there.
        self.tokenizer = ByteTokenizer(dict.fromkeys([*self.tokenizer.ids, *tokens]))
        return [self.tokenizer.ids[token] for token in tokens]

    def forget_tokens(self):
        self.tokenizer = ByteTokenizer()

    def special_tokens(self):
        return [*self.tokenizer.ids]

    def tokenize(self, text):
        return self.tokenizer.encode(text)

    def decode(self, ids):
        return self.tokenizer.decode(ids)

    def eos_ids(self):
        return frozenset({END})

    def embedding_modules(self):
        return [self.model.embedding]  # here the queries enter

    def output_head(self):
        return self.model.head  # here the routing tokens get logits

    def render(self, messages, *, add_generation_prompt=False):
        # A template that only appends: so superlink can tell where answers begin and end.
        text = ""
        for message in messages:
            text += f"<|{message.role}|>{message.text_with('<image>')}<|end|>"
        return text + "<|assistant|>" * add_generation_prompt

    def encode(self, texts, images, *, padding_side="right"):
        found, given = [text.count("<image>") for text in texts], [len(row) for row in images]
        if found != given:
            raise InputError(f"Expected an image for each <image>: {found}. Received: {given}")
        side, patch_size = self.model.config.image_size, self.model.config.patch_size
        patches = "<image>" * (side // patch_size) ** 2
        rows = [torch.tensor(self.tokenize(text.replace("<image>", patches))) for text in texts]
        padding = {"batch_first": True, "padding_side": padding_side}
        keep = pad_sequence([torch.ones_like(row) for row in rows], **padding)
        inputs = {"input_ids": pad_sequence(rows, **padding), "attention_mask": keep}
        squares = [image.convert("RGB").resize((side, side)) for row in images for image in row]
        if squares:  # (I, 3, H, W) between -1 and 1
            inputs["pixel_values"] = torch.tensor(np.stack(squares)).movedim(-1, 1) / 127.5 - 1
        return inputs

    def image_features(self, inputs):
        if "pixel_values" not in inputs:
            return None
        seen = self.model.see(inputs["pixel_values"].to(self.model.see.weight))
        return ImageFeatures(maps=(seen,), raw=seen)  # decoders may share the map

    def forward(
        self, inputs, *, cache=None, use_cache=False, image_features=None, logits_to_keep=0
    ):
        seen = image_features or self.image_features(inputs)
        ids, keep = inputs["input_ids"], inputs["attention_mask"]
        states, logits, grown = self.model(ids, keep, seen and seen.raw, cache, logits_to_keep)
        return BackboneOutput(states, logits, grown if use_cache else None)

    def save(self, folder):
        save_model(self.model, str(folder / "model.safetensors"))
        (folder / "config.json").write_text(self.model.config.model_dump_json(exclude={"source"}))


def build_own_mllm(config: OwnConfig) -> OwnBackbone:
    """Make a random model, or load a saved one from `config.source`."""
    if config.source is None:
        return OwnBackbone(OwnMLLM(config))
    folder = Path(config.source)
    model = OwnMLLM(OwnConfig.model_validate_json((folder / "config.json").read_text()))
    load_model(model, folder / "model.safetensors")
    return OwnBackbone(model)
