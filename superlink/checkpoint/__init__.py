"""Checkpoints of linked models: JSON and safetensors, and no pickle."""

from .config import FORMAT_VERSION, fingerprint, read_config
from .files import UNREADABLE, read_tensors, write_folder, write_tensors
from .initial import FirstWeights, load_first_weights
from .model import load_weights, save

__all__ = [
    "FORMAT_VERSION",
    "UNREADABLE",
    "FirstWeights",
    "fingerprint",
    "load_first_weights",
    "load_weights",
    "read_config",
    "read_tensors",
    "save",
    "write_folder",
    "write_tensors",
]
