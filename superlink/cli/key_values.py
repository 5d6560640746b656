"""KEY=VALUE of a command line."""

from __future__ import annotations

import re
from typing import Any

import yaml

from ..errors import ConfigError

__all__ = ["parse_option"]


def parse_option(
    text: str, flag: str = "--option", example: str = "num_scenes=50"
) -> tuple[str, Any]:
    """Key and value of KEY=VALUE; the value is read as YAML, but a routing token as it is.

    Raises:
        ConfigError: It has no key, no equals sign, or a value that is no YAML.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"Expected {flag} KEY=VALUE, as {example}. Received: {text!r}")
    if re.fullmatch(r"\[[A-Z0-9_]+\]", value):  # a routing token, which YAML takes for a list
        return key, value
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"The value of {flag} {text!r} is not valid YAML: {error}. Put it in quotes."
        ) from error
