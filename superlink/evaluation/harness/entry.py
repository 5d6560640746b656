"""How lmms-eval finds the models of superlink, and what it opens by their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...build import load
from ...checkpoint.config import LINKS
from ...errors import ConfigError
from ...interfaces import Backbone
from ...registry import default_registry
from ..answering import Answering
from .bare import BareModel

__all__ = ["lmms_models", "open_model"]


def lmms_models() -> Any:
    """What the entry point `lmms_eval.models` gives: the model `superlink`."""
    from lmms_eval.models.registry_v2 import ModelManifest  # lmms-eval itself calls this

    return ModelManifest("superlink", chat_class_path=f"{__package__}.lmms.HarnessModel")


def open_model(
    source: str | Path, *, device: str = "cpu", backbone: str = "transformers", **config: Any
) -> Answering:
    """Open a linked model, or a multimodal LLM as it is before linking.

    Args:
        source: A checkpoint folder of superlink; or what `backbone` is loaded from, for
            `transformers` the Hub id or folder of an image-text-to-text model, which becomes a
            `BareModel`.
        device: Where to run, as torch names it.
        backbone: Name of the backbone; `superlink plugins` lists them.
        config: Its other settings, as `dtype` and `revision`.

    Raises:
        ConfigError: A linked model, which brings its settings, is given others.
    """
    if not (Path(source) / LINKS).is_file():
        given = {"source": str(source), **config}
        built: Backbone = default_registry().build("backbone", backbone, given)
        return BareModel(built.to(device))
    if config:
        raise ConfigError(
            f"A linked model knows how its backbone is loaded. Received: {sorted(config)} for "
            f"{str(source)!r}. Leave them out."
        )
    return load(source, device=device)
