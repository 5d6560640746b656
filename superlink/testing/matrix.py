"""Every image-text-to-text architecture of transformers against every check of a backbone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from ..backbones.loading import TransformersConfig, build_backbone, wrap
from ..backbones.transformers import TransformersBackbone
from .architectures import refused, tiny_model, tiny_processor, tiny_tokenizer
from .architectures.families import family_of
from .backbone_case import BackboneCase
from .backbone_checks import backbone_checks
from .checks import CheckResult

__all__ = ["architecture_case", "tiny_architecture", "verify_architecture"]


def tiny_architecture(architecture: str, *, seed: int = 0) -> TransformersBackbone:
    """A random model of an architecture with a processor for it, as a backbone.

    Args:
        architecture: One of `superlink.testing.architectures.ARCHITECTURES`.
        seed: Of the weights.

    Raises:
        ConfigError: There is no such architecture, or it cannot be built.
        BackboneError: It cannot carry a link.
    """
    tokenizer = tiny_tokenizer()
    model = tiny_model(architecture, tokenizer, seed=seed)
    return wrap(model, tiny_processor(architecture, model, tokenizer)).eval()


def architecture_case(architecture: str) -> BackboneCase:
    """What `backbone_checks` wants, of a tiny model."""

    def reload(folder: Path) -> TransformersBackbone:
        return build_backbone(TransformersConfig(source=str(folder), dtype="float32"))

    return BackboneCase(lambda: tiny_architecture(architecture), reload, f"tiny:{architecture}")


def verify_architecture(
    architecture: str, *, on_result: Callable[[CheckResult], None] = lambda result: None
) -> dict[str, Any]:
    """One row of the matrix in plain JSON types.

    Returns:
        `architecture`, `class`, `refused` (a reason or None), and `checks`: name to status and
        detail. A check that the architecture is known to fail is `expected`, and its detail says
        why.
    """
    reason = refused(architecture)
    name = MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES[architecture]
    row: dict[str, Any] = {"architecture": architecture, "class": name, "refused": reason}
    row["checks"] = {}
    if reason is None:
        known = family_of(architecture).known
        case = architecture_case(architecture)
        results = backbone_checks(case, expected_failed_checks=known, on_result=on_result)
        row["checks"] = {r.name: {"status": r.status, "detail": r.detail} for r in results}
    return row
