"""LinkedModel: a backbone, a link and decoders, joined; one forward for training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import BackboneError
from ..interfaces import (
    IMAGE,
    Call,
    DecoderInputs,
    ImageFeatures,
    LinkedQueries,
    LossTerm,
    Message,
    Route,
    SuperLinkOutput,
)
from ..link.processing import IGNORE
from .columns import language_loss, moved, needed_columns
from .decoder_losses import decoder_losses
from .devices import to_device
from .modes import untouched
from .parts import LinkedParts, connector_key

__all__ = ["LinkedModel"]


class LinkedModel(LinkedParts):
    """A multimodal LLM linked to task decoders.

    Args:
        backbone: The multimodal LLM.
        decoders: The decoders, each with the tokens that call it.
        origin: Where the backbone comes from; without it the model cannot be saved.
        init_std: Spread of the queries' first values.
        max_length: Training samples with more tokens are dropped.
        regions: Sizes of a region encoder; without it the model takes no regions.
    """

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        labels: Tensor | None = None,
        routes: Sequence[Route] = (),
        calls: Sequence[Call] = (),
        decoder_inputs: Mapping[str, DecoderInputs] | None = None,
        regions: Mapping[str, Tensor] | None = None,
        **ignored: Any,
    ) -> SuperLinkOutput:
        """One training forward on a batch of the processor.

        Decoders without inputs in the batch are linked but not run, and so are calls that lack the
        image that they need. With `idle` set, decoders that the batch does not call run a minimal
        call with weight 0, so that every rank takes part in every collective.
        """
        decoder_inputs = decoder_inputs or {}
        features = self.image_features(inputs, decoder_inputs, regions)
        columns = None if labels is None else needed_columns(labels, routes, self.vocabulary)
        with self.hooks.filled(self.region_values(regions, features)):
            out = self.backbone(
                inputs, image_features=features, logits_to_keep=0 if columns is None else columns
            )
        losses: dict[str, LossTerm] = {}
        if self.idle and self.regions is not None and regions is None:
            losses["regions/idle"] = self.regions.idle(), 1.0
        if labels is not None and columns is not None:
            losses["lm"] = language_loss(out.logits, labels, columns)
            routes = moved(routes, columns)
        hidden = out.last_hidden_state
        links, terms = self._call_decoders(hidden, routes, calls, decoder_inputs, features)
        losses |= terms
        return SuperLinkOutput(self._total(losses), losses, out.logits, links)

    def loss_counts(
        self,
        inputs: Mapping[str, Tensor],
        labels: Tensor,
        routes: Sequence[Route] = (),
        calls: Sequence[Call] = (),
        decoder_inputs: Mapping[str, DecoderInputs] | None = None,
        **ignored: Any,
    ) -> dict[str, float]:
        """The counts of the losses of a batch, by name, without running the LLM.

        Decoders run on conditions of nothing, as their counts hang on inputs alone. What the model
        keeps in buffers, and the state of random numbers, is as it was.
        """
        decoder_inputs = decoder_inputs or {}
        columns = needed_columns(labels, routes, self.vocabulary)
        shape = len(labels), len(columns), self.backbone.hidden_size
        with untouched(self, self.device):
            features = self.image_features(inputs, decoder_inputs)
            hidden = torch.zeros(shape, device=self.device)
            places = moved(routes, columns)
            _, terms = self._call_decoders(hidden, places, calls, decoder_inputs, features)
        counts = {name: float(count) for name, (_, count) in terms.items()}
        return {"lm": float((labels[:, 1:] != IGNORE).sum()), **counts}

    def _call_decoders(
        self,
        hidden: Tensor,
        routes: Sequence[Route],
        calls: Sequence[Call],
        decoder_inputs: Mapping[str, DecoderInputs],
        features: ImageFeatures | None,
    ) -> tuple[dict[str, LinkedQueries], dict[str, LossTerm]]:
        """The conditions of all routes by decoder, and the losses of decoders that have inputs."""
        links: dict[str, LinkedQueries] = {}
        losses: dict[str, LossTerm] = {}
        for name, bound in self.bound.items():
            mine = self.vocabulary.calls_of(name, calls, routes)
            run = [call for call in mine if not self.vocabulary.lacks_image(call, routes)]
            if mine:
                states = self._gather(hidden, routes, mine)
                links[name] = self.link(name, [[routes[i] for i in c.routes] for c in mine], states)
            if name in decoder_inputs:
                batch = self.with_features(name, decoder_inputs[name], features)
                terms = decoder_losses(bound.decoder, links[name].first(len(run)), batch)
                losses |= {f"{name}/{key}": term for key, term in terms.items()}
                if self.idle:
                    used = {routes[i].token for call in run for i in call.routes}
                    rest = [token for token in bound.tokens if token not in used]
                    losses[f"{name}/idle"] = self._idle_connectors(name, rest, hidden)
            elif self.idle:
                losses[f"{name}/idle"] = self._idle_loss(name, hidden)
        return links, losses

    def link(self, name: str, calls: Sequence[Sequence[Route]], states: Tensor) -> LinkedQueries:
        """Turn states (R, Q, hidden_size) of the routes of a decoder's calls into its condition."""
        if self.stop_gradient:
            states = states.detach()
        routes = [route for call in calls for route in call]
        through = [connector_key(self.vocabulary.bindings[route.token]) for route in routes]
        parts, order = [], []
        for key in dict.fromkeys(through):
            mine = [i for i, other in enumerate(through) if other == key]
            told = states[mine] if self.bound[name].link != "text" else self._words(routes, mine)
            parts.append(self.connectors[key](told))
            order += mine
        back = torch.tensor(order, device=states.device).argsort()
        call_index = [index for index, call in enumerate(calls) for _ in call]
        return LinkedQueries(
            states=torch.cat(parts)[back],
            calls=torch.tensor(call_index, device=states.device),
            tokens=tuple(route.token for route in routes),
            phrases=tuple(route.phrase for route in routes),
            num_calls=len(calls),
        )

    def _gather(self, hidden: Tensor, routes: Sequence[Route], calls: Sequence[Call]) -> Tensor:
        """The last hidden states of the routes of `calls`, (R, Q, hidden_size); Q is 0 where their
        decoder is told words alone."""
        mine = [routes[index] for call in calls for index in call.routes]
        rows = torch.tensor([route.row for route in mine], device=hidden.device)
        places = [[*self.vocabulary.bindings[r.token].states_at(r.position)] for r in mine]
        columns = torch.tensor(places, device=hidden.device, dtype=torch.long)  # (R, Q)
        return hidden[rows[:, None], columns]

    def _words(self, routes: Sequence[Route], chosen: Sequence[int]) -> list[Tensor]:
        """The words (T, hidden_size) of the phrases of some routes, as they enter the LLM, which
        gets no gradient from them."""
        # Escaped, as the LLM reads and writes them: what a user calls "[DET]" is no token.
        phrases = [self.vocabulary.escape(routes[index].phrase) for index in chosen]
        ids = [self.backbone.tokenize(phrase) for phrase in phrases]
        flat = torch.tensor([i for some in ids for i in some], device=self.device, dtype=torch.long)
        with torch.no_grad():
            words: Tensor = self.backbone.embedding_modules()[0](flat)
        return [*torch.split(words, [*map(len, ids)])]

    def image_features(
        self,
        inputs: Mapping[str, Tensor],
        decoders: Mapping[str, Any] | Sequence[str],
        regions: Mapping[str, Tensor] | None = None,
    ) -> ImageFeatures | None:
        """Run the image encoder of the backbone once, where regions or one of `decoders` share
        it."""
        wanted = any(self.bound[name].decoder.uses_image_features for name in decoders)
        wanted |= regions is not None and self.backbone.grid_width is not None
        return self.backbone.image_features(inputs) if wanted else None

    def region_values(
        self, regions: Mapping[str, Tensor] | None, features: ImageFeatures | None
    ) -> Tensor | None:
        """What the regions of a batch are in the LLM's input; see `RegionEncoder`."""
        if regions is None or self.regions is None:
            return None
        values: Tensor = self.regions(regions, features)
        return values

    def with_features(
        self, name: str, batch: DecoderInputs, features: ImageFeatures | None
    ) -> DecoderInputs:
        """Give each call of a decoder that shares them the maps of its image, zeros without one.

        Raises:
            BackboneError: The backbone gives no maps.
        """
        if features is None or not self.bound[name].decoder.uses_image_features:
            return batch
        if not features.maps:
            raise BackboneError(
                f"The decoder {name!r} shares the feature maps (images, C, H, W) of the backbone's "
                f"image encoder. {type(self.backbone).__name__} gives none for this model. Choose "
                "a backbone with a convolutional encoder, or a decoder with an encoder of its own."
            )
        # The switch keeps a decoder's gradient from the LLM's image encoder too.
        maps = [m.detach() if self.stop_gradient else m for m in features.maps]
        index = batch["image_index"].to(self.device)
        known = (index >= 0).view(-1, 1, 1, 1)
        shared = tuple(torch.where(known, m[index.clamp(min=0)], 0) for m in maps)
        return DecoderInputs(batch, image_features=shared)

    def _idle_loss(self, name: str, hidden: Tensor) -> LossTerm:
        """A minimal call of a decoder that the batch does not use, with weight 0."""
        bound = self.bound[name]
        call = bound.decoder.dummy_call()
        batch = bound.decoder.collate([bound.decoder.prepare(call, training=True)])
        batch["image_index"] = torch.tensor([-1 if call.image is None else 0])
        features = None
        if bound.decoder.uses_image_features and call.image is not None:
            text = self.backbone.render([Message("user", (IMAGE,))])
            inputs = self.backbone.encode([text], [[call.image]])
            features = self.backbone.image_features(to_device(inputs, self.device))
        batch = self.with_features(name, to_device(batch, self.device), features)
        tokens = [t if t in bound.tokens else bound.tokens[0] for t in call.tokens]
        states = hidden.new_zeros(len(tokens), bound.num_queries, hidden.shape[-1])
        states = states + 0.0 * self.queries.input_rows().sum()
        links = self.link(name, [[Route(0, 0, token) for token in tokens]], states)
        terms = decoder_losses(bound.decoder, links, batch)
        total = torch.stack([value for value, _ in terms.values()]).sum() + states.sum()
        rest, _ = self._idle_connectors(name, [t for t in bound.tokens if t not in tokens], hidden)
        return 0.0 * total + rest, 1.0

    def _idle_connectors(self, name: str, tokens: Sequence[str], hidden: Tensor) -> LossTerm:
        """Connectors of tokens that nobody called, with weight 0."""
        states = hidden.new_zeros(1, self.bound[name].num_queries, hidden.shape[-1])
        sums = [self.link(name, [[Route(0, 0, t)]], states).states.sum() for t in tokens]
        return 0.0 * sum(sums, hidden.new_zeros(())), 1.0

    def weight_of(self, name: str) -> float:
        """The factor of a loss, named as in `SuperLinkOutput.losses`."""
        if name == "lm":
            return self.lm_weight
        bound = self.bound.get(name.split("/")[0])
        return 1.0 if bound is None else bound.loss_weight

    def grouped(
        self, losses: Mapping[str, LossTerm], counts: Mapping[str, float] | None = None
    ) -> dict[str, Tensor]:
        """Losses as training adds them up: `lm`, and for each decoder the sum of its own.

        Args:
            losses: By name, as in `SuperLinkOutput.losses`.
            counts: What to divide by; None takes the counts of the losses themselves.
        """
        groups: dict[str, Tensor] = {}
        for name, (value, own) in losses.items():
            count = torch.as_tensor(own if counts is None else counts[name]).clamp(min=1)
            term, group = self.weight_of(name) * value / count, name.split("/")[0]
            groups[group] = groups[group] + term if group in groups else term
        return groups

    def _total(self, losses: Mapping[str, LossTerm]) -> Tensor:
        return sum(self.grouped(losses).values(), torch.zeros((), device=self.device))
