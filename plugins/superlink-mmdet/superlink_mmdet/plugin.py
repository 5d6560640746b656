"""What this distribution offers to superlink; imports nothing of mmdet."""

from __future__ import annotations

from collections.abc import Iterable

from superlink.interfaces import DecoderSpec, Requirement
from superlink.registry import hookimpl

__all__ = ["REQUIRES", "superlink_decoders"]

_FAMILIES = {"grounding_dino": "GroundingDino", "deformable_detr": "DeformableDetr"}
# What mmdet, mmengine and mmcv need beside; their own metadata is not followed.
_BESIDE = "addict matplotlib opencv-python-headless shapely six termcolor terminaltables tqdm yapf"
REQUIRES = (
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
"""What mmdet needs at run time."""


@hookimpl
def superlink_decoders() -> Iterable[DecoderSpec]:
    """Yield the decoders of this plugin."""
    for name, family in _FAMILIES.items():
        yield DecoderSpec(
            name=f"mmdet.{name}",
            routing_tokens=("[DET]", "[SEG]", "[GRD]"),
            num_queries=4,
            factory=f"superlink_mmdet.decoder:{family}Decoder",
            config_class=f"superlink_mmdet.config:{family}Config",
            requires=REQUIRES,
            license="Apache-2.0",
        )
