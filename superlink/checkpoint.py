"""Save and load a linked model: JSON and safetensors, only what was trained, all or nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from safetensors import SafetensorError
from safetensors.torch import load_file, load_model, save_file, save_model
from torch import Tensor, nn

from .errors import CheckpointError
from .linked import LinkedModel

__all__ = [
    "FORMAT_VERSION",
    "UNREADABLE",
    "fingerprint",
    "load_weights",
    "read_config",
    "read_tensors",
    "save",
    "write_folder",
    "write_tensors",
]

FORMAT_VERSION = 1
"""Grows when an older superlink could no longer read what this one writes."""

UNREADABLE = (OSError, ValueError, SafetensorError)
"""What reading a damaged folder raises."""

_CONFIG, _LINKS, _WEIGHTS = "config.json", "links.safetensors", "model.safetensors"
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


class _BackboneRecord(BaseModel):
    name: str
    config: dict[str, Any]
    saved: bool
    adapter: bool
    fingerprint: str


class _DecoderRecord(BaseModel):
    name: str
    distribution: str
    version: str
    tokens: list[str]
    num_queries: int
    loss_weight: float
    config: dict[str, Any]


class _CheckpointConfig(BaseModel):
    """What a `config.json` must hold to be loaded."""

    backbone: _BackboneRecord
    decoders: list[_DecoderRecord]
    token_ids: dict[str, int]
    max_length: int | None


def fingerprint(weights: Mapping[str, Tensor]) -> str:
    """A short digest of weights by name, bit by bit."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        flat = tensor.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def save(model: LinkedModel, folder: str | Path) -> Path:
    """Write a checkpoint folder.

    The backbone is written only where it was trained, or comes from nowhere else. The folder is
    replaced as a whole: a save that is killed leaves the old one as it was.

    Raises:
        CheckpointError: The folder holds something else, or nobody could load the backbone again.
    """
    folder = Path(folder).resolve()
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _CONFIG).is_file():
        raise CheckpointError(
            f"A save replaces a folder as a whole, and {folder} holds other files than a "
            "checkpoint's. Choose a new or an empty folder."
        )
    config = _describe(model)
    with write_folder(folder) as target:
        if config["backbone"]["saved"]:
            (target / "backbone").mkdir()
            model.backbone.save(target / "backbone")
        (target / "adapter").mkdir()
        config["backbone"]["adapter"] = model.backbone.save_adapter(target / "adapter")
        if not config["backbone"]["adapter"]:
            (target / "adapter").rmdir()
        links = {f"queries.{k}": v for k, v in model.queries.state_dict().items()}
        links |= {f"connectors.{k}": v for k, v in model.connectors.state_dict().items()}
        write_tensors(links, target / _LINKS)
        for name, bound in model.bound.items():
            (target / "decoders" / name).mkdir(parents=True)
            save_model(bound.decoder, str(target / "decoders" / name / _WEIGHTS))
        (target / "README.md").write_text(_card(config), encoding="utf-8")
        (target / _CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return folder


@contextmanager
def write_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write into; it takes the place of `folder` when all went well."""
    folder = folder.resolve()
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"Expected a folder to write to. Received: the file {folder}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh, old = (folder.with_name(f".{folder.name}.{which}") for which in ("new", "old"))
    shutil.rmtree(fresh, ignore_errors=True)  # of a save that was killed
    fresh.mkdir()
    try:
        yield fresh
        _restore(folder)
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _restore(folder: Path) -> None:
    """Undo a swap of folders that was killed between its two steps."""
    old = folder.with_name(f".{folder.name}.old")
    if old.exists() and not folder.exists():
        old.rename(folder)
    elif old.exists():
        shutil.rmtree(old)


def read_config(folder: str | Path) -> dict[str, Any]:
    """Read and check the `config.json` of a checkpoint.

    Raises:
        CheckpointError: The folder is no checkpoint, or a newer superlink wrote it.
    """
    folder = Path(folder).resolve()
    if folder.parent.is_dir():
        _restore(folder)
    path = folder / _CONFIG
    if not path.is_file():
        _refuse_pickle(folder)
        raise CheckpointError(
            f"Expected a checkpoint folder with {_CONFIG}, {_LINKS} and decoders/. Received: "
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


def load_weights(model: LinkedModel, folder: str | Path) -> None:
    """Load links and decoders into a model that was built from the same config."""
    folder = Path(folder)
    links = read_tensors(folder / _LINKS)
    for part in ("queries", "connectors"):
        own = {k.removeprefix(f"{part}."): v for k, v in links.items() if k.startswith(part)}
        module = getattr(model, part)
        try:
            module.load_state_dict(own)
        except RuntimeError as error:
            raise CheckpointError(f"{folder / _LINKS} does not fit the model: {error}") from error
    for name, bound in model.bound.items():
        path = folder / "decoders" / name / _WEIGHTS

        def load(path: Path, decoder: nn.Module = bound.decoder) -> Any:
            return load_model(decoder, str(path))

        try:
            _checked(path, load)
        except RuntimeError as error:
            raise CheckpointError(
                f"{path} does not fit the decoder {name!r}. It was written by "
                f"{bound.distribution[0] or 'an unknown distribution'}; install the version that "
                f"{folder / _CONFIG} names. {error}"
            ) from error


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors by name, as safetensors."""
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read what `write_tensors` wrote; `CheckpointError` where it is something else."""
    tensors: dict[str, Tensor] = _checked(path, load_file)
    return tensors


def _checked(path: Path, load: Any) -> Any:
    if not path.is_file():
        _refuse_pickle(path.parent)
        raise CheckpointError(f"Expected the file {path}. It is missing: copy the whole folder.")
    try:
        return load(path)
    except SafetensorError as error:
        raise CheckpointError(
            f"Expected safetensors in {path}. Received something else ({error}). superlink reads "
            "no pickles, since they can run code."
        ) from error


def _refuse_pickle(folder: Path) -> None:
    pickles = [p.name for p in folder.glob("*") if p.suffix in _PICKLES] if folder.is_dir() else []
    if pickles:
        raise CheckpointError(
            f"Expected safetensors in {folder}. Received: {', '.join(sorted(pickles))}. superlink "
            "reads no pickles, since they can run code. Convert with safetensors.torch.save_file."
        )


def _describe(model: LinkedModel) -> dict[str, Any]:
    """The config of a checkpoint; import paths are never part of it."""
    origin, digest = model.origin, fingerprint(model.backbone.base_state_dict())
    if origin is None:
        raise CheckpointError(
            "A checkpoint names the backbone that `load` shall build. Received: a "
            f"{type(model.backbone).__name__} that was handed in as an object. Offer it in a "
            "plugin's `superlink_backbones` hook, and build the model by that name."
        )
    saved = origin.config.get("source") is None or origin.fingerprint != digest
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
            }
            for name, bound in model.bound.items()
        ],
        "token_ids": {token: model.vocabulary.ids[token] for token in model.vocabulary.tokens},
        "max_length": model.processor.max_length,
        "torch": torch.__version__,
    }


def _card(config: dict[str, Any]) -> str:
    rows = "\n".join(
        f"| {d['name']} | {' '.join(d['tokens'])} | {d['num_queries']} | {d['distribution']} "
        f"{d['version']} |"
        for d in config["decoders"]
    )
    return (
        "---\nlibrary_name: superlink\n---\n\n# A linked model\n\n"
        f"Backbone: {config['backbone']['class']} ({config['backbone']['name']}), "
        f"{config['backbone']['dtype']}.\n\n"
        "| decoder | routing tokens | queries | distribution |\n|---|---|---|---|\n"
        f"{rows}\n\n"
        "```python\nimport superlink\n\nmodel = superlink.load('path/of/this/folder')\n"
        "reply = model.predict('Find: apple', image='photo.jpg')\n```\n"
    )
