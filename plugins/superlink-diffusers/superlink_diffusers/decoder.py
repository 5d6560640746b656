"""The task decoder `diffusers.text_to_image`."""

from __future__ import annotations

from PIL import Image

from superlink.interfaces import CallInput

from .pictures import PictureDecoder

__all__ = ["TextToImageDecoder"]


class TextToImageDecoder(PictureDecoder):
    """Makes a picture for each `[GEN]` of a call."""

    editing = False

    def dummy_call(self) -> CallInput:
        """A grey picture."""
        height, width = self.config.image_size
        picture = Image.new("RGB", (width, height), "grey")
        target = {"images": (picture,), "captions": ("grey",), "attributes": ({},)}
        return CallInput(None, None, target, ("[GEN]",), ("",), "dummy")
