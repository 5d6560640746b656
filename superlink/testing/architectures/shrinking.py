"""Rules that make any configuration tiny: by the names of its fields, not by its family."""

from __future__ import annotations

import copy
import re
from typing import Any

from transformers import PreTrainedTokenizerFast

from .tokens import is_token_field, token_field

__all__ = ["HEADS", "IMAGE_SIZE", "LAYERS", "PATCH_SIZE", "WIDTH", "add_sections", "shrink"]

WIDTH, LAYERS, HEADS, PATCH_SIZE, IMAGE_SIZE = 64, 2, 4, 8, 32

_SET: tuple[tuple[str, float], ...] = (
    # exact values; the first pattern that matches the whole name counts
    (r"hidden_size_per_layer_input", 8),
    (r"patch_embed_hidden_size|patch_dim", 3 * PATCH_SIZE**2),
    (r"(.*_)?intermediate_size|(.*_)?ffn_dim|d_ff|mlp_dim|n_inner|dense_ff_dim", 2 * WIDTH),
    (r"pos_emb_(height|width)", IMAGE_SIZE // PATCH_SIZE),
    (r"(.*_)?(hidden_size|d_model|embed_dim|hidden_dim|n_embd|width|cross_dim)", WIDTH),
    (r"(.*_)?(projection|output|embedding|proj|projector_input)_dim|pooler_output_size", WIDTH),
    (r"adapter_(in|out)_dim|adapter_input_size", WIDTH),
    (r"(.*_)?(kv_lora_rank|q_lora_rank|v_head_dim|lowrank)", 16),
    # heads of latent attention have a part with positions and one without
    (r"qk_head_dim", 2 * WIDTH // HEADS),
    (r"(.*_)?head_dim|d_kv|resampler_dim_head|query_pre_attn_scalar", WIDTH // HEADS),
    (r"(img|image|input|max_img)_size", IMAGE_SIZE),
    (r"patch_size", PATCH_SIZE),
    (r"layer_scale_init(ial)?_(value|scale)", 1.0),
    # so that pixels and words change the output of two layers clearly
    (r"initializer_range|init_std|initializer_factor", 0.1),
)
_AT_MOST: tuple[tuple[str, int], ...] = (
    (r"num_key_value_heads|num_kv_heads|n_kv_heads|(.*_)?num_key_value_heads", HEADS // 2),
    (r"(.*_)?linear_num_key_heads|index_n_heads", 2),
    (r"(.*_)?(num_heads|attention_heads|n_head|n_heads|resampler_heads)", HEADS),
    (r"(.*_)?num_(.*_)?heads", HEADS),
    (r"(.*_)?num_(.*_)?layers|num_layers|(encoder|decoder|text)_layers|(.*_)?depth|layers", LAYERS),
    (r"n_layers?", LAYERS),
    (r"num_experts_per_tok|moe_k|moe_topk", 2),
    (r"(.*_)?num_(local_)?experts|n_routed_experts|moe_num_experts", 4),
    (r"n_group|topk_group|n_shared_experts|moe_num_shared_experts|first_k_dense_replace", 1),
    (
        r"num_query_tokens|num_image_tokens|mm_tokens_per_image|latent_query_num|resampler_n(um)?_latents",
        4,
    ),
    (r"max_position_embeddings|seq_len|position_embedding_size", 1024),
    (r"sliding_window|attention_chunk_size", 12),
    (r"max_source_positions|max_num_patches|num_position_embeddings", 64),
    (r"max_window_layers", LAYERS),
    (r"ssm_state_size|mamba_head_dim", 16),
)
_LAYER_INDEXES = r".*(_indexes|_indices|_idxs|_layer_map|_layer_ids|_layers|_feature_layer)"
_PASSED_ON = ("id2label", "label2id", "quantization_config")


def shrink(config: dict[str, Any], tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """A copy of a configuration with few and narrow layers, and the tokenizer's ids.

    Args:
        config: As `to_dict` of a configuration gives it, with nested ones.
        tokenizer: Whose vocabulary it gets.
    """
    if not all(isinstance(name, str) for name in config):
        return copy.deepcopy(config)  # a table, not the fields of a configuration
    layers = {int(v) for k, v in config.items() if _is_layer_count(k, v)}
    # Differences between single layers are derived from the shrunk lists, or are given up.
    names = [name for name in config if not name.endswith("per_layer_config")]
    small = {name: _field(name, config[name], layers, tokenizer) for name in names}
    if config.get("num_key_value_heads") == config.get("num_attention_heads"):
        # some models cannot share keys among heads
        small |= {k: HEADS for k in ("num_key_value_heads",) if small.get(k)}
    return small


def add_sections(config: dict[str, Any]) -> dict[str, Any]:
    """Share the rotary pairs of a shrunk configuration among time, rows and columns.

    Models that place tokens on three axes have shares for wide heads in their code, which the
    configuration replaces.
    """
    changed = {k: add_sections(v) if isinstance(v, dict) else v for k, v in config.items()}
    rope = changed.get("rope_parameters")
    if isinstance(rope, dict) and "vocab_size" in changed:
        flat = "rope_theta" in rope or "rope_type" in rope
        for one in [rope] if flat else [r for r in rope.values() if isinstance(r, dict)]:
            factor: Any = one.get("partial_rotary_factor", changed.get("partial_rotary_factor"))
            one.setdefault("mrope_section", _sections(3, factor))
    return changed


def _is_layer_count(name: str, value: Any) -> bool:
    return isinstance(value, int) and bool(re.fullmatch(r"num_(hidden_)?layers|depth", name))


def _field(name: str, value: Any, layers: set[int], tokenizer: PreTrainedTokenizerFast) -> Any:
    """The small value of one field; `layers` are the layer counts that lists may go by."""
    if name in _PASSED_ON:
        return copy.deepcopy(value)
    if name in ("rope_parameters", "rope_scaling") and isinstance(value, dict):
        return _rope(value)
    if isinstance(value, dict):
        return shrink(value, tokenizer)
    if is_token_field(name):
        return token_field(name, value, tokenizer)
    if isinstance(value, (list, tuple)):
        return _list(name, list(value), layers)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value:
        return value
    if name in ("vocab_size", "vocab_size_per_layer_input", "unpadded_vocab_size"):
        return len(tokenizer)
    return _number(name, value)


def _number(name: str, value: float) -> float:
    for pattern, small in _SET:
        if re.fullmatch(pattern, name):
            return small
    for pattern, most in _AT_MOST:
        if re.fullmatch(pattern, name):
            return min(value, most)
    if re.fullmatch(r".*_feature_layer", name):
        return max(-LAYERS, min(value, LAYERS - 1))
    return value


def _list(name: str, values: list[Any], layers: set[int]) -> list[Any]:
    """A list with one value a layer gets shorter; each kind of layer shall be in it."""
    if name == "image_grid_pinpoints":
        return [[IMAGE_SIZE, 2 * IMAGE_SIZE], [2 * IMAGE_SIZE, IMAGE_SIZE]]
    if name in ("image_size", "patch_size"):
        return [IMAGE_SIZE if name == "image_size" else PATCH_SIZE] * len(values)
    if len(values) > LAYERS and (len(values) in layers or name.endswith("_types")):
        kinds = [v for i, v in enumerate(values) if v not in values[:i]]
        texts = isinstance(values[0], str) and len(kinds) > 1
        return [_number(name, v) if _plain(v) else v for v in (kinds if texts else values)][:LAYERS]
    if values and all(_plain(v) for v in values) and re.fullmatch(_LAYER_INDEXES, name):
        clipped = [max(-LAYERS, min(int(v), LAYERS - 1)) for v in values]
        return clipped if name.endswith("_feature_layer") else sorted(set(clipped))
    return copy.deepcopy(values)


def _plain(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _rope(value: dict[str, Any]) -> dict[str, Any]:
    """Plain rotary positions, of one kind or for each kind of layer; sections fit the heads."""
    nested = {k: _rope(v) for k, v in value.items() if isinstance(v, dict)}
    small = copy.deepcopy(value) | nested
    if "rope_type" in value or "type" in value:
        kind = value.get("rope_type", value.get("type"))
        small["rope_type"] = kind if kind == "proportional" else "default"
    if "mrope_section" in small:
        factor = value.get("partial_rotary_factor")
        small["mrope_section"] = _sections(len(value["mrope_section"]), factor)
    return small


def _sections(count: int, factor: float | None) -> list[int]:
    """Shares of the rotary pairs of a head; `factor` is the part of it that rotates."""
    pairs = int(WIDTH // HEADS // 2 * (factor or 1.0))
    rest = [pairs // count] * (count - 1)
    return [pairs - sum(rest), *rest]
