"""What numbers were made with: versions of libraries, and hardware."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import Any

import torch

__all__ = ["hardware", "versions"]

_CORE = ("superlink", "torch", "transformers", "accelerate")
_OPENMMLAB = ("mmdet", "mmengine", "mmcv", "mmcv-lite")
_METRICS = ("pycocotools", "pysodmetrics")


def versions() -> dict[str, str]:
    """Versions of what a number may depend on: plugins of superlink and libraries below it."""
    found = {"python": platform.python_version()}
    plugins = {point.dist.name for point in metadata.entry_points(group="superlink") if point.dist}
    for name in (*_CORE, *sorted(plugins), *_OPENMMLAB, *_METRICS):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """The machine of this process, without its name."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
    }
