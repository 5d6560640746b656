"""What the task decoders that make pictures have in common."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from superlink.errors import ConfigError, InputError
from superlink.interfaces import (
    CallInput,
    DecoderInputs,
    ImagePrediction,
    LinkedQueries,
    LossTerm,
    Prediction,
    TaskDecoder,
)
from superlink.registry import validate_config

from .captions import CaptionEncoder
from .config import PictureConfig
from .draws import draw, picture_seeds
from .families import FAMILIES
from .family import Condition
from .images import covering, pixels
from .latents import encode, scaled
from .mapper import Mapper
from .objectives import make_objective
from .options import PictureOptions
from .parts import make_parts, place_of
from .pipelines import run_pipeline
from .samples import target_captions, target_images
from .training import frozen_paths, prepare_training, untouched, write_counts

__all__ = ["PictureDecoder"]

_OF_ROUTES = ("images", "noise", "times", "luck", "changed")


class PictureDecoder(TaskDecoder):
    """A diffusion model of one of several families that makes a picture for each route.

    Targets are `images`, one picture for each route, and, for the loss on captions, `captions`.
    """

    pooling = "none"
    editing: ClassVar[bool]
    options_class: ClassVar[type[PictureOptions]] = PictureOptions

    def __init__(self, config: PictureConfig) -> None:
        super().__init__()
        self.config = config
        self.family = FAMILIES[config.family]
        parts = make_parts(config, self.family, editing=self.editing)
        self.model, self.vae, self.scheduler = parts.model, parts.vae, parts.scheduler
        self.objective = make_objective(parts.scheduler, config.min_snr_gamma)
        settings: Any = self.model.config
        self.factor = self.family.latent_factor(self.vae)
        self.family.check_size(config.image_size, settings, self.factor, "image_size")
        vae: Any = self.vae.config
        self.latents = (
            int(vae.latent_channels),
            *(side // self.factor for side in config.image_size),
        )  # of one picture in training
        self.cond_size = self.family.condition_width(settings)
        self.length = config.condition_length or self.family.length
        width = self.family.pooled_width(settings)
        self.pooled = None if width is None else nn.Linear(self.cond_size, width)
        # A plain connector gives as many places as there are queries, which nobody tells here.
        places = self.length if config.connector == "mapper" else 1
        self.null = nn.Parameter(0.02 * torch.randn(places, self.cond_size))
        self.captions = self._caption_encoder()
        always = (self.family.input_layer,) if parts.widened else ()
        prepare_training(self.model, config, always)
        self._elsewhere, self._written = self._paths_elsewhere(), write_counts(self)
        self._check_steps(config.num_inference_steps)

    def _caption_encoder(self) -> CaptionEncoder | None:
        """The text encoders; the null condition starts from what they make of no words."""
        place = place_of(self.config)
        if place is None or not self.config.caption_loss:
            return None
        encoder = CaptionEncoder(place, self.family)
        self.null.data.copy_(encoder.null(self.length, self.cond_size))
        return encoder

    def _paths_elsewhere(self) -> tuple[str, ...]:
        """Now, as what is frozen later was trained before."""
        names = ["vae"] if "source" in self.config.vae else []
        if self.config.source is not None:
            names = ["vae", "model", *(["captions"] if self.captions is not None else [])]
        return tuple(path for name in names for path in frozen_paths(getattr(self, name), name))

    def build_connector(self, hidden_size: int, token: str) -> nn.Module | None:
        """The paper's mapper, or the standard connector without pooling."""
        if self.config.connector == "plain":
            return None
        return Mapper(hidden_size, self.cond_size, self.length, self.config.mapper_layers)

    def kept_elsewhere(self) -> Sequence[str]:
        """What comes from a source, and is neither trained nor replaced."""
        return untouched(self._elsewhere, self, self._written)

    def train(self, mode: bool = True) -> PictureDecoder:
        """Frozen parts stay as they are used."""
        super().train(mode)
        self.vae.eval()
        if self.captions is not None:
            self.captions.eval()
        if self.config.train == "connector":
            self.model.eval()
        return self

    def read_options(self, options: Mapping[str, Any]) -> Any:
        """See `PictureOptions`.

        Raises:
            ConfigError: Among others, autoencoder and model cannot take a size.
        """
        found = validate_config(self.options_class, options, "a reply's pictures")
        if found.size is not None:
            self.family.check_size(found.size, self.model.config, self.factor, "size")
        self._check_steps(found.num_inference_steps or 1)
        scale = found.guidance_scale
        if scale is not None and scale > 1 and not self.config.condition_drop:
            raise ConfigError(
                "This model was trained with condition_drop=0 and cannot be guided. "
                f"Received: guidance_scale={scale}. Leave it out"
            )
        return found

    def _check_steps(self, number: int) -> None:
        """Refuse more steps than the scheduler has times.

        Raises:
            ConfigError: There are more.
        """
        most = int(self.scheduler.config.num_train_timesteps)
        if number > most:
            raise ConfigError(
                f"The scheduler has {most} times (num_train_timesteps). "
                f"Received: num_inference_steps={number}. Choose fewer"
            )

    def prepare(self, call: CallInput, *, training: bool) -> dict[str, Any]:
        """Turn pictures into pixels, and draw what training draws.

        Returns:
            `key` and `phrases`; where the call has a target of n pictures, `images` (n, 3, H, W)
            between -1 and 1, `noise` (n, C, h, w), `times` (n,), `luck` (n,), which is 1 where
            nothing shall be dropped, and `captions` where they have a loss.

        Raises:
            InputError: The target has not one picture for each route.
        """
        item: dict[str, Any] = {"key": call.key, "phrases": call.phrases}
        if call.target is None:
            return item
        images = target_images(call)
        item["images"] = torch.stack([self._pixels(one) for one in images])
        item |= draw(call.key, len(images), self.latents)
        if not training:
            item["luck"] = torch.ones(len(images))
        if self.captions is not None:
            item["captions"] = target_captions(call)
        return item

    def _pixels(self, image: Image.Image) -> Tensor:
        """(3, H, W) a picture in the size of training."""
        return pixels(covering(image, self.config.image_size))

    def collate(self, items: Sequence[Mapping[str, Any]]) -> DecoderInputs:
        """Join what belongs to routes; the rest becomes lists."""
        batch = DecoderInputs()
        for key in items[0]:
            values = [item[key] for item in items]
            batch[key] = torch.cat(values) if key in _OF_ROUTES else values
        return batch

    def loss(self, links: LinkedQueries, inputs: DecoderInputs) -> dict[str, LossTerm]:
        """The mean squared error of what the model predicts, see `objectives`.

        Returns:
            `diffusion`, and `caption` where it has a weight; their count is the number of routes.
        """
        if "images" not in inputs:
            raise InputError("A loss needs calls with targets. Received: calls without any")
        states = self._checked(links.states)
        dropped = inputs["luck"] < self.config.condition_drop
        embeds = torch.where(dropped[:, None, None], self.null, states)
        latents = self._encoded(inputs["images"])
        noised, times, target, weight = self.objective(latents, inputs["noise"], inputs["times"])
        noised = self._with_source(noised, links, inputs)
        told, size = self._condition(embeds), self.config.image_size
        found = self.family.denoise(self.model, noised.to(self.dtype), times, told, size)
        losses = self._compared(found.float(), target, weight, noised, inputs)
        if self.captions is not None:
            wanted = self.captions([text for some in inputs["captions"] for text in some])
            apart = functional.mse_loss(states, wanted, reduction="none").mean((1, 2))
            losses["caption"] = (self.config.caption_loss * apart.sum(), float(len(apart)))
        return losses

    def _compared(
        self,
        found: Tensor,
        target: Tensor,
        weight: Tensor | None,
        noised: Tensor,
        inputs: DecoderInputs,
    ) -> dict[str, LossTerm]:
        """The loss of what the model says of `noised`, its input.

        Args:
            found: (R, C or more, h, w) what it says; a variance beside is not taught.
            target: (R, C, h, w) what is right.
            weight: (R,) of each picture, or None for 1.
            noised: (R, C or more, h, w).
            inputs: Of the loss.
        """
        found = found[:, : target.shape[1]]
        error = self._squares(found, target, inputs).mean((1, 2, 3))  # (R,)
        error = error if weight is None else error * weight
        return {"diffusion": (error.sum(), float(len(error)))}

    def _squares(self, found: Tensor, target: Tensor, inputs: DecoderInputs) -> Tensor:
        """(R, C, h, w) the squared error of each value."""
        return functional.mse_loss(found, target, reduction="none")

    def _with_source(self, noised: Tensor, links: LinkedQueries, inputs: DecoderInputs) -> Tensor:
        """What the model is given beside noised latents."""
        return noised

    @torch.no_grad()
    def predict(self, links: LinkedQueries, inputs: DecoderInputs) -> list[Prediction]:
        """For each call a picture for each of its routes, on the host."""
        options = inputs.get("options") or self.read_options({})
        counts = links.counts().tolist()
        if len(options.seeds) > max(counts, default=0):
            warnings.warn(
                f"Each of the seeds makes one picture. Received: {len(options.seeds)} seeds for "
                f"{max(counts, default=0)}; the last ones are left out.",
                stacklevel=2,
            )
        seeds = [
            picture_seeds(options.seed, options.seeds, key, number)
            for key, number in zip(inputs["key"], counts, strict=True)
        ]
        told = self._condition(self._checked(links.states))
        null = self._condition(self.null.expand(links.states.shape))
        images = iter(self._draw(told, null, [s for some in seeds for s in some], options, inputs))
        return [
            ImagePrediction(tuple(next(images) for _ in some), tuple(phrases), some)
            for some, phrases in zip(seeds, inputs["phrases"], strict=True)
        ]

    def _draw(
        self,
        told: Condition,
        null: Condition,
        seeds: Sequence[int],
        options: Any,
        inputs: DecoderInputs,
    ) -> list[Image.Image]:
        """A picture for each route."""
        size = options.size or self.config.image_size
        return run_pipeline(self, told, null, seeds, options, {"height": size[0], "width": size[1]})

    @property
    def dtype(self) -> torch.dtype:
        """What the diffusion model and the autoencoder take."""
        return self.model.get_submodule(self.family.input_layer).get_parameter("weight").dtype

    def _condition(self, embeds: Tensor) -> Condition:
        """What the model is told for embeds (R, L, C)."""
        kind = self.dtype
        pooled = None if self.pooled is None else self.pooled(embeds.mean(1)).to(kind)
        return Condition(embeds.to(kind), pooled)

    def _checked(self, states: Tensor) -> Tensor:
        """States (R, L, C) in the precision of what is learned here.

        Raises:
            InputError: They are not what the model takes.
        """
        fits = states.dim() == 3 and states.shape[-1] == self.cond_size
        if not fits or len(self.null) not in (1, states.shape[1]):
            places = "L" if len(self.null) == 1 else len(self.null)
            raise InputError(
                f"The model takes a condition (R, {places}, {self.cond_size}), as the connector of "
                f"its decoder makes it. Received: {tuple(states.shape)}"
            )
        return states.to(self.null.dtype)

    def _encoded(self, images: Tensor) -> Tensor:
        """Latents (N, C, h, w) of pictures (N, 3, H, W) as the model wants them."""
        latents = encode(self.vae, images, self.dtype)
        return scaled(latents, self.vae, shifted=self.family.shifted)
