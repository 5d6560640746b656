"""Keep transformers from printing over what a command prints."""

from __future__ import annotations

from transformers.utils import logging

__all__ = ["quiet_transformers"]


def quiet_transformers() -> None:
    """Show errors of transformers only, and none of its progress bars."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
