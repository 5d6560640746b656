"""From a name to a decoder package: check the answers, render the template, move it into place."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..errors import ConfigError, MissingDependencyError
from ..interfaces import DecoderSpec

__all__ = ["NewDecoder", "write_package"]

_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
_MAX_LENGTH = 24  # with longer names the lines of the template would no longer fit


@dataclass(frozen=True)
class NewDecoder:
    """What the template asks."""

    name: str
    """Lower-case words, joined by underscores or hyphens: `depth`, `line_art`."""
    token: str = ""
    """Routing token that calls it; empty means the name in capitals."""
    num_queries: int = 2
    """Super-link queries behind each token."""
    license: str = "Apache-2.0"
    """Licence of the package, as SPDX."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or len(self.name) > _MAX_LENGTH:
            raise ConfigError(
                "The name of a decoder is lower-case letters and digits, its words joined by "
                f"underscores or hyphens, and has at most {_MAX_LENGTH} characters, the first of "
                f"them a letter: depth, line_art. Received: name={self.name!r}"
            )
        if not self.token:
            object.__setattr__(self, "token", f"[{self.key.upper()}]")
        # The spec knows what else may be declared.
        DecoderSpec(self.key, (self.token,), self.num_queries, "a:b", "a:b")
        _check_license(self.license)

    @property
    def key(self) -> str:
        """The name of the decoder and of its task."""
        return self.name.replace("-", "_")

    @property
    def distribution(self) -> str:
        """What pip calls the package; also its folder."""
        return f"superlink-{self.name.replace('_', '-')}"


def write_package(decoder: NewDecoder, folder: Path) -> list[Path]:
    """Write the package of `decoder` into `folder`, all of it or nothing.

    Returns:
        Its files, relative to `folder`.

    Raises:
        ConfigError: `folder` exists and is not empty, or cannot be written.
        MissingDependencyError: copier is not installed.
    """
    folder = folder.absolute()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ConfigError(
            "A new decoder goes into a new or an empty folder, so that nothing is overwritten. "
            f"Received: {folder}. Choose another one: --output DIR"
        )
    render = _copier()
    try:
        # Beside its place, so that the move is a renaming.
        above = next(parent for parent in folder.parents if parent.is_dir())
        with TemporaryDirectory(prefix=".superlink-", dir=above) as temporary:
            made = Path(temporary) / "package"
            template = str(Path(__file__).parent)
            render(template, made, data=asdict(decoder), defaults=True, quiet=True)
            _move(made, folder)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error}") from error
    return sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())


def _move(made: Path, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        folder.rmdir()  # empty; some systems rename onto nothing only
    made.rename(folder)


def _copier() -> Callable[..., Any]:
    try:
        from copier import run_copy
    except ImportError as error:
        raise MissingDependencyError(
            "A new decoder is made from a template by copier, which is not installed. "
            "Run: pip install 'superlink[plugin-dev]'"
        ) from error
    return run_copy


def _check_license(license: str) -> None:
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        canonicalize_license_expression(license)
    except InvalidLicenseExpression as error:
        raise ConfigError(
            "A licence is an SPDX expression, as Apache-2.0, MIT or LicenseRef-Proprietary. "
            f"Received: license={license!r}"
        ) from error
