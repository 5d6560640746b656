"""The devices that torch finds."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

import torch

__all__ = ["Device", "find_devices"]


@dataclass(frozen=True)
class Device:
    """Something that a model can run on."""

    name: str
    """As torch names it: `cpu`, `cuda:0`."""
    description: str
    """What it is."""
    memory_bytes: int | None
    """All of its memory, in use or free; None where nobody tells."""


def find_devices() -> list[Device]:
    """The processor, then every accelerator."""
    devices = [Device("cpu", f"{platform.machine()}, {os.cpu_count()} cores", _main_memory())]
    for index in range(torch.cuda.device_count()):
        found = torch.cuda.get_device_properties(index)
        devices.append(Device(f"cuda:{index}", found.name, found.total_memory))
    if torch.accelerator.is_available() and not torch.cuda.is_available():
        kind = torch.accelerator.current_accelerator()
        devices.append(Device(str(kind), "found by torch.accelerator", None))
    return devices


def _main_memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not on Windows
        return None
