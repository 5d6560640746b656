"""LinkedModel: a backbone, a link and decoders, joined; one forward for training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import BackboneError
from ..interfaces import (
    IMAGE,
    Backbone,
    Call,
    DecoderInputs,
    ImageFeatures,
    LinkedQueries,
    LossTerm,
    Message,
    Route,
    SuperLinkOutput,
)
from ..link import (
    Binding,
    Connector,
    LinkHooks,
    Processor,
    RegionConfig,
    RegionEncoder,
    RoutingVocabulary,
    SuperLinkQueries,
    module_key,
)
from ..link.processing import IGNORE
from ..link.reader import PhraseReader, TextConnector
from .bound import BoundDecoder, Origin, by_name
from .columns import language_loss, moved, needed_columns
from .devices import to_device

__all__ = ["LinkedModel"]


class LinkedModel(nn.Module):
    """A multimodal LLM linked to task decoders.

    Args:
        backbone: The multimodal LLM.
        decoders: The decoders, each with the tokens that call it.
        origin: Where the backbone comes from; without it the model cannot be saved.
        init_std: Spread of the queries' first values.
        max_length: Training samples with more tokens are dropped.
        regions: Sizes of a region encoder; without it the model takes no regions.
    """

    def __init__(
        self,
        backbone: Backbone,
        decoders: Sequence[BoundDecoder],
        *,
        origin: Origin | None = None,
        init_std: float = 0.02,
        max_length: int | None = None,
        regions: RegionConfig | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.origin = origin
        self.bound = by_name(decoders)
        bindings = [binding for bound in decoders for binding in bound.bindings()]
        special = backbone.special_tokens()
        self.vocabulary = RoutingVocabulary(bindings, special, regions=regions is not None)
        ids = backbone.add_tokens(self.vocabulary.tokens)
        self.vocabulary.bind_ids(ids)

        embeddings, head = backbone.embedding_modules(), backbone.output_head()
        num_controls = len(self.vocabulary.controls)
        self.queries = SuperLinkQueries(
            num_controls,
            self.vocabulary.banks,
            backbone.hidden_size,
            tied=head.weight is embeddings[0].weight,
            init_std=init_std,
        )
        self.queries.to(_weight(head).device)
        self.queries.start_from(_weight(embeddings[0]), _weight(head), self._descriptions())
        self.decoders = nn.ModuleDict({module_key(n): b.decoder for n, b in self.bound.items()})
        self.connectors = nn.ModuleDict(self._build_connectors())
        self.regions = None if regions is None else self._build_regions(regions, embeddings[0])
        for part in (self.decoders, self.connectors, self.regions):
            if part is not None:
                part.to(_weight(head).device)
        self.hooks = LinkHooks(
            self.queries, ids, num_controls, backbone.vocab_size, regions=regions is not None
        )
        self.hooks.attach(backbone)
        modules = {name: bound.decoder for name, bound in self.bound.items()}
        self.processor = Processor(backbone, self.vocabulary, modules, max_length, regions)
        self.stop_gradient = False
        self.idle = False
        self.lm_weight = 1.0

    def _descriptions(self) -> dict[int, list[int]]:
        """For control tokens that a decoder describes, by their index, the ids of the words."""
        described = (bound.spec.descriptions.items() for bound in self.bound.values())
        return {
            self.vocabulary.controls.index(token): self.backbone.tokenize(words)
            for pairs in described
            for token, words in pairs
            if token in self.vocabulary.bindings
        }

    def _build_connectors(self) -> dict[str, nn.Module]:
        """One connector for each query bank of each decoder."""
        connectors: dict[str, nn.Module] = {}
        size = self.backbone.hidden_size
        for token, binding in self.vocabulary.bindings.items():
            decoder = self.bound[binding.decoder].decoder
            if (key := _connector_key(binding)) not in connectors:
                own = decoder.build_connector(size, token)
                standard = Connector(size, decoder.cond_size, decoder.pooling)
                connector = standard if own is None else own
                if binding.link == "text":
                    reader = PhraseReader(size, binding.num_queries)
                    connector = TextConnector(reader, connector)
                connectors[key] = connector
        return connectors

    def _build_regions(self, config: RegionConfig, embedding: nn.Module) -> RegionEncoder:
        """The region encoder, whose values are as large as those of words."""
        encoder = RegionEncoder(self.backbone.hidden_size, self.backbone.grid_width, config)
        table = _weight(embedding).detach()
        encoder.to(table.device)  # which may be one that holds no values
        with torch.no_grad():
            encoder.scale.fill_(table.float().std())
        return encoder

    @property
    def device(self) -> torch.device:
        """Where the queries live."""
        return self.queries.tokens.device

    def detach(self, *, merge_lora: bool = False) -> Backbone:
        """Take the link off and give the backbone back as it was.

        Args:
            merge_lora: Whether LoRA that was trained with the link goes into the weights; it is
                taken off otherwise.
        """
        self.hooks.detach()
        self.backbone.remove_lora(merge=merge_lora)
        self.backbone.forget_tokens()
        return self.backbone

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
        return SuperLinkOutput(self._total(losses), losses, out.logits, links, hidden)

    @torch.no_grad()
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

        Decoders run on conditions of nothing, as their counts hang on inputs alone. What they keep
        in buffers, and the state of random numbers, is as it was.
        """
        decoder_inputs = decoder_inputs or {}
        kept = [(buffer, buffer.clone()) for buffer in self.decoders.buffers()]
        columns = needed_columns(labels, routes, self.vocabulary)
        shape = len(labels), len(columns), self.backbone.hidden_size
        accelerators = [self.device.index or 0] if self.device.type == "cuda" else []
        with torch.random.fork_rng(accelerators):
            features = self.image_features(inputs, decoder_inputs)
            hidden = torch.zeros(shape, device=self.device)
            places = moved(routes, columns)
            _, terms = self._call_decoders(hidden, places, calls, decoder_inputs, features)
        for buffer, before in kept:
            buffer.copy_(before)
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
                terms = self._loss(name, links[name].first(len(run)), batch)
                losses |= {f"{name}/{key}": term for key, term in terms.items()}
                if self.idle:
                    used = {routes[i].token for call in run for i in call.routes}
                    rest = [token for token in bound.tokens if token not in used]
                    losses[f"{name}/idle"] = self._idle_connectors(name, rest, hidden)
            elif self.idle:
                losses[f"{name}/idle"] = self._idle_loss(name, hidden)
        return links, losses

    def _loss(self, name: str, links: LinkedQueries, batch: DecoderInputs) -> dict[str, LossTerm]:
        """The losses of one decoder, in full precision where it asks for it."""
        decoder = self.bound[name].decoder
        if not decoder.full_precision or not torch.is_autocast_enabled(self.device.type):
            terms: dict[str, LossTerm] = decoder(links, batch, mode="loss")
            return terms
        with torch.autocast(self.device.type, enabled=False):
            whole = replace(links, states=links.states.float())
            if "image_features" in batch:
                maps = tuple(feature.float() for feature in batch["image_features"])
                batch = DecoderInputs(batch, image_features=maps)
            terms = decoder(whole, batch, mode="loss")
        return terms

    def link(self, name: str, calls: Sequence[Sequence[Route]], states: Tensor) -> LinkedQueries:
        """Turn states (R, Q, hidden_size) of the routes of a decoder's calls into its condition."""
        if self.stop_gradient:
            states = states.detach()
        routes = [route for call in calls for route in call]
        through = [_connector_key(self.vocabulary.bindings[route.token]) for route in routes]
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
        terms = self._loss(name, links, batch)
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

    def _total(self, losses: Mapping[str, LossTerm]) -> Tensor:
        total = torch.zeros((), device=self.device)
        for name, (value, count) in losses.items():
            total = total + self.weight_of(name) * value / torch.as_tensor(count).clamp(min=1)
        return total


def _connector_key(binding: Binding) -> str:
    return module_key(f"{binding.decoder}/{binding.bank}")


def _weight(module: nn.Module) -> Tensor:
    return module.get_parameter("weight")
