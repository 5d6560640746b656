"""The demo: a small model for all modes of perception, and one that is trained in minutes."""

from .run import DemoResult, run_demo
from .shipped import MODEL
from .trained import DEMO_RECIPE

__all__ = ["DEMO_RECIPE", "MODEL", "DemoResult", "run_demo"]
