"""Save and load a linked model: only what was trained, all or nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_model, save_model
from torch import nn

from ..errors import CheckpointError
from ..interfaces import TaskDecoder
from ..linked import LinkedModel
from ..linked.bound import kept_names
from .config import CONFIG, LINKS, describe
from .files import checked, read_tensors, write_folder, write_tensors
from .half import halve_files

__all__ = ["load_weights", "save"]

_WEIGHTS = "model.safetensors"


def save(model: LinkedModel, folder: str | Path, *, half: bool = False) -> Path:
    """Write a checkpoint folder.

    The backbone is written only where it was trained, or comes from nowhere else. The folder is
    replaced as a whole: a save that is killed leaves the old one as it was.

    Args:
        model: What to save.
        folder: Where to.
        half: Whether float32 matrices are stored in 16 bits. They are float32 again once they are
            loaded, and have lost some digits.

    Raises:
        CheckpointError: The folder holds something else, nobody could load the backbone again, or
            a weight is too large for 16 bits.
    """
    folder = Path(folder).resolve()
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CONFIG).is_file():
        raise CheckpointError(
            f"A save replaces a folder as a whole, and {folder} holds other files than a "
            "checkpoint's. Choose a new or an empty folder."
        )
    config = describe(model, half=half)
    with write_folder(folder) as target:
        if config["backbone"]["saved"]:
            (target / "backbone").mkdir()
            model.backbone.save(target / "backbone")
        (target / "adapter").mkdir()
        config["backbone"]["adapter"] = model.backbone.save_adapter(target / "adapter")
        if not config["backbone"]["adapter"]:
            (target / "adapter").rmdir()
        parts = _link_parts(model).items()
        links = {f"{part}.{k}": v for part, module in parts for k, v in module.state_dict().items()}
        write_tensors(links, target / LINKS)
        for name, bound in model.bound.items():
            (target / "decoders" / name).mkdir(parents=True)
            _save_decoder(bound.decoder, target / "decoders" / name / _WEIGHTS)
        if half:
            halve_files(target)
        (target / "README.md").write_text(_card(config), encoding="utf-8")
        (target / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return folder


def load_weights(model: LinkedModel, folder: str | Path) -> None:
    """Load links and decoders into a model that was built from the same config."""
    folder = Path(folder)
    links = read_tensors(folder / LINKS)
    for part, module in _link_parts(model).items():
        own = {k.removeprefix(f"{part}."): v for k, v in links.items() if k.startswith(part)}
        try:
            module.load_state_dict(own)
        except RuntimeError as error:
            raise CheckpointError(f"{folder / LINKS} does not fit the model: {error}") from error
    for name, bound in model.bound.items():
        path = folder / "decoders" / name / _WEIGHTS

        def load(path: Path, decoder: TaskDecoder = bound.decoder) -> Any:
            missing, unexpected = load_model(decoder, str(path), strict=False)
            if lost := sorted({*kept_names(decoder, missing), *unexpected}):
                raise RuntimeError(f"Missing or without a place: {', '.join(lost[:5])}")

        try:
            checked(path, load)
        except RuntimeError as error:
            raise CheckpointError(
                f"{path} does not fit the decoder {name!r}. It was written by "
                f"{bound.distribution[0] or 'an unknown distribution'}; install the version that "
                f"{folder / CONFIG} names. {error}"
            ) from error


def _save_decoder(decoder: TaskDecoder, path: Path) -> None:
    """Write what of a decoder belongs into a checkpoint."""
    if decoder.kept_elsewhere():
        state = decoder.state_dict()
        write_tensors({name: state[name] for name in kept_names(decoder, state)}, path)
    else:
        save_model(decoder, str(path))  # which knows weights that have two names


def _link_parts(model: LinkedModel) -> dict[str, nn.Module]:
    """What of a model is neither of the backbone nor of a decoder."""
    parts = {"queries": model.queries, "connectors": model.connectors, "regions": model.regions}
    return {name: module for name, module in parts.items() if module is not None}


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
        '```python\nimport superlink\n\nmodel = superlink.load("path/of/this/folder")\n'
        'reply = model.predict("Find: apple", image="photo.jpg")\n```\n'
    )
