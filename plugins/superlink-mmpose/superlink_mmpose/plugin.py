"""What this distribution offers to superlink; imports nothing of mmpose."""

from __future__ import annotations

from collections.abc import Iterable

from superlink.interfaces import DecoderSpec, Requirement
from superlink.registry import hookimpl
from superlink_mmdet.plugin import REQUIRES

__all__ = ["superlink_decoders"]

_FAMILIES = {"group_pose": "decoder:GroupPose", "top_down": "top_down:TopDown"}
_CONFIGS = {"group_pose": "config:GroupPose", "top_down": "top_down_config:TopDown"}
# What mmpose needs beside mmdet and what that needs; its own metadata is not followed.
_REQUIRES = (
    *REQUIRES,
    *(Requirement(name, "pip install json-tricks munkres") for name in ("json-tricks", "munkres")),
    Requirement("xtcocotools>=1.14,<1.15", "pip install --no-deps xtcocotools==1.14.3"),
    Requirement("mmpose>=1.3,<1.4", "pip install --no-deps mmpose==1.3.2"),
)


@hookimpl
def superlink_decoders() -> Iterable[DecoderSpec]:
    """Yield the decoders of this plugin."""
    for name, family in _FAMILIES.items():
        yield DecoderSpec(
            name=f"mmpose.{name}",
            routing_tokens=("[POSE]", "[KPT]"),
            follows={"[KPT]": "[POSE]"},
            num_queries=4,
            banks={"[KPT]": f"mmpose.{name}.keypoints"},
            factory=f"superlink_mmpose.{family}Decoder",
            config_class=f"superlink_mmpose.{_CONFIGS[name]}Config",
            requires=_REQUIRES,
            license="Apache-2.0",
        )
