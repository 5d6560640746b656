"""Result cards: every number with the command that makes it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ...errors import InputError
from .paper import PaperFigure
from .spread import JudgedClaim, Spread
from .surroundings import hardware, versions

__all__ = ["ResultCard"]


@dataclass(frozen=True)
class ResultCard:
    """The results of one command."""

    name: str
    """What was measured."""
    command: str
    """What rebuilds the card."""
    seed: int
    """Seed of the run."""
    cpu_minutes: float | None
    """Processor time of training; None where nothing was trained."""
    metrics: Mapping[str, float]
    """`task/metric/routing` to value."""
    notes: tuple[str, ...] = ()
    """What a reader must know to read the numbers right."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """What it was measured on, and how: source, number of samples, what was left out."""
    prompts: tuple[tuple[str, str], ...] = ()
    """Questions and expected answers of the first samples, word for word."""
    paper: tuple[PaperFigure, ...] = ()
    """Figures of the paper beside the measured ones."""
    spreads: Mapping[str, Spread] = field(default_factory=dict)
    """Of metrics that are means over several runs."""
    claims: tuple[JudgedClaim, ...] = ()
    """What was tested, and what came out."""
    pictures: Mapping[str, str] = field(default_factory=dict)
    """Title to file, beside the card."""
    versions: Mapping[str, str] = field(default_factory=versions)
    """Of everything that the numbers depend on."""
    hardware: Mapping[str, Any] = field(default_factory=hardware)
    """What the numbers were made on."""

    def write(self, folder: Path) -> Path:
        """Write `card.json` and `card.md` into `folder`; returns the path of the former."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "card.json"
        for target, text in (
            (folder / "card.md", self.to_markdown()),
            (path, json.dumps(asdict(self), indent=2) + "\n"),
        ):
            fresh = target.with_name(f"{target.name}.new")
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(target)
        return path

    @classmethod
    def read(cls, path: str | Path) -> ResultCard:
        """Read a `card.json`.

        Raises:
            InputError: The file is missing, or is no result card.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            paper = [
                PaperFigure(**{**figure, "differences": tuple(figure["differences"])})
                for figure in content.get("paper", ())
            ]
            tuples = {
                "notes": tuple(content["notes"]),
                "prompts": tuple((asked, answer) for asked, answer in content.get("prompts", ())),
                "paper": tuple(paper),
                "spreads": {k: _spread(v) for k, v in content.get("spreads", {}).items()},
                "claims": tuple(map(_claim, content.get("claims", ()))),
            }
            return cls(**{**content, **tuples})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} is no result card: {error!r}") from error

    def to_markdown(self, *, level: int = 1, pictures: str = "") -> str:
        """The card as a page, or as a section of one.

        Args:
            level: Depth of its heading.
            pictures: Put before the file names of pictures, as a folder with its slash.
        """
        trained = "" if self.cpu_minutes is None else f", {self.cpu_minutes:.1f} CPU-minutes"
        trained += " of training" if trained else ""
        used = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        machine = ", ".join(f"{k} {v}" for k, v in self.hardware.items() if v is not None)
        rows = [
            f"| `{key}` | {self.spreads.get(key, f'{value:.3f}')} |"
            for key, value in self.metrics.items()
        ]
        parts = (
            f"{'#' * level} {self.name}",
            f"`{self.command}`, seed {self.seed}{trained}.",
            "\n".join(("| metric | value |", "|---|---|", *rows)),
            self._paper_table(),
            self._claim_table(),
            "\n".join(f"- {name}: {value}" for name, value in self.data.items()),
            "\n".join(f"- {note}" for note in self.notes),
            "\n\n".join(
                f"![{title}]({quote(pictures + file)})" for title, file in self.pictures.items()
            ),
            self._prompt_list(),
            f"Made with {used}; on {machine}.",
        )
        return "\n\n".join(filter(None, parts)) + "\n"

    def _paper_table(self) -> str:
        if not self.paper:
            return ""
        head = ("| metric | paper | measured | difference of protocol |", "|---|---|---|---|")
        rows = (
            f"| `{figure.metric}` | {figure.paper:.3f} | {figure.measured:.3f} | "
            f"{'; '.join(figure.differences) or 'none known'} |"
            for figure in self.paper
        )
        return "\n".join((*head, *rows))

    def _claim_table(self) -> str:
        if not self.claims:
            return ""
        head = ("| claim | tested | verdict | why |", "|---|---|---|---|")
        rows = (
            f"| {claim.text}{f' ({claim.source})' if claim.source else ''} | "
            f"{f'{claim.order} on `{claim.metric}`' if claim.order else ''} | "
            f"**{claim.verdict}** | {'; '.join(claim.reasons)} |"
            for claim in self.claims
        )
        return "\n".join((*head, *rows))

    def _prompt_list(self) -> str:
        """Questions and answers as code: routing tokens and phrase marks are no markup."""
        lines = [
            f"asked: {_short(asked)}\nexpected: {_short(answer)}" for asked, answer in self.prompts
        ]
        return "```text\n" + "\n\n".join(lines) + "\n```" if lines else ""


def _spread(content: Mapping[str, Any]) -> Spread:
    return Spread(**{**content, "values": tuple(content["values"])})


def _claim(content: Mapping[str, Any]) -> JudgedClaim:
    return JudgedClaim(**{**content, "reasons": tuple(content["reasons"])})


def _short(text: str, longest: int = 400) -> str:
    return text if len(text) <= longest else f"{text[:longest]} ..."
