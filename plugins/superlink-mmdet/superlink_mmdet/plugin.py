"""What this distribution offers to superlink; imports nothing of mmdet."""

from __future__ import annotations

from collections.abc import Iterable

from superlink.interfaces import DecoderSpec, Requirement
from superlink.registry import hookimpl

__all__ = ["superlink_decoders"]

# What mmdet, mmengine and mmcv need beside; their own metadata is not followed.
_BESIDE = "addict matplotlib opencv-python-headless shapely six termcolor terminaltables tqdm yapf"
_REQUIRES = (
    *(
        Requirement(name, f"pip install {_BESIDE}")
        for name in _BESIDE.split()
        if name[:6] != "opencv"
    ),
    Requirement(
        "opencv-python-headless or opencv-python or opencv-contrib-python", f"pip install {_BESIDE}"
    ),
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
