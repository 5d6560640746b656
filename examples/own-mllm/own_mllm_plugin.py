"""What this distribution offers; superlink reads it without importing torch."""

from __future__ import annotations

from collections.abc import Iterator

from superlink.interfaces import BackboneSpec
from superlink.registry import hookimpl


@hookimpl
def superlink_backbones() -> Iterator[BackboneSpec]:
    """Offer the model by name, so that recipes can ask for it and checkpoints load."""
    yield BackboneSpec(
        name="own_mllm",
        factory="own_mllm:build_own_mllm",
        config_class="own_mllm:OwnConfig",
    )
