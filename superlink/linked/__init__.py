"""A backbone, a link and decoders, joined for training."""

from .bound import BoundDecoder, Origin
from .devices import to_device
from .joined import LinkedModel
from .sizes import PartSize, part_sizes

__all__ = ["BoundDecoder", "LinkedModel", "Origin", "PartSize", "part_sizes", "to_device"]
