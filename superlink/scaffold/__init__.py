"""The package that `superlink new-decoder` makes: a template of copier, and what fills it in."""

from .package import NewDecoder, write_package

__all__ = ["NewDecoder", "write_package"]
