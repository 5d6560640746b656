"""Grounding DINO as mmdet publishes it, as first weights of `mmdet.grounding_dino`.

Names are mmdet's own: what superlink replaces is left out, and what differs in arithmetic is folded
into the weights.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from superlink.errors import CheckpointError, ConfigError

from .pickles import read_state_dict

__all__ = ["Conversion", "Dropped", "convert"]

Tensors = dict[str, Tensor]

PREFIX = "detector."
"""Where the decoder has its detector."""
PARTS = (
    "backbone",
    "bbox_head",
    "decoder",
    "encoder",
    "level_embed",
    "memory_trans_fc",
    "memory_trans_norm",
    "neck",
    "query_embedding",
)
"""What mmdet's detector and ours have in common."""
REASONS = {
    "language_model": "the LLM takes the place of the text encoder",
    "text_feat_map": "it reads the text encoder; the states of links come in the detector's width",
    "dn_query_generator": "denoising starts from link features in place of an embedding of labels",
    "data_preprocessor": "the decoder's config holds mean and deviation of pixels",
}
"""Why a part is left out."""
_CENTRAL = (
    "level_embed",
    "query_embedding.weight",
    "encoder.fusion_layers.0.attn.v_proj.weight",
    "encoder.text_layers.0.ffn.layers.0.0.weight",
    "encoder.text_layers.0.norms.1.weight",
    "encoder.text_layers.0.self_attn.attn.in_proj_bias",
    "decoder.layers.0.cross_attn_text.attn.in_proj_weight",
    "decoder.layers.0.ffn.layers.0.0.weight",
    "bbox_head.reg_branches.0.0.weight",
)
"""What only a Grounding DINO of mmdet has all of."""


@dataclass(frozen=True)
class Dropped:
    """A group of tensors that were left out."""

    group: str
    """What their names begin with."""
    tensors: int
    """How many."""
    reason: str
    """Why."""


@dataclass(frozen=True)
class Conversion:
    """What was made of a checkpoint."""

    source: str
    """The checkpoint."""
    output: str
    """The file of safetensors."""
    kept: dict[str, int]
    """Tensors that were kept, by part."""
    changed: tuple[str, ...]
    """What was computed anew, in words."""
    dropped: tuple[Dropped, ...]
    """What was left out."""
    config: dict[str, Any]
    """Settings of the decoder that follow from the shapes."""


def convert(checkpoint: Path, output: Path) -> Conversion:
    """Write the weights of a checkpoint of mmdet's Grounding DINO as safetensors.

    Raises:
        ConfigError: `output` does not end in `.safetensors`.
        CheckpointError: The checkpoint cannot be read, or is of another model.
    """
    if output.suffix != ".safetensors":
        raise ConfigError(f"Expected an output that ends in .safetensors. Received: {output}")
    given = read_state_dict(checkpoint)
    if missing := [name for name in _CENTRAL if name not in given]:
        parts = sorted({name.split(".")[0] for name in given})
        raise CheckpointError(
            f"Expected the weights of mmdet's Grounding DINO. Received: {checkpoint}, whose parts "
            f"are {parts}, without {', '.join(missing)}."
        )
    kept = {name: tensor for name, tensor in given.items() if _reason(name) is None}
    changed = (_place_routes(kept), *_scale_logits(kept, given))
    _write(kept, output, checkpoint)
    return Conversion(
        source=str(checkpoint),
        output=str(output),
        kept=dict(sorted(Counter(name.split(".")[0] for name in kept).items())),
        changed=changed,
        dropped=_dropped(given),
        config=_config(given),
    )


def _reason(name: str) -> str | None:
    """Why a tensor is left out; None where it is kept."""
    part = name.split(".")[0]
    if name.endswith(".log_scale"):
        return "a scale of logits; that of the last layer went into the text features"
    return None if part in PARTS else REASONS.get(part, "Grounding DINO has no such part")


def _dropped(given: Tensors) -> tuple[Dropped, ...]:
    """The tensors that are left out, by part and reason."""
    groups = Counter((name.split(".")[0], reason) for name in given if (reason := _reason(name)))
    return tuple(Dropped(part, groups[part, reason], reason) for part, reason in sorted(groups))


def _place_routes(kept: Tensors) -> str:
    """Give every route the position that mmdet gives to the first word of a phrase.

    Text layers add positions to what asks and to what is asked, and ours have none: the product of
    weights and position becomes a part of the bias.
    """
    pattern = re.compile(r"(encoder\.text_layers\.\d+\.self_attn\.attn\.in_proj_)weight")
    layers = [found[1] for name in kept if (found := pattern.fullmatch(name))]
    for layer in layers:
        weight, bias = kept[f"{layer}weight"], kept[f"{layer}bias"]
        width = weight.shape[1]
        first = weight.new_tensor([0.0, 1.0]).repeat(width // 2)  # sines and cosines of 0
        shift = weight[: 2 * width] @ first  # of queries and keys, not of values
        kept[f"{layer}bias"] = bias + torch.cat([shift, shift.new_zeros(width)])
    return f"routes have no positions: that of a first word went into {len(layers)} biases"


def _scale_logits(kept: Tensors, given: Tensors) -> tuple[str, ...]:
    """Make logits ours: a product, divided by the root of the width, and a bias.

    mmdet also has products without either, or with a learned scale for each layer. Another scale
    goes into the last norm of the text features, and out of the attention that reads them. So the
    last layer gives the same logits; those of the others differ in scale, where theirs did.
    """
    heads = sorted({name.split(".")[2] for name in given if "bbox_head.reg_branches" in name})
    biases = [f"bbox_head.cls_branches.{head}.bias" for head in heads]
    last_layer = len(heads) - 2  # the last head is that of the encoder
    log_scale = given.get(f"bbox_head.cls_branches.{last_layer}.log_scale")
    has_bias = biases[0] in given
    if has_bias and log_scale is None:
        return ()
    factor = math.sqrt(given["level_embed"].shape[1])
    factor *= 1.0 if log_scale is None else float(log_scale.exp())
    last = f"encoder.text_layers.{_count(given, 'encoder.text_layers') - 1}.norms.1"
    for name in (f"{last}.weight", f"{last}.bias"):
        kept[name] = kept[name] * factor
    reads = r"decoder\.layers\.\d+\.cross_attn_text\.attn\.in_proj_weight"
    for name in [name for name in kept if re.fullmatch(reads, name)]:
        query, key, value = kept[name].chunk(3)
        kept[name] = torch.cat([query, key / factor, value / factor])
    if not has_bias:
        kept.update({name: torch.zeros(1) for name in biases})
    return (
        f"logits had {'no' if log_scale is None else 'a learned'} scale: text features are now "
        f"{factor:.4g} times as large, and what reads them so much smaller",
        *(() if has_bias else (f"logits had no bias: {len(biases)} zeros",)),
    )


def _count(given: Tensors, group: str) -> int:
    """The number of layers of a group."""
    indices = re.compile(rf"{re.escape(group)}\.(\d+)\.")
    return len({found[1] for name in given if (found := indices.match(name))})


def _config(given: Tensors) -> dict[str, Any]:
    """The settings that shapes tell, and the published numbers of heads, which they do not."""
    necks = [f"neck.convs.{i}.conv.weight" for i in range(_count(given, "neck.convs"))]
    return {
        "embed_dims": given["level_embed"].shape[1],
        "encoder_layers": _count(given, "encoder.layers"),
        "decoder_layers": _count(given, "decoder.layers"),
        "num_object_queries": given["query_embedding.weight"].shape[0],
        "num_levels": given["level_embed"].shape[0],
        "feedforward_dims": given["decoder.layers.0.ffn.layers.0.0.weight"].shape[0],
        "fusion_dims": given["encoder.fusion_layers.0.attn.v_proj.weight"].shape[0],
        "fusion_heads": 4,
        "text_heads": 4,
        "text_feedforward_dims": given["encoder.text_layers.0.ffn.layers.0.0.weight"].shape[0],
        "in_channels": [given[name].shape[1] for name in necks],
    }


def _write(kept: Tensors, output: Path, checkpoint: Path) -> None:
    """Write all of a file or nothing."""
    tensors = {PREFIX + name: tensor.detach().clone().contiguous() for name, tensor in kept.items()}
    metadata = {"format": "pt", "decoder": "mmdet.grounding_dino", "source": checkpoint.name}
    fresh = output.with_name(f".{output.name}.new")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, fresh, metadata)
        fresh.replace(output)
    except OSError as error:
        raise ConfigError(f"Expected a place to write to. Received: {output} ({error})") from error
    finally:
        fresh.unlink(missing_ok=True)
