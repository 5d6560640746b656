"""The sheet of `superlink data inspect`: what is checked before it, and how it is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..build import build_model, load
from ..errors import ConfigError, InputError
from ..inspection.samples import ShownSample
from ..inspection.sheet import draw_sheet
from ..inspection.streams import model_views
from ..inspection.views import View
from ..model import SuperLinkModel
from ..training import load_recipe

__all__ = ["check_sheet", "load_model", "write_sheet"]

_PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def check_sheet(sheet: Path | None, samples: int, model: Path | None) -> None:
    """Raise before anything is read where a sheet could not be written."""
    if sheet is None and model is not None:
        raise ConfigError("What a model sees is drawn on a sheet: add --sheet OUT.png to --model.")
    if sheet is None:
        return
    if sheet.suffix.lower() not in _PICTURES:
        raise ConfigError(
            f"--sheet writes {', '.join(_PICTURES)}. Received: {sheet.name!r} with the suffix "
            f"{sheet.suffix!r}"
        )
    if not samples:
        raise ConfigError("A sheet shows samples: ask for at least one. Received: --samples 0")


def write_sheet(sheet: Path, shown: Sequence[ShownSample], model: SuperLinkModel | None) -> None:
    """Draw samples, with what `model` sees of them where there is one."""
    rows: list[tuple[str, list[View]]] = []
    for one in shown:
        views = [one.annotated()]
        if model is not None and one.sample is not None:
            views += model_views(model, one.sample)
        rows.append((one.heading, views))
    try:
        sheet.parent.mkdir(parents=True, exist_ok=True)
        draw_sheet(rows).save(sheet)
    except OSError as error:
        raise InputError(f"The sheet {sheet} cannot be written: {error}") from error


def load_model(path: Path) -> SuperLinkModel:
    """A trained model from its folder, or a new one as a recipe describes it."""
    if path.suffix.lower() in (".yaml", ".yml"):
        return build_model(load_recipe(path).model)
    return load(path)
