"""A task decoder to be checked, with calls that have targets, and what it makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from importlib.metadata import entry_points
from typing import Any

import torch
from torch import Tensor, nn

from ..interfaces import (
    IMAGE,
    CallInput,
    DecoderInputs,
    DecoderSpec,
    LinkedQueries,
    LossTerm,
    Message,
    Prediction,
    TaskDecoder,
)
from ..link import Connector
from ..model import SuperLinkModel
from ..registry import Registry, default_registry
from ..registry.discovery import GROUP
from .decoder_calls import draw_call
from .decoder_linking import link_alone, registry_of, seeded
from .decoder_processes import Apart, run_apart
from .plain_backbone import PlainBackbone

__all__ = ["DecoderCase"]

HIDDEN_SIZE = PlainBackbone.hidden_size
"""Width of the LLM whose states the conditions are made of."""


@dataclass(eq=False)
class DecoderCase:
    """A task decoder that is built when the first check asks for it.

    Its trainable weights are shaken a little: layers that start at zero would hide faults. All is
    float32 and on the CPU.
    """

    declared: str | DecoderSpec
    """Its name in the registry, or its spec."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Settings of its config class; small ones make the checks fast."""
    registry: Registry | None = None
    """Where the name is looked up; None takes what is installed."""
    calls: Callable[[int, int], CallInput] | None = None
    """`calls(num_routes, seed)` makes a call with a target. None draws calls like the decoder's own
    `dummy_call()`, which serves where targets hold `labels` and `bboxes` or `masks`."""

    @property
    def name(self) -> str:
        """The decoder's name."""
        return self.declared if isinstance(self.declared, str) else self.declared.name

    @cached_property
    def known(self) -> Registry:
        """The registry that knows the decoder."""
        if isinstance(self.declared, DecoderSpec):
            return registry_of(self.declared)
        return self.registry or default_registry()

    @cached_property
    def spec(self) -> DecoderSpec:
        """What the plugin declares."""
        return self.known.decoder(self.name)

    def build(self, seed: int = 0) -> TaskDecoder:
        """A fresh one, as the registry builds it."""
        with seeded(seed):
            return self.known.build("decoder", self.name, self.config)

    @cached_property
    def decoder(self) -> TaskDecoder:
        """The one that the checks share."""
        decoder = self.build().eval()
        _shake(decoder)
        return decoder

    @cached_property
    def connectors(self) -> dict[str, nn.Module]:
        """For each routing token a connector of its own, as a link would make it."""
        with seeded(0):
            return {token: self._connector(token).eval() for token in self.spec.routing_tokens}

    def _connector(self, token: str) -> nn.Module:
        own = self.decoder.build_connector(HIDDEN_SIZE, token)
        standard = Connector(HIDDEN_SIZE, self.decoder.cond_size, self.decoder.pooling)
        return standard if own is None else own

    @cached_property
    def model(self) -> SuperLinkModel:
        """The decoder, and a companion, linked to a tiny random backbone."""
        return link_alone(self.spec, self.decoder, self.config)

    @cached_property
    def plugins(self) -> list[str]:
        """The installed entry points of the distribution that declares the decoder."""
        if isinstance(self.declared, DecoderSpec):
            return []
        owner, _ = self.known.distribution_of("decoder", self.name)
        points = entry_points(group=GROUP)
        return [point.name for point in points if point.dist and point.dist.name == owner]

    @cached_property
    def apart(self) -> Apart:
        """What two fresh processes find."""
        call = self.call(2)
        tokens = tuple(dict.fromkeys(call.tokens))
        return run_apart(self.spec, self.config, call, tokens, self.plugins)

    @cached_property
    def token(self) -> str:
        """The routing token of drawn calls."""
        tokens = self.spec.routing_tokens
        own = self.decoder.dummy_call().tokens
        return next((token for token in own if token in tokens), tokens[0])

    @property
    def own_dummy(self) -> CallInput:
        """The decoder's dummy call, of tokens that it declares."""
        dummy = self.decoder.dummy_call()
        known = self.spec.routing_tokens
        return replace(dummy, tokens=tuple(t if t in known else self.token for t in dummy.tokens))

    def call(self, num_routes: int = 1, seed: int = 0) -> CallInput:
        """A call with a target."""
        if self.calls is None:
            return draw_call(self.decoder.dummy_call(), self.token, num_routes, seed)
        call = self.calls(num_routes, seed)
        return call if call.key else replace(call, key=f"case {seed}")

    def batch(self, *num_routes: int) -> list[CallInput]:
        """Calls with so many routes each."""
        return [self.call(number, seed) for seed, number in enumerate(num_routes)]

    def links(self, calls: Sequence[CallInput]) -> LinkedQueries:
        """The condition of calls. That of a route depends on the key of its call and on its phrase,
        not on its neighbours."""
        routes = [
            (index, call.key, token, phrase)
            for index, call in enumerate(calls)
            for token, phrase in zip(call.tokens, call.phrases, strict=True)
        ]
        with torch.no_grad():
            states = [self.condition(f"{key}/{phrase}", token) for _, key, token, phrase in routes]
        return LinkedQueries(
            states=torch.cat(states),
            calls=torch.tensor([index for index, *_ in routes]),
            tokens=tuple(token for _, _, token, _ in routes),
            phrases=tuple(phrase for *_, phrase in routes),
            num_calls=len(calls),
        )

    def condition(self, key: str, token: str) -> Tensor:
        """(1, C) or (1, Q, C) what a connector makes of random states."""
        digest = blake2b(key.encode(), digest_size=4).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest, "big"))
        states = torch.randn(1, self.spec.num_queries, HIDDEN_SIZE, generator=generator)
        condition: Tensor = self.connectors[token](states)
        return condition

    def inputs(self, calls: Sequence[CallInput], *, training: bool = True) -> DecoderInputs:
        """What the decoder's `prepare` and `collate` make of calls, with what the core adds."""
        batch = self.decoder.collate(
            [self.decoder.prepare(call, training=training) for call in calls]
        )
        seen = [call.image for call in calls if call.image is not None]
        places = iter(range(len(seen)))
        batch["image_index"] = torch.tensor(
            [-1 if call.image is None else next(places) for call in calls]
        )
        if not self.decoder.uses_image_features or not seen:
            return batch
        backbone = self.model.backbone
        texts = [backbone.render([Message("user", (IMAGE,))])] * len(seen)
        with torch.no_grad():
            features = backbone.image_features(backbone.encode(texts, [[one] for one in seen]))
        return self.model.with_features(self.name, batch, features)

    def losses(
        self,
        calls: Sequence[CallInput],
        *,
        training: bool = False,
        states: Tensor | None = None,
        seed: int = 0,
    ) -> dict[str, LossTerm]:
        """The losses of calls with targets.

        Args:
            calls: The calls.
            training: Whether the decoder is in training mode.
            states: A condition to use in place of the calls' own.
            seed: Of all random draws.
        """
        links = self.links(calls)
        links = links if states is None else replace(links, states=states)
        with _mode(self.decoder, training), seeded(seed):
            inputs = self.inputs(calls)
            losses: dict[str, LossTerm] = self.decoder(links, inputs, mode="loss")
        return losses

    def predictions(
        self, calls: Sequence[CallInput], *, seed: int = 0, decoder: TaskDecoder | None = None
    ) -> list[Prediction]:
        """One prediction for each call, its target unseen; `decoder` may stand in for the one that
        is checked."""
        bare = [replace(call, target=None) for call in calls]
        decoder = decoder or self.decoder
        with torch.no_grad(), _mode(decoder, False), seeded(seed):
            inputs = self.inputs(bare, training=False)
            found: list[Prediction] = decoder(self.links(calls), inputs, mode="predict")
        return found


@contextmanager
def _mode(module: nn.Module, training: bool) -> Iterator[None]:
    module.train(training)
    try:
        yield
    finally:
        module.eval()


@torch.no_grad()
def _shake(module: nn.Module) -> None:
    """Move each trainable weight by about a third of what such a layer starts from."""
    generator = torch.Generator().manual_seed(0)
    for weight in module.parameters():
        if weight.requires_grad and weight.is_floating_point():
            fan_in = weight[0].numel() if weight.dim() > 1 else 36
            noise = torch.randn(weight.shape, generator=generator).to(weight)
            weight.add_(noise * (0.3 / max(fan_in, 36) ** 0.5))
