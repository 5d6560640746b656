"""The families by the names that a config has for them."""

from __future__ import annotations

from collections.abc import Mapping

from .dits import PixArtFamily, SanaFamily, Sd3Family
from .family import Family
from .flux import FluxFamily
from .unets import SdxlFamily, UnetFamily

__all__ = ["FAMILIES"]

FAMILIES: Mapping[str, Family] = {
    "unet": UnetFamily(),
    "sdxl": SdxlFamily(),
    "sd3": Sd3Family(),
    "pixart": PixArtFamily(),
    "sana": SanaFamily(),
    "flux": FluxFamily(),
}
"""One object for each."""
