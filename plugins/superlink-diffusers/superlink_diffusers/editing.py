"""The task decoder `diffusers.image_editing`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from superlink.errors import ConfigError, InputError
from superlink.interfaces import CallInput, DecoderInputs, Geometry, LinkedQueries, LossTerm

from .config import ImageEditingConfig
from .family import Condition
from .images import kept, picture, pixels, stretched
from .joined_source import JoinedSource
from .latents import decode, encode
from .options import EditingOptions
from .pictures import PictureDecoder
from .pipelines import run_pipeline
from .samples import target_changes
from .sourced import SourcedModel, SourceMaps, blended, changes

__all__ = ["ImageEditingDecoder"]

_IMAGE_GUIDANCE = 1.5
_FIRST_CHANGE = -1.5
"""Logit of a change of each pixel, before anything is learned."""


class ImageEditingDecoder(PictureDecoder):
    """Makes, for each `[EDIT]` of a call, another picture of the call's image.

    As in InstructPix2Pix (arXiv 2211.09800) the latents of that image are further channels of the
    model's input. Both pictures are stretched to the config's size; results have that of the image.
    """

    editing = True
    options_class = EditingOptions
    config: ImageEditingConfig

    def __init__(self, config: ImageEditingConfig) -> None:
        super().__init__(config)
        self.uses_image_features = bool(config.shared_channels)
        self.maps = SourceMaps(config.shared_channels) if config.shared_channels else None
        self._asks_changes = config.blend or config.changed_weight > 0
        if config.blend:
            self._start_blending()

    def _start_blending(self) -> None:
        """Let the model begin with the source, all but untouched.

        Raises:
            ConfigError: It does not predict pictures.
        """
        kind = self.scheduler.config.get("prediction_type")
        if kind != "sample":
            raise ConfigError(
                "A model that blends predicts pictures: set prediction_type to sample in "
                f"scheduler, or leave blend out. Received: prediction_type={kind!r}"
            )
        bias = self.model.get_submodule("conv_out").get_parameter("bias")
        nn.init.constant_(bias[self.latents[0] :], _FIRST_CHANGE)

    def read_options(self, options: Mapping[str, Any]) -> Any:
        """See `EditingOptions` and the base class."""
        found = super().read_options(options)
        if found.image_guidance_scale is not None and self.family.editing_pipeline is None:
            raise ConfigError(
                "image_guidance_scale is for the families unet and sdxl. Received: "
                f"{found.image_guidance_scale} for the family {self.config.family!r}. Leave it out"
            )
        if self.config.blend and (found.image_guidance_scale or 1) > 1:
            raise ConfigError(
                "This model keeps its source (blend) and was never without: there is no guidance "
                f"by it. Received: image_guidance_scale={found.image_guidance_scale}. Leave it out"
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
        if self._asks_changes and call.target is not None:
            item["changed"] = target_changes(call, self.config.image_size)
        if not training:
            item["picture"] = call.image
        return item

    def collate(self, items: Sequence[Mapping[str, Any]]) -> DecoderInputs:
        """Join what belongs to routes, and sources to (calls, 3, H, W)."""
        batch = super().collate(items)
        batch["source"] = torch.stack(batch["source"])
        return batch

    def loss(self, links: LinkedQueries, inputs: DecoderInputs) -> dict[str, LossTerm]:
        """See the base class; first of all whether the maps are those of the config."""
        self._shared(inputs)
        return super().loss(links, inputs)

    def _pixels(self, image: Image.Image) -> Tensor:
        return pixels(stretched(image, self.config.image_size))

    def _with_source(self, noised: Tensor, links: LinkedQueries, inputs: DecoderInputs) -> Tensor:
        """Latents of the source, and its maps, as further channels; zeros where luck drops it."""
        source = self._source_latents(inputs["source"])
        maps = self._maps(inputs, source.shape[-2:])
        seen = (source if maps is None else torch.cat([source, maps], dim=1))[links.calls]
        start = self.config.condition_drop / 2
        luck = inputs["luck"]
        dropped = (luck >= start) & (luck < start + self.config.image_drop)
        return torch.cat([noised, seen.masked_fill(dropped.view(-1, 1, 1, 1), 0.0)], dim=1)

    def _maps(self, inputs: DecoderInputs, size: Sequence[int]) -> Tensor | None:
        """(calls, C, h, w) what the model sees of the LLM's image encoder."""
        if self.maps is None:
            return None
        maps: Tensor = self.maps(self._shared(inputs), size)
        return maps

    def _shared(self, inputs: DecoderInputs) -> tuple[Tensor, ...]:
        channels = self.config.shared_channels
        return self.shared_maps(inputs, channels, "shared_channels") if channels else ()

    def _compared(
        self,
        found: Tensor,
        target: Tensor,
        weight: Tensor | None,
        noised: Tensor,
        inputs: DecoderInputs,
    ) -> dict[str, LossTerm]:
        """See the base class; with `blend` also `changed`, whose count is the number of routes that
        know what they may change."""
        if not self.config.blend:
            return super()._compared(found, target, weight, noised, inputs)
        channels = target.shape[1]
        source = self._scale * noised[:, channels : 2 * channels]
        losses = super()._compared(blended(found, source), target, weight, noised, inputs)
        changed = inputs["changed"]
        known = (changed >= 0).to(found)
        apart = functional.binary_cross_entropy_with_logits(
            changes(found, channels), changed.clamp(min=0), weight=known, reduction="none"
        )
        told = self.config.changed_loss * apart.mean((1, 2)).sum()
        return losses | {"changed": (told, known.amax((1, 2)).sum().item())}

    def _squares(self, found: Tensor, target: Tensor, inputs: DecoderInputs) -> Tensor:
        """See the base class; those that an edit may change weigh more."""
        squares = super()._squares(found, target, inputs)
        if not self.config.changed_weight:
            return squares
        cells = functional.adaptive_max_pool2d(inputs["changed"][:, None], target.shape[-2:])
        return squares * (1 + self.config.changed_weight * cells.clamp(min=0))

    @property
    def _scale(self) -> float:
        """From the source's latents, as the model is given them, to those that it predicts."""
        settings: Any = self.vae.config
        return float(settings.scaling_factor)

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
        known = inputs.get("picture") or [picture(one) for one in source]
        if options.size is not None:
            asked = [pixels(stretched(one, options.size)) for one in known]
            source = torch.stack(asked).to(source)
        source = source[calls]
        sourced = self._sourced(inputs, calls, source)
        images = self._edit(told, null, seeds, options, source, sourced)
        sizes = [options.size or inputs["size"][call] for call in calls]
        changed = None if sourced is None else sourced.changed
        if changed is None:
            return [stretched(one, size) for one, size in zip(images, sizes, strict=True)]
        return [
            kept(stretched(known[call], size), image, share)
            for call, size, image, share in zip(calls, sizes, images, changed, strict=False)
        ]

    def _sourced(
        self, inputs: DecoderInputs, calls: Sequence[int], source: Tensor
    ) -> SourcedModel | None:
        """What stands in the place of a model that sees maps of sources (R, 3, H, W), or blends."""
        maps = self._maps(inputs, [side // self.factor for side in source.shape[-2:]])
        blends = self._scale if self.config.blend else None
        if maps is None and blends is None:
            return None
        maps = None if maps is None else maps[calls]
        return SourcedModel(self.model, self.latents[0], maps, blends)

    def _edit(
        self,
        told: Condition,
        null: Condition,
        seeds: Sequence[int],
        options: Any,
        source: Tensor,
        sourced: SourcedModel | None,
    ) -> list[Image.Image]:
        """Pictures of sources (R, 3, H, W), in their size."""
        height, width = source.shape[-2:]
        if self.family.editing_pipeline is None:
            latents = self._encoded(source).to(told.embeds.dtype)
            joined = JoinedSource(self.model, self.family, latents)
            arguments = {"height": height, "width": width}
            return run_pipeline(self, told, null, seeds, options, arguments, joined)
        # Without its source a model that always had one draws nothing of use.
        usual = _IMAGE_GUIDANCE if self.config.image_drop else 1.0
        scale = options.image_guidance_scale or self.config.image_guidance_scale or usual
        arguments = self.family.editing_arguments(source, (height, width), scale)
        return run_pipeline(self, told, null, seeds, options, arguments, sourced)

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
