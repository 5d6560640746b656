"""Checks of what a task decoder declares, and of how it is built."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from torch import nn

from ..errors import ConfigError
from ..registry import load_object, validate_config
from ..registry.requirements import missing_requirements
from .checks import Check, expect
from .decoder_case import HIDDEN_SIZE, DecoderCase
from .decoder_comparison import identical

__all__ = ["DECLARATION_CHECKS"]


def _spec(case: DecoderCase) -> str:
    """Stops a decoder that the registry does not know, or whose dotted paths lead nowhere."""
    spec = case.spec
    missing = [requirement.install for requirement, _ in missing_requirements(spec.requires)]
    expect(not missing, "all requirements", f"some that are missing: {'; '.join(missing)}")
    for path in (spec.config_class, spec.factory):
        expect(callable(load_object(path, case.name)), f"a callable at {path}", "something else")
    bare = [r.distribution for r in spec.requires if not r.install.strip()]
    expect(not bare, "a line that installs each requirement", f"none for {bare}")
    return f"{' '.join(spec.routing_tokens)}, {spec.num_queries} queries"


def _config(case: DecoderCase) -> str:
    """Stops settings that a checkpoint cannot keep, that swallow a misspelling, or that change."""
    cls: Any = load_object(case.spec.config_class, case.name)
    expect(isinstance(cls, type) and issubclass(cls, BaseModel), "a pydantic model", cls)
    validate_config(cls, None, f"{case.name}: all defaults")
    config = validate_config(cls, case.config, case.name)
    again = cls.model_validate(json.loads(config.model_dump_json()))
    expect(_plain(again) == _plain(config), "the same config after a trip through JSON", again)
    given = validate_config(cls, json.loads(json.dumps(dict(case.config))), case.name)
    expect(_plain(given) == _plain(config), "the same config from the JSON of its settings", given)
    try:
        validate_config(cls, {**case.config, "no_such_setting": 1}, case.name)
        raise AssertionError("Expected extra='forbid'. Received: a config that takes any key")
    except ConfigError:
        pass
    name = next(iter(cls.model_fields), None)
    if name is not None:
        try:
            setattr(config, name, getattr(config, name))
            raise AssertionError("Expected frozen=True. Received: a config that can be changed")
        except ValidationError:
            pass
    return f"{len(cls.model_fields)} settings"


def _plain(value: Any) -> Any:
    """`value` with lists in place of tuples, which JSON does not tell apart."""
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _build(case: DecoderCase) -> str:
    """Stops a factory that raises, or a decoder that does not say what condition it wants."""
    decoder = case.decoder
    size = getattr(decoder, "cond_size", None)
    expect(isinstance(size, int) and size > 0, "cond_size, a whole number above 0", size)
    expect(
        decoder.pooling in ("mean", "attention", "none"),
        "pooling 'mean', 'attention' or 'none'",
        decoder.pooling,
    )
    trained = sum(p.numel() for p in decoder.parameters() if p.requires_grad)
    return f"{trained:,} trained of {sum(p.numel() for p in decoder.parameters()):,} parameters"


def _connector(case: DecoderCase) -> str:
    """Stops a connector whose condition has another shape than the decoder says."""
    size = case.decoder.cond_size
    shapes = {
        token: tuple(case.condition("a route", token).shape) for token in case.spec.routing_tokens
    }
    wrong = {
        token: shape
        for token, shape in shapes.items()
        if len(shape) not in (2, 3) or (shape[0], shape[-1]) != (1, size)
    }
    expect(not wrong, f"(R, {size}) or (R, L, {size}) of {HIDDEN_SIZE}", wrong)
    return str(next(iter(shapes.values())))


def _twice(case: DecoderCase) -> str:
    """Stops decoders that share weights behind each other's back, or ignore the seed."""
    first, second = (case.build(seed=1) for _ in range(2))
    shapes, others = (_shapes(module) for module in (first, second))
    expect(shapes == others, "the same parameters in both", {*shapes.items()} ^ {*others.items()})
    places = {p.data_ptr(): name for name, p in first.named_parameters() if p.numel()}
    shared = [places[p.data_ptr()] for p in second.parameters() if p.data_ptr() in places]
    expect(not shared, "weights of their own in each", f"shared ones: {shared[:3]}")
    weights = dict(second.named_parameters())
    other = [n for n, p in first.named_parameters() if not identical(p.data, weights[n].data)]
    expect(not other, "the same weights from the same seed", f"others in {other[:3]}")
    return f"{len(shapes)} parameters"


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}


DECLARATION_CHECKS: tuple[Check[DecoderCase], ...] = (
    Check(
        "spec",
        "declaration",
        _spec,
        "Declare it in the superlink_decoders hook; `superlink plugins` says what is wrong.",
        True,
    ),
    Check(
        "config",
        "declaration",
        _config,
        "Make it a pydantic model with ConfigDict(frozen=True, extra='forbid'), fields of plain "
        "JSON types, and a default for each.",
        True,
    ),
    Check(
        "build",
        "declaration",
        _build,
        "Return a TaskDecoder that sets cond_size when it is made.",
        True,
    ),
    Check(
        "connector",
        "declaration",
        _connector,
        "Let build_connector map (R, Q, hidden_size) to (R, C) or (R, L, C), or return None.",
        True,
    ),
    Check(
        "twice",
        "declaration",
        _twice,
        "Make every layer in __init__, none in the class or module; draw from torch's generator.",
    ),
)
"""Basic checks first."""
