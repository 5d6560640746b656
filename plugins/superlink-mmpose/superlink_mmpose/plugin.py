"""What this distribution offers to superlink; imports nothing of mmpose."""

from __future__ import annotations

from collections.abc import Iterable

from superlink.interfaces import DecoderSpec, Requirement
from superlink.registry import hookimpl

__all__ = ["superlink_decoders"]

# What mmpose, mmdet, mmengine and mmcv need beside; their own metadata is not followed.
_BESIDE = (
    "addict json-tricks matplotlib munkres opencv-python-headless scipy shapely six termcolor "
    "terminaltables tqdm yapf"
)
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
    Requirement("xtcocotools>=1.14,<1.15", "pip install --no-deps xtcocotools==1.14.3"),
    Requirement("mmpose>=1.3,<1.4", "pip install --no-deps mmpose==1.3.2"),
)


@hookimpl
def superlink_decoders() -> Iterable[DecoderSpec]:
    """Yield the decoders of this plugin."""
    yield DecoderSpec(
        name="mmpose.group_pose",
        routing_tokens=("[POSE]", "[KPT]"),
        follows={"[KPT]": "[POSE]"},
        num_queries=4,
        banks={"[POSE]": "mmpose.group_pose", "[KPT]": "mmpose.group_pose.keypoints"},
        factory="superlink_mmpose.decoder:GroupPoseDecoder",
        config_class="superlink_mmpose.config:GroupPoseConfig",
        requires=_REQUIRES,
        license="Apache-2.0",
    )
    yield DecoderSpec(
        name="mmpose.top_down",
        routing_tokens=("[POSE]", "[KPT]"),
        follows={"[KPT]": "[POSE]"},
        num_queries=4,
        banks={"[POSE]": "mmpose.top_down", "[KPT]": "mmpose.top_down.keypoints"},
        factory="superlink_mmpose.top_down:TopDownDecoder",
        config_class="superlink_mmpose.top_down_config:TopDownConfig",
        requires=_REQUIRES,
        license="Apache-2.0",
    )
