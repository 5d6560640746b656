"""What binds a decoder, and a backbone, to one model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import ConfigError
from ..interfaces import DecoderSpec, TaskDecoder
from ..link import Binding
from ..link.routing import LinkMode

__all__ = ["BoundDecoder", "Origin", "by_name", "kept_names"]


@dataclass(frozen=True)
class BoundDecoder:
    """A decoder with what binds it to one model."""

    spec: DecoderSpec
    """What the plugin declares."""
    decoder: TaskDecoder
    """The module."""
    tokens: tuple[str, ...]
    """The routing tokens that call it in this model."""
    num_queries: int
    """Super-link queries behind each of them, or what stands in their place."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The plain config that it was built from."""
    loss_weight: float = 1.0
    """Factor of its losses in the sum."""
    separate_banks: bool = False
    """Whether each token has queries of its own, whatever the spec says."""
    link: LinkMode = "queries"
    """What it is told of a route."""
    distribution: tuple[str, str] = ("", "")
    """Name and version of the distribution that it comes from; empty where it has none."""

    def bindings(self) -> list[Binding]:
        """One binding for each of its tokens."""
        spec = self.spec
        return [
            Binding(
                token,
                spec.name,
                self.bank(token),
                self.num_queries,
                spec.needs_image,
                spec.follows.get(token, ""),
                spec.names_image,
                self.link,
            )
            for token in self.tokens
        ]

    def bank(self, token: str) -> str:
        """The name of the query bank behind `token` in this model."""
        # The slash stands in no name of a decoder: such a bank is never another's by chance.
        own = f"{self.spec.name}/{token.strip('[]').lower()}"
        return own if self.separate_banks else self.spec.bank(token)


@dataclass(frozen=True)
class Origin:
    """Where a backbone comes from, so that a checkpoint need not hold it."""

    name: str
    """Name of the spec that can build it again."""
    config: Mapping[str, Any]
    """The plain config that it was built from; `source` says where its weights lie."""
    fingerprint: str
    """Of the weights at `source`, see `superlink.checkpoint.fingerprint`; empty if not known."""


def by_name(decoders: Sequence[BoundDecoder]) -> dict[str, BoundDecoder]:
    """The decoders of one model by their names.

    Raises:
        ConfigError: There is none, or one of them comes twice.
    """
    names = [bound.spec.name for bound in decoders]
    if not names or len(set(names)) != len(names):
        raise ConfigError(
            "A model needs decoders, each once; one decoder may have several tokens. "
            f"Received: decoders={names}"
        )
    return dict(zip(names, decoders, strict=True))


def kept_names(decoder: TaskDecoder, names: Iterable[str]) -> list[str]:
    """Those of the names of a decoder's weights that belong into a checkpoint."""
    elsewhere = tuple(f"{path}." for path in decoder.kept_elsewhere())
    return [name for name in names if not name.startswith(elsewhere)]
