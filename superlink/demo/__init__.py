"""The demo: a small model for all modes of perception, one that takes regions, one that finds
keypoints, and one that is trained in minutes."""

from .run import DemoResult, run_demo
from .shipped import MODEL, POSES, REGIONS
from .trained import DEMO_RECIPE

__all__ = ["DEMO_RECIPE", "MODEL", "POSES", "REGIONS", "DemoResult", "run_demo"]
