"""The `config.json` of a checkpoint: what the model was built from, never where code lies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor

from ..errors import CheckpointError
from ..link.routing import LinkMode
from ..linked import LinkedModel
from .files import finish_swap, refuse_pickle
from .half import rounded

__all__ = ["CONFIG", "FORMAT_VERSION", "LINKS", "describe", "fingerprint", "read_config"]

FORMAT_VERSION = 1
"""Grows when an older superlink could no longer read what this one writes."""

CONFIG, LINKS = "config.json", "links.safetensors"


class _BackboneRecord(BaseModel):
    name: str
    config: dict[str, Any]
    saved: bool
    adapter: bool = False
    fingerprint: str


class _DecoderRecord(BaseModel):
    name: str
    distribution: str
    version: str
    tokens: list[str]
    num_queries: int
    loss_weight: float
    config: dict[str, Any]
    separate_banks: bool = False
    link: LinkMode = "queries"


class _CheckpointConfig(BaseModel):
    """What a `config.json` must hold to be loaded."""

    backbone: _BackboneRecord
    decoders: list[_DecoderRecord]
    token_ids: dict[str, int]
    max_length: int | None
    regions: dict[str, int] | None = None


def fingerprint(weights: Mapping[str, Tensor]) -> str:
    """A short digest of weights by name, bit by bit."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        flat = tensor.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def read_config(folder: str | Path) -> dict[str, Any]:
    """Read and check the `config.json` of a checkpoint.

    Raises:
        CheckpointError: The folder is no checkpoint, or a newer superlink wrote it.
    """
    folder = Path(folder).resolve()
    if folder.parent.is_dir():
        finish_swap(folder)
    path = folder / CONFIG
    if not path.is_file():
        refuse_pickle(folder)
        raise CheckpointError(
            f"Expected a checkpoint folder with {CONFIG}, {LINKS} and decoders/. Received: "
            f"{folder}, which {'has none' if folder.is_dir() else 'does not exist'}. "
            "`superlink train` and `superlink demo` write such folders."
        )
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = int(config["format_version"])
        if version <= FORMAT_VERSION:
            _CheckpointConfig.model_validate(config)
            return config
    except (ValueError, KeyError, TypeError) as error:  # of json, of unicode, and of pydantic
        raise CheckpointError(
            f"{path} is not the config of a superlink checkpoint: {error}. It may be damaged; copy "
            "the folder again."
        ) from error
    raise CheckpointError(
        f"{folder} has format version {version}; this superlink reads up to {FORMAT_VERSION}. "
        "Upgrade superlink."
    )


def describe(model: LinkedModel, *, half: bool = False) -> dict[str, Any]:
    """The config of a checkpoint; import paths are never part of it.

    With `half` it is that of a checkpoint whose weights are stored in 16 bits.
    """
    weights = model.backbone.base_state_dict()
    origin, digest = model.origin, fingerprint(weights)
    if origin is None:
        raise CheckpointError(
            "A checkpoint names the backbone that `load` shall build. Received: a "
            f"{type(model.backbone).__name__} that was handed in as an object. Offer it in a "
            "plugin's `superlink_backbones` hook, and build the model by that name."
        )
    saved = origin.config.get("source") is None or origin.fingerprint != digest
    if saved and half:
        digest = fingerprint(rounded(weights))
    return {
        "format_version": FORMAT_VERSION,
        "backbone": {
            "name": origin.name,
            "config": dict(origin.config),
            "saved": saved,
            "adapter": False,
            "class": type(getattr(model.backbone, "model", model.backbone)).__name__,
            "dtype": str(next(model.backbone.parameters()).dtype).removeprefix("torch."),
            "fingerprint": digest,
        },
        "decoders": [
            {
                "name": name,
                "distribution": bound.distribution[0],
                "version": bound.distribution[1],
                "tokens": list(bound.tokens),
                "num_queries": bound.num_queries,
                "loss_weight": bound.loss_weight,
                "config": dict(bound.config),
                "separate_banks": bound.separate_banks,
                "link": bound.link,
            }
            for name, bound in model.bound.items()
        ],
        "token_ids": {token: model.vocabulary.ids[token] for token in model.vocabulary.tokens},
        "max_length": model.processor.max_length,
        "regions": model.processor.regions and model.processor.regions.model_dump(),
        "torch": torch.__version__,
    }
