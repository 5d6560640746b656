"""A conversation with a linked model, kept turn by turn."""

from .chat import Chat

__all__ = ["Chat"]
