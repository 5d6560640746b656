"""The contract of a task decoder: condition + image -> losses or predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from ..errors import ConfigError, InputError
from .results import Prediction
from .structures import CallInput, DecoderInputs, LinkedQueries, LossTerm

__all__ = ["TaskDecoder"]


class TaskDecoder(nn.Module, ABC):
    """Base of all task decoders.

    A decoder owns its image stream: `prepare` and `collate` run in the loader's worker, `loss` and
    `predict` on the device. It knows nothing of the LLM but the condition that its connector makes.
    """

    cond_size: int
    """Width C of the condition that the decoder wants."""
    pooling: ClassVar[Literal["mean", "attention", "none"]] = "mean"
    """How the standard connector joins the Q queries of a route; `none` keeps (R, Q, C)."""
    uses_image_features: bool = False
    """Whether `inputs["image_features"]` is wanted: maps of the backbone's own image encoder."""
    full_precision: ClassVar[bool] = False
    """Whether the losses are computed in float32 where a stage trains in bfloat16."""

    def build_connector(self, hidden_size: int, token: str) -> nn.Module | None:
        """A connector of the decoder's own: states (R, Q, `hidden_size`) to (R, C), or to (R, L, C)
        with as many places L as the decoder wants. None: the standard."""
        return None

    def read_options(self, options: Mapping[str, Any]) -> Any:
        """Check what a user asks of `predict`, such as the size of a picture, before the LLM runs.

        Args:
            options: By name; empty where the user asks for nothing.

        Returns:
            What `predict` finds as `inputs["options"]`.

        Raises:
            ConfigError: An option is unknown, or has no such value. By default there are none.
        """
        if options:
            raise ConfigError(
                f"{type(self).__name__} takes no options in its replies. "
                f"Received: {sorted(options)}"
            )
        return None

    def kept_elsewhere(self) -> Sequence[str]:
        """Module paths whose weights the factory reads again from where the config says.

        A checkpoint leaves them out: large pretrained parts that were neither trained nor given
        other weights, as `weights` and `start` of a recipe do. By default none.
        """
        return ()

    def shared_maps(
        self, inputs: Mapping[str, Any], channels: Sequence[int], settings: str
    ) -> tuple[Tensor, ...]:
        """The coarsest maps (calls, C, H, W) of the backbone's image encoder, as many as wanted.

        Args:
            inputs: A batch, as the core completes it for a decoder that `uses_image_features`.
            channels: C of each map, finest first.
            settings: What in the decoder's config says so.

        Raises:
            InputError: The encoder gives none, or others.
        """
        wanted = tuple(channels)
        maps = tuple(inputs.get("image_features") or ())[-len(wanted) :]
        found = tuple(one.shape[1] for one in maps)
        if found != wanted:
            raise InputError(
                f"{settings}: the decoder wants maps of the LLM's image encoder with the channels "
                f"{wanted}. Received: {found}. Set them to those of the LLM that is linked"
            )
        return maps

    @abstractmethod
    def prepare(self, call: CallInput, *, training: bool) -> dict[str, Any]:
        """Turn one call into tensors: image resized and normalised, targets, geometry. Must not
        change `call`."""

    def collate(self, items: Sequence[Mapping[str, Any]]) -> DecoderInputs:
        """Join prepared calls. By default tensors of one shape are stacked, all else becomes a
        list."""
        batch = DecoderInputs()
        for key in items[0]:
            values = [item[key] for item in items]
            same = (
                all(isinstance(value, Tensor) for value in values)
                and len({value.shape for value in values}) == 1
            )
            batch[key] = torch.stack(values) if same else values
        return batch

    @abstractmethod
    def loss(self, links: LinkedQueries, inputs: DecoderInputs) -> dict[str, LossTerm]:
        """The losses as `{name: (sum, count)}`. Targets may be empty; the sum then still hangs on
        the condition."""

    @abstractmethod
    def predict(self, links: LinkedQueries, inputs: DecoderInputs) -> list[Prediction]:
        """One prediction for each call, in pixels of the original image."""

    @abstractmethod
    def dummy_call(self) -> CallInput:
        """A minimal call with a target, of one route and what follows it.

        A rank whose batch lacks the task runs it with weight 0, so that it takes part in every
        collective.
        """

    def forward(
        self, links: LinkedQueries, inputs: DecoderInputs, mode: Literal["loss", "predict"] = "loss"
    ) -> dict[str, LossTerm] | list[Prediction]:
        """Dispatch to `loss` or `predict`, so that wrappers such as FSDP see every use of the
        decoder."""
        return self.loss(links, inputs) if mode == "loss" else self.predict(links, inputs)
