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

__all__ = ["ResultCard", "hardware", "versions"]

_DISTRIBUTIONS = ("superlink", "superlink-mmdet", "torch", "transformers", "mmdet", "mmengine")


def versions() -> dict[str, str]:
    """Versions of what a number depends on, where it is installed."""
    found = {"python": platform.python_version()}
    for name in (*_DISTRIBUTIONS, "mmcv", "mmcv-lite"):
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

    def to_markdown(self) -> str:
        """The card as a page."""
        rows = "\n".join(f"| `{key}` | {value:.3f} |" for key, value in self.metrics.items())
        notes = "\n".join(f"- {note}" for note in self.notes)
        used = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return (
            f"# {self.name}\n\n`{self.command}`, seed {self.seed}, "
            f"{self.cpu_minutes:.1f} CPU-minutes of training.\n\n"
            f"| metric | value |\n|---|---|\n{rows}\n\n{notes}\n\nMade with {used}.\n"
        )
