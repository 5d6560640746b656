"""What authors of plugins test with: conformance checks, tiny models, and fake installed plugins.

Names are imported when they are first used: some need pytest, or the models of transformers.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .backbone_case import BackboneCase
    from .backbone_checks import BACKBONE_CHECKS, backbone_checks, check_backbone
    from .backbones import Script, tiny_backbone
    from .checks import Check, CheckResult, NotApplicable
    from .decoder_case import DecoderCase
    from .decoder_checks import DECODER_CHECKS, check_decoder, decoder_checks
    from .matrix import tiny_architecture
    from .models import TOY_SPOT, toy_model, toy_registry
    from .plugins import installed_plugin
    from .pytest_checks import parametrize_with_backbone_checks, parametrize_with_decoder_checks
    from .toy_decoder import TOY_BOX, ToyBoxConfig, ToyBoxDecoder

__all__ = [
    "BACKBONE_CHECKS",
    "DECODER_CHECKS",
    "TOY_BOX",
    "TOY_SPOT",
    "BackboneCase",
    "Check",
    "CheckResult",
    "DecoderCase",
    "NotApplicable",
    "Script",
    "ToyBoxConfig",
    "ToyBoxDecoder",
    "backbone_checks",
    "check_backbone",
    "check_decoder",
    "decoder_checks",
    "installed_plugin",
    "parametrize_with_backbone_checks",
    "parametrize_with_decoder_checks",
    "tiny_architecture",
    "tiny_backbone",
    "toy_model",
    "toy_registry",
]

_MODULES = {
    "backbone_case": ("BackboneCase",),
    "backbone_checks": ("BACKBONE_CHECKS", "backbone_checks", "check_backbone"),
    "backbones": ("Script", "tiny_backbone"),
    "checks": ("Check", "CheckResult", "NotApplicable"),
    "decoder_case": ("DecoderCase",),
    "decoder_checks": ("DECODER_CHECKS", "check_decoder", "decoder_checks"),
    "matrix": ("tiny_architecture",),
    "models": ("TOY_SPOT", "toy_model", "toy_registry"),
    "plugins": ("installed_plugin",),
    "pytest_checks": ("parametrize_with_backbone_checks", "parametrize_with_decoder_checks"),
    "toy_decoder": ("TOY_BOX", "ToyBoxConfig", "ToyBoxDecoder"),
}
__getattr__, __dir__ = lazy_names(__name__, _MODULES)


class _Testing(ModuleType):
    """This package. Two functions are called as their modules are, and whoever imports such a
    module must not put it in the place of the function."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Testing
