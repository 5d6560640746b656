"""What this distribution offers to superlink; imports nothing of mmdet."""

from __future__ import annotations

from collections.abc import Iterable

from superlink.interfaces import DecoderSpec, Requirement
from superlink.registry import hookimpl

__all__ = ["superlink_decoders"]

_REQUIRES = (
    Requirement("mmengine>=0.10,<0.11", "pip install --no-deps mmengine==0.10.7"),
    Requirement(
        "mmcv>=2.0.1,<2.2 or mmcv-lite>=2.0.1,<2.2", "pip install --no-deps mmcv-lite==2.1.0"
    ),
    Requirement("mmdet>=3.3,<3.4", "pip install --no-deps mmdet==3.3.0"),
)


@hookimpl
def superlink_decoders() -> Iterable[DecoderSpec]:
    """Yield the decoders of this plugin."""
    yield DecoderSpec(
        name="mmdet.grounding_dino",
        routing_tokens=("[DET]", "[SEG]", "[GRD]"),
        num_queries=4,
        factory="superlink_mmdet.decoder:GroundingDinoDecoder",
        config_class="superlink_mmdet.config:GroundingDinoConfig",
        requires=_REQUIRES,
        license="Apache-2.0",
    )
