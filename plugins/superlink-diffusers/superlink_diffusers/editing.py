"""The task decoder `diffusers.image_editing`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from superlink.errors import ConfigError, InputError
from superlink.interfaces import CallInput, DecoderInputs, Geometry, LinkedQueries

from .config import ImageEditingConfig
from .family import Condition
from .images import picture, pixels, stretched
from .joined_source import JoinedSource
from .latents import decode, encode
from .options import EditingOptions
from .pictures import PictureDecoder
from .pipelines import run_pipeline

__all__ = ["ImageEditingDecoder"]

_IMAGE_GUIDANCE = 1.5


class ImageEditingDecoder(PictureDecoder):
    """Makes, for each `[EDIT]` of a call, another picture of the call's image.

    As in InstructPix2Pix (arXiv 2211.09800) the latents of that image are further channels of the
    model's input. Both pictures are stretched to the config's size; results have that of the image.
    """

    editing = True
    options_class = EditingOptions
    config: ImageEditingConfig

    def read_options(self, options: Mapping[str, Any]) -> Any:
        """See `EditingOptions` and the base class."""
        found = super().read_options(options)
        if found.image_guidance_scale is not None and self.family.editing_pipeline is None:
            raise ConfigError(
                "image_guidance_scale is for the families unet and sdxl. Received: "
                f"{found.image_guidance_scale} for the family {self.config.family!r}. Leave it out"
            )
        guidance = found.guidance_scale or self.config.guidance_scale
        if found.image_guidance_scale is not None and guidance <= 1:
            raise ConfigError(
                "image_guidance_scale counts beside a guidance_scale above 1 alone. Received: "
                f"guidance_scale={guidance:g}. Give a larger one, or leave both out"
            )
        return found

    def prepare(self, call: CallInput, *, training: bool) -> dict[str, Any]:
        """Turn pictures into pixels, and draw what training draws.

        Returns:
            What the base class returns; `source` (3, H, W), pixels of the call's image; `size`, its
            height and width; and, but for training, `picture`, the image itself, which another size
            may be asked of.

        Raises:
            InputError: The call has no image, or its target not one picture for each route.
        """
        if call.image is None:
            raise InputError(
                "An edited picture needs a picture: put an image into the conversation. "
                f"Received: no image, key={call.key!r}"
            )
        item = super().prepare(call, training=training)
        item["source"] = self._pixels(call.image)
        item["size"] = (call.image.height, call.image.width)
        if not training:
            item["picture"] = call.image
        return item

    def collate(self, items: Sequence[Mapping[str, Any]]) -> DecoderInputs:
        """Join what belongs to routes, and sources to (calls, 3, H, W)."""
        batch = super().collate(items)
        batch["source"] = torch.stack(batch["source"])
        return batch

    def _pixels(self, image: Image.Image) -> Tensor:
        return pixels(stretched(image, self.config.image_size))

    def _with_source(self, noised: Tensor, links: LinkedQueries, inputs: DecoderInputs) -> Tensor:
        """Latents of the source as further channels; zeros where luck drops it."""
        source = self._source_latents(inputs["source"])[links.calls]
        start = self.config.condition_drop / 2
        luck = inputs["luck"]
        dropped = (luck >= start) & (luck < start + self.config.image_drop)
        return torch.cat([noised, source.masked_fill(dropped.view(-1, 1, 1, 1), 0.0)], dim=1)

    def _source_latents(self, source: Tensor) -> Tensor:
        """(N, C, h, w) as the family's way to edit wants them: InstructPix2Pix does not scale."""
        unscaled = self.family.editing_pipeline is not None
        return encode(self.vae, source, self.dtype) if unscaled else self._encoded(source)

    def _draw(
        self,
        told: Condition,
        null: Condition,
        seeds: Sequence[int],
        options: Any,
        inputs: DecoderInputs,
    ) -> list[Image.Image]:
        """A picture for each route, in the size of its source or in that which is asked for."""
        calls = [index for index, some in enumerate(inputs["phrases"]) for _ in some]
        source = inputs["source"]
        if options.size is not None and "picture" in inputs:
            asked = [pixels(stretched(one, options.size)) for one in inputs["picture"]]
            source = torch.stack(asked).to(source)
        images = self._edit(told, null, seeds, options, source[calls])
        return [
            stretched(image, options.size or inputs["size"][call])
            for image, call in zip(images, calls, strict=True)
        ]

    def _edit(
        self,
        told: Condition,
        null: Condition,
        seeds: Sequence[int],
        options: Any,
        source: Tensor,
    ) -> list[Image.Image]:
        """Pictures of sources (R, 3, H, W), in their size."""
        height, width = source.shape[-2:]
        if self.family.editing_pipeline is None:
            latents = self._encoded(source).to(told.embeds.dtype)
            model = JoinedSource(self.model, self.family, latents)
            arguments = {"height": height, "width": width}
            return run_pipeline(self, told, null, seeds, options, arguments, model)
        # Without its source a model that always had one draws nothing of use.
        usual = _IMAGE_GUIDANCE if self.config.image_drop else 1.0
        scale = options.image_guidance_scale or self.config.image_guidance_scale or usual
        arguments = self.family.editing_arguments(source, (height, width), scale)
        return run_pipeline(self, told, null, seeds, options, arguments)

    def reconstruct(self, images: Sequence[Image.Image]) -> list[Image.Image]:
        """What the autoencoder alone makes of pictures, each in its own size: no edit can be
        nearer to what was wanted, but by chance."""
        given = torch.stack([self._pixels(image) for image in images])
        latents = encode(self.vae, given.to(self.null.device), self.dtype)
        found = decode(self.vae, latents, self.dtype)
        return [
            stretched(picture(values), (image.height, image.width))
            for values, image in zip(found, images, strict=True)
        ]

    def dummy_call(self) -> CallInput:
        """A grey picture that becomes a white one."""
        height, width = self.config.image_size
        grey, white = (Image.new("RGB", (width, height), color) for color in ("grey", "white"))
        target = {
            "images": (white,),
            "captions": ("make it white",),
            "attributes": ({},),
            "changed": (None,),
        }
        geometry = Geometry.identity((height, width))
        return CallInput(grey, geometry, target, ("[EDIT]",), ("",), "dummy")
