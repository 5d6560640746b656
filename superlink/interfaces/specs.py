"""What a plugin declares, readable without importing anything heavy: dotted paths instead of
classes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import ConfigError

__all__ = ["PLUGIN_API_VERSION", "BackboneSpec", "DecoderSpec", "Requirement", "TaskSpec"]

PLUGIN_API_VERSION = 1
"""Grows when a plugin written for an older superlink would no longer work."""

_NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")
_TOKEN = re.compile(r"\[[A-Z0-9_]+\]")
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True)
class Requirement:
    """A distribution that a plugin needs at run time."""

    distribution: str
    """Name and versions as in a requirements file: `mmdet>=3.3,<4`. Alternatives are joined by
    " or ": `mmcv>=2.0 or mmcv-lite>=2.0`."""
    install: str
    """The line that installs it: `pip install --no-deps mmdet==3.3.0`."""


@dataclass(frozen=True)
class DecoderSpec:
    """A task decoder that a plugin offers."""

    name: str
    """Lower-case words with dots: `mmdet.grounding_dino`."""
    routing_tokens: tuple[str, ...]
    """The tokens that may call it, in square brackets and capitals: `("[DET]", "[SEG]")`."""
    num_queries: int
    """Super-link queries behind each token; a recipe may choose another number."""
    factory: str
    """`package.module:callable`, called with an instance of the config class; returns a
    `TaskDecoder`."""
    config_class: str
    """`package.module:Class`, a pydantic model whose fields all have defaults, with
    `ConfigDict(frozen=True, extra="forbid")`."""
    banks: Mapping[str, str] = field(default_factory=dict)
    """Token to query bank, where a token shall not share the one bank that bears the decoder's
    name."""
    follows: Mapping[str, str] = field(default_factory=dict)
    """Token to the token whose routes it completes, as `{"[KPT]": "[POSE]"}`: a run of the one
    belongs to the run of the other just before it, and both are one call."""
    descriptions: Mapping[str, str] = field(default_factory=dict)
    """Token to words that it means, as `{"[DET]": "find the objects"}`: its row then starts near
    the mean of theirs."""
    needs_image: bool = True
    """Whether a call without an image is a failure."""
    names_image: bool = False
    """Whether a phrase as `image 2` says which image of the conversation a call speaks of, counted
    from 1; without one it speaks of the last before it, as all calls of other decoders do."""
    requires: tuple[Requirement, ...] = ()
    """Distributions that must be installed before the factory can run."""
    api_version: int = PLUGIN_API_VERSION
    """The `PLUGIN_API_VERSION` that the plugin was written for."""
    license: str = ""
    """Licence of the decoder's code and weights, as SPDX."""

    def __post_init__(self) -> None:
        _check_name(self.name, "DecoderSpec")
        if not self.routing_tokens or len(set(self.routing_tokens)) != len(self.routing_tokens):
            raise ConfigError(
                "A decoder needs at least one routing token, each once. "
                f"Received: name={self.name!r}, routing_tokens={self.routing_tokens!r}"
            )
        for token in self.routing_tokens:
            if not _TOKEN.fullmatch(token):
                raise ConfigError(
                    "A routing token is capitals, digits and underscores in brackets: [DET]. "
                    f"Received: token={token!r} in decoder {self.name!r}"
                )
        if self.num_queries < 1:
            raise ConfigError(
                "num_queries must be at least 1. "
                f"Received: {self.num_queries} in decoder {self.name!r}"
            )
        for name in ("banks", "descriptions", "follows"):
            if unknown := set(getattr(self, name)) - set(self.routing_tokens):
                raise ConfigError(
                    f"{name} may only name the decoder's own tokens {self.routing_tokens}. "
                    f"Received: {sorted(unknown)} in decoder {self.name!r}"
                )
        leaders = set(self.follows.values())
        if leaders - set(self.routing_tokens) or leaders & set(self.follows):
            raise ConfigError(
                "A token follows another one of its decoder, which follows none. "
                f"Received: follows={dict(self.follows)!r} in decoder {self.name!r}"
            )
        _check_path(self.factory, "factory", self.name)
        _check_path(self.config_class, "config_class", self.name)

    def bank(self, token: str) -> str:
        """The name of the query bank that stands behind `token`."""
        return self.banks.get(token, self.name)


@dataclass(frozen=True)
class TaskSpec:
    """A task: how annotated data becomes conversations, and how replies are measured."""

    name: str
    """Lower-case words with dots: `detection`."""
    conversation: str
    """`package.module:callable(record, rng, training) -> Sample`; `rng` is a `random.Random`. The
    sample ends with the
    answer template, and holds a target for each of its calls."""
    readers: Mapping[str, str] = field(default_factory=dict)
    """Format name to `package.module:callable(**options) -> Sequence[record]`."""
    evaluator: str | None = None
    """`package.module:callable() -> Evaluator`; see `superlink.evaluation`."""
    api_version: int = PLUGIN_API_VERSION
    """The `PLUGIN_API_VERSION` that the plugin was written for."""

    def __post_init__(self) -> None:
        _check_name(self.name, "TaskSpec")
        _check_path(self.conversation, "conversation", self.name)
        for format_name, path in self.readers.items():
            _check_path(path, f"readers[{format_name!r}]", self.name)
        if self.evaluator is not None:
            _check_path(self.evaluator, "evaluator", self.name)


@dataclass(frozen=True)
class BackboneSpec:
    """A multimodal LLM, or a family of them, that a plugin offers."""

    name: str
    """Lower-case words with dots: `tiny_llava`."""
    factory: str
    """`package.module:callable`, called with an instance of the config class; returns a
    `Backbone`."""
    config_class: str
    """`package.module:Class`, a pydantic model as for a decoder. Its field `source: str | None`
    takes a folder that `Backbone.save` wrote, so that a checkpoint can be loaded."""
    requires: tuple[Requirement, ...] = ()
    """Distributions that must be installed before the factory can run."""
    api_version: int = PLUGIN_API_VERSION
    """The `PLUGIN_API_VERSION` that the plugin was written for."""

    def __post_init__(self) -> None:
        _check_name(self.name, "BackboneSpec")
        _check_path(self.factory, "factory", self.name)
        _check_path(self.config_class, "config_class", self.name)


def _check_name(name: str, kind: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"The name of a {kind} is lower-case words, joined by underscores and dots. "
            f"Received: name={name!r}"
        )


def _check_path(path: str, what: str, owner: str) -> None:
    if not _PATH.fullmatch(path):
        raise ConfigError(
            f"{what} of {owner!r} must be a dotted path 'package.module:name'. Received: {path!r}"
        )
