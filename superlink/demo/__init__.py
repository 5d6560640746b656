"""The demo: a small model for all modes of perception, one that takes regions, and one that is
trained in minutes."""

from .run import DemoResult, run_demo
from .shipped import MODEL, REGIONS
from .trained import DEMO_RECIPE

__all__ = ["DEMO_RECIPE", "MODEL", "REGIONS", "DemoResult", "run_demo"]
