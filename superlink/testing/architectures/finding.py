"""Finds the format that a model wants its images in, from its configuration and its forward."""

from __future__ import annotations

import inspect
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from .families import Family
from .format import PixelFormat
from .sides import SIDES

__all__ = ["find_format"]


def find_format(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, family: Family
) -> PixelFormat:
    """The format as far as a configuration and the arguments of the forward tell it."""
    arguments = set(inspect.signature(model.forward).parameters)
    fields = _sizes(model.config) | _brackets(model.config, tokenizer)
    fields["layout"] = family.pixels or _layout(model, arguments)
    fields |= {"pad_id": tokenizer.pad_token_id, "end_id": tokenizer.eos_token_id}
    fields["side"] = tuple(sorted(arguments & SIDES.keys()))
    types = sorted(name for name in arguments if name.endswith("token_type_ids"))
    fields["types"] = dict.fromkeys(types, (1, 0))
    return PixelFormat(**(fields | family.format))


def _layout(model: PreTrainedModel, arguments: set[str]) -> str:
    """The layout that uses the most particular argument of the forward."""
    encoder = getattr(model, "get_image_features", None)
    visual = set(inspect.signature(encoder).parameters) if encoder is not None else arguments
    if "image_sizes" in visual:
        tiled = getattr(model.config, "image_grid_pinpoints", None)
        return "tiles" if tiled else "sized"
    choices = {
        "aspect_ratio_ids": "aspects",
        "image_grid_thw": "grid",
        "flattened_patches": "flattened",
        "image_position_ids": "positions",
        "spatial_shapes": "shapes",
        "pixel_attention_mask": "rows",
        "pixel_values": "images",
    }
    return next((name for key, name in choices.items() if key in arguments), "nothing")


def _sizes(config: Any) -> dict[str, Any]:
    """Sizes from the configuration of the image encoder, where it has them."""
    names = ("vision_config", "encoder", "vit_config", "vlm_config", "vq_config")
    vision = next((c for n in names if (c := getattr(config, n, None)) is not None), config)
    places = (vision, getattr(vision, "vision_config", None), config)
    found: dict[str, Any] = {}
    for field, attributes in {
        "height": ("image_size", "img_size", "input_size", "resolution"),
        "width": ("image_size", "img_size", "input_size", "resolution"),
        "patch_size": ("patch_size",),
        "merge_size": ("spatial_merge_size", "merge_size", "merge_kernel_size"),
        "temporal_patch_size": ("temporal_patch_size", "patch_temporal"),
        "num_tiles": ("max_num_tiles",),
    }.items():
        values = (getattr(place, name, None) for place in places for name in attributes)
        value = next((v for v in values if v), None)
        if isinstance(value, (list, tuple)):
            value = value[-1 if field == "width" else 0]
        if isinstance(value, int):
            found[field] = value
    return found


def _brackets(config: Any, tokenizer: PreTrainedTokenizerFast) -> dict[str, str]:
    """Tokens around an image, where the configuration has a pair of them."""
    for start, end in (
        ("vision_start", "vision_end"),
        ("image_start", "image_end"),
        ("boi", "eoi"),
    ):
        ids = [
            next((v for s in ("_id", "_index") if (v := getattr(config, f"{n}_token{s}", None))), 0)
            for n in (start, end)
        ]
        if all(ids):
            tokens = list(tokenizer.convert_ids_to_tokens(ids))
            return {"before": tokens[0], "after": tokens[1]}
    return {}
