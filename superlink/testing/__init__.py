"""What authors of plugins test with: a toy decoder, and fake installed plugins."""

from .plugins import installed_plugin
from .toy_decoder import TOY_BOX, ToyBoxConfig, ToyBoxDecoder

__all__ = ["TOY_BOX", "ToyBoxConfig", "ToyBoxDecoder", "installed_plugin"]
