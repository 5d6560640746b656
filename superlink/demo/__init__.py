"""The demo: train a tiny model on built-in scenes, measure it, and show it in a report."""

from .run import DEMO_RECIPE, DemoResult, run_demo

__all__ = ["DEMO_RECIPE", "DemoResult", "run_demo"]
