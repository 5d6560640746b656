"""A backbone, a link and decoders, joined for training."""

from .bound import BoundDecoder, Origin
from .devices import to_device
from .joined import LinkedModel

__all__ = ["BoundDecoder", "LinkedModel", "Origin", "to_device"]
