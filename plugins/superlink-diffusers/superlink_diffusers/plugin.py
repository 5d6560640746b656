"""What this distribution offers to superlink; imports nothing of diffusers."""

from __future__ import annotations

from collections.abc import Iterable

from superlink.interfaces import DecoderSpec, Requirement
from superlink.registry import hookimpl

__all__ = ["superlink_decoders"]

_REQUIRES = (Requirement("diffusers>=0.42,<0.43", "pip install diffusers==0.42.1"),)


@hookimpl
def superlink_decoders() -> Iterable[DecoderSpec]:
    """Yield the decoders of this plugin."""
    yield DecoderSpec(
        name="diffusers.text_to_image",
        routing_tokens=("[GEN]",),
        num_queries=64,
        factory="superlink_diffusers.decoder:TextToImageDecoder",
        config_class="superlink_diffusers.config:TextToImageConfig",
        needs_image=False,
        requires=_REQUIRES,
        license="Apache-2.0",
    )
    yield DecoderSpec(
        name="diffusers.image_editing",
        routing_tokens=("[EDIT]",),
        num_queries=64,
        factory="superlink_diffusers.editing:ImageEditingDecoder",
        config_class="superlink_diffusers.config:ImageEditingConfig",
        names_image=True,
        requires=_REQUIRES,
        license="Apache-2.0",
    )
