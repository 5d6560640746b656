"""From a spec and a config to a task decoder or a backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from ..errors import MissingDependencyError, PluginError
from ..interfaces import Backbone, BackboneSpec, DecoderSpec, TaskDecoder
from .claims import Claim
from .configs import validate_config
from .objects import load_object
from .requirements import missing_requirements

__all__ = ["build_claim"]


def build_claim(
    claim: Claim[DecoderSpec] | Claim[BackboneSpec], config: Mapping[str, Any] | BaseModel | None
) -> TaskDecoder | Backbone:
    """Check what `claim` requires, validate `config`, and call the factory.

    Raises:
        MissingDependencyError: A distribution that it needs is not installed.
        ConfigError: `config` does not fit.
        PluginError: What the spec names cannot be imported, or is not what it should be.
    """
    _check_requirements(claim)
    config_class = load_object(claim.spec.config_class, str(claim))
    _check_config_class(config_class, claim)
    ready = validate_config(config_class, config, str(claim))
    factory = load_object(claim.spec.factory, str(claim))
    try:
        built = factory(ready)
    except Exception as error:
        error.add_note(f"This came while superlink built the {claim}.")
        raise
    expected = TaskDecoder if isinstance(claim.spec, DecoderSpec) else Backbone
    if not isinstance(built, expected):
        raise PluginError(
            f"The factory of the {claim} must return a {expected.__name__}. "
            f"Received: {type(built).__name__}"
        )
    return built


def _check_requirements(claim: Claim[DecoderSpec] | Claim[BackboneSpec]) -> None:
    missing = missing_requirements(claim.spec.requires)
    if missing:
        lines = "\n".join(
            f"- {requirement.distribution} (found {found}): {requirement.install}"
            for requirement, found in missing
        )
        raise MissingDependencyError(f"The {claim} needs more than is installed. Run:\n{lines}")


def _check_config_class(config_class: Any, claim: Claim[Any]) -> None:
    """A config that ignores unknown keys would swallow every misspelling in a recipe."""
    settings = getattr(config_class, "model_config", {})
    is_model = isinstance(config_class, type) and issubclass(config_class, BaseModel)
    if not (is_model and settings.get("frozen") and settings.get("extra") == "forbid"):
        raise PluginError(
            f"The config class of the {claim} must be a pydantic model with "
            "model_config = ConfigDict(frozen=True, extra='forbid'). "
            f"Received: {config_class!r} with {dict(settings)!r}"
        )
