"""Models of transformers by Hub id or folder."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from ..errors import BackboneError, MissingDependencyError
from .encoder_decoder import EncoderDecoderBackbone
from .transformers import TransformersBackbone

__all__ = ["TransformersConfig", "build_backbone", "wrap"]


class TransformersConfig(BaseModel):
    """Where a model of transformers comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    """Hub id, or a folder with a saved model and processor."""
    revision: str | None = None
    """Commit or tag on the Hub."""
    dtype: Literal["float32", "bfloat16", "float16", "auto"] = "auto"
    """Precision of the weights; the queries of a link stay in float32."""
    attn_implementation: str | None = Field(default=None, description="sdpa, eager, ...")
    """Attention kernel; None takes the library's choice."""
    max_tiles: int = Field(default=1, ge=1, le=64)
    """Tiles that a large image is cut into at most, beside a small one of the whole, where the
    model's processor makes a square of any image; 1 cuts none."""
    region_levels: int = Field(default=1, ge=1, le=8)
    """How many hidden states of the image encoder a region reads, evenly apart up to the one that
    the LLM gets; 3 as in VisionLLM v2. Of CLIP and SigLIP; 1 reads what the LLM gets."""
    quantization: dict[str, Any] | None = None
    """The `quantization_config` of transformers as a mapping, for instance
    `{"quant_method": "bitsandbytes", "load_in_4bit": True}`."""


def build_backbone(config: TransformersConfig) -> TransformersBackbone:
    """Load a model and its processor; on the meta device a model without weights, for which none
    are read or fetched.

    Raises:
        BackboneError: There is none at `config.source`, or not as safetensors.
        MissingDependencyError: The library that quantizes is not installed.
    """
    options: dict[str, Any] = {"revision": config.revision}
    try:
        processor = AutoProcessor.from_pretrained(config.source, **options)
        if config.attn_implementation is not None:
            options["attn_implementation"] = config.attn_implementation
        if config.quantization is not None:
            options["quantization_config"] = dict(config.quantization)
        if bare := torch.get_default_device().type == "meta" and config.quantization is None:
            model = _without_weights(config)
        else:
            model = AutoModelForImageTextToText.from_pretrained(
                config.source, dtype=config.dtype, use_safetensors=True, **options
            )
    except ImportError as error:
        raise MissingDependencyError(
            f"{config.source} needs a package that is not installed here. Install what this names: "
            f"{error}"
        ) from error
    except (OSError, ValueError, SafetensorError) as error:
        raise BackboneError(
            "Expected the Hub id or the folder of an image-text-to-text model with safetensors and "
            f"its processor. Received: source={config.source!r}. {error}"
        ) from error
    # What a processor makes of an image that is tried has values on any device but meta.
    with torch.device("cpu") if bare else nullcontext():
        return wrap(
            model, processor, max_tiles=config.max_tiles, region_levels=config.region_levels
        )


def _without_weights(config: TransformersConfig) -> Any:
    found = AutoConfig.from_pretrained(config.source, revision=config.revision)
    if config.attn_implementation is not None:
        found._attn_implementation = config.attn_implementation
    dtype = (found.dtype or torch.float32) if config.dtype == "auto" else config.dtype
    return AutoModelForImageTextToText.from_config(found, dtype=dtype)


def wrap(
    model: Any, processor: Any, *, max_tiles: int = 1, region_levels: int = 1
) -> TransformersBackbone:
    """The adapter that suits a loaded model."""
    encodes = getattr(getattr(model, "config", None), "is_encoder_decoder", False)
    adapter = EncoderDecoderBackbone if encodes else TransformersBackbone
    return adapter(model, processor, max_tiles=max_tiles, region_levels=region_levels)
