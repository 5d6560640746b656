"""Tasks: how annotated data becomes conversations, and how replies are measured."""

from .specs import CLASS_LIST, DETECTION

__all__ = ["CLASS_LIST", "DETECTION"]
