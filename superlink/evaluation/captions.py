"""Grounded captions: what the routes of a reply find, and whether its words name what is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..data.scenes import scene_names
from ..data.scenes.captions import plural
from ..interfaces import Reply, Sample
from .detection import DetectionEvaluator
from .evaluator import Row
from .metrics.mentions import Mentions, mention_metrics

__all__ = ["CaptionEvaluator"]


class CaptionEvaluator(DetectionEvaluator):
    """Measures routes as detection does, and reads the caption for the classes that it names.

    Args:
        objects: Classes to look for in captions, in the singular or the plural; None: those of the
            built-in scenes. Where no expected caption names any, captions are not read.
        crowd: See `DetectionEvaluator`.
        synonyms: See `DetectionEvaluator`.

    Raises:
        InputError: The file of synonyms cannot be read.
        ConfigError: Synonyms are no mapping of names to lists of words.
    """

    def __init__(
        self,
        *,
        objects: Sequence[str] | None = None,
        crowd: bool = False,
        synonyms: Mapping[str, Sequence[str]] | str | Path | None = None,
    ) -> None:
        super().__init__(crowd=crowd, synonyms=synonyms)
        names = scene_names() if objects is None else objects
        self._mentions = Mentions({name: (name, plural(name)) for name in names})

    def measure(self, sample: Sample, reply: Reply) -> Row:
        """The row of detection, with the classes that the reply names and should name.

        Raises:
            InputError: The sample has no target with `bboxes`, `labels` and `names`, or predicted
                masks do not have the image's size.
        """
        return {
            **super().measure(sample, reply),
            "mentioned": self._mentions.find(reply.text),
            "to_mention": self._mentions.find(sample.messages[-1].text),
        }

    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """The metrics of `DetectionEvaluator`, and those of `mention_metrics`.

        Raises:
            InputError: No sample has an annotated object.
            MissingDependencyError: pycocotools is not installed.
        """
        found, expected = ([row[key] for row in rows] for key in ("mentioned", "to_mention"))
        named = mention_metrics(found, expected) if any(expected) else {}
        return {**super().summarize(rows), **named}
