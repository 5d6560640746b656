"""What this distribution offers to superlink; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable

from superlink import DecoderSpec, hookimpl
from superlink.interfaces import Requirement

__all__ = ["superlink_decoders"]


@hookimpl
def superlink_decoders() -> Iterable[DecoderSpec]:
    """Yield the decoder of this plugin."""
    yield DecoderSpec(
        name="sam.masks",
        routing_tokens=("[SEG]",),
        num_queries=4,
        factory="superlink_sam.decoder:SamMaskDecoder",
        config_class="superlink_sam.config:SamMaskConfig",
        descriptions={"[SEG]": "segment the object"},
        requires=(Requirement("transformers>=5.23,<6", "pip install 'transformers>=5.23,<6'"),),
        license="Apache-2.0",
    )
