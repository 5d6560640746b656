"""The parts of a linked model, made and put together; `joined` runs them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..interfaces import Backbone
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
from ..link.reader import PhraseReader, TextConnector
from .bound import BoundDecoder, Origin, by_name

__all__ = ["LinkedParts", "connector_key"]


class LinkedParts(nn.Module):
    """A backbone with queries, connectors and decoders around it.

    The arguments are those of `LinkedModel`.
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
        for bound in self.bound.values():  # some keep BatchNorm as it is, from here on alone
            bound.decoder.train(bound.decoder.training)
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
            if (key := connector_key(binding)) not in connectors:
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


def connector_key(binding: Binding) -> str:
    """The key of the connector behind a token."""
    return module_key(f"{binding.decoder}/{binding.bank}")


def _weight(module: nn.Module) -> Tensor:
    return module.get_parameter("weight")
