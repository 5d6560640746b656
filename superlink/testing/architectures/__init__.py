"""Tiny random models and processors of every image-text-to-text architecture of transformers."""

from .families import ARCHITECTURES, refused
from .models import tiny_model
from .processor import TinyProcessor, tiny_processor
from .tokens import tiny_tokenizer

__all__ = [
    "ARCHITECTURES",
    "TinyProcessor",
    "refused",
    "tiny_model",
    "tiny_processor",
    "tiny_tokenizer",
]
