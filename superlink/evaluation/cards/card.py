"""Result cards: every number with the command that makes it again."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from ..errors import InputError

__all__ = ["ResultCard", "hardware", "versions"]

_CORE = ("superlink", "torch", "transformers", "accelerate")
_OPENMMLAB = ("mmdet", "mmengine", "mmcv", "mmcv-lite")


def versions() -> dict[str, str]:
    """Versions of what a number may depend on: plugins of superlink and libraries below it."""
    found = {"python": platform.python_version()}
    plugins = {point.dist.name for point in metadata.entry_points(group="superlink") if point.dist}
    for name in (*_CORE, *sorted(plugins), *_OPENMMLAB):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """What the numbers were made on."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
    }


@dataclass(frozen=True)
class ResultCard:
    """The results of one command."""

    name: str
    """What was measured."""
    command: str
    """What rebuilds the card."""
    seed: int
    """Seed of the run."""
    cpu_minutes: float
    """Processor time of training."""
    metrics: Mapping[str, float]
    """`task/metric/routing` to value."""
    notes: tuple[str, ...] = ()
    """What a reader must know to read the numbers right."""
    versions: Mapping[str, str] = field(default_factory=versions)
    """Of everything that the numbers depend on."""
    hardware: Mapping[str, Any] = field(default_factory=hardware)
    """What the numbers were made on."""

    def write(self, folder: Path) -> Path:
        """Write `card.json` and `card.md` into `folder`; returns the path of the former."""
        path = folder / "card.json"
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        (folder / "card.md").write_text(self.to_markdown(), encoding="utf-8")
        return path

    @classmethod
    def read(cls, path: str | Path) -> ResultCard:
        """Read a `card.json`.

        Raises:
            InputError: The file is missing, or is no result card.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            return cls(**{**content, "notes": tuple(content["notes"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is no result card: {error!r}") from error

    def to_markdown(self) -> str:
        """The card as a page."""
        rows = "\n".join(f"| `{key}` | {value:.3f} |" for key, value in self.metrics.items())
        used = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        parts = (
            f"# {self.name}",
            f"`{self.command}`, seed {self.seed}, {self.cpu_minutes:.1f} CPU-minutes of training.",
            f"| metric | value |\n|---|---|\n{rows}",
            "\n".join(f"- {note}" for note in self.notes),
            f"Made with {used}.",
        )
        return "\n\n".join(filter(None, parts)) + "\n"
