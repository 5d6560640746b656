"""How close captions are to those that people wrote, by the scorers of the COCO caption server."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import cache
from typing import Any, cast

from ...errors import InputError, MissingDependencyError

__all__ = ["caption_metrics", "check_caption_packages"]

Texts = dict[int, list[str]]
"""Of each caption, by its index, the words of one or several texts with blanks between them."""


def caption_metrics(
    candidates: Sequence[str], references: Sequence[Sequence[str]], *, java: bool = False
) -> dict[str, float]:
    """Compare captions with their references, as pycocoevalcap does.

    CIDEr weighs words by how few of the references hold them, so that it speaks of a whole set:
    that of a single caption is 0.

    Args:
        candidates: What was written, one text for each image.
        references: For each image what people wrote, at least one text.
        java: Whether to cut texts into words by Stanford's own tokenizer, and to measure METEOR
            too: these two run on Java. Without, NLTK's tokenizer cuts them by the same rules, which
            differs in rare marks only (`-c`, `.pyc`, an abbreviation at the end).

    Returns:
        `CIDEr` from 0 to 10, `BLEU_4` and `ROUGE_L` from 0 to 1; with `java` also `METEOR`.

    Raises:
        InputError: There are no captions, not as many candidates as lists of references, or an
            image without a reference that has words.
        MissingDependencyError: pycocoevalcap or NLTK is not installed; or `java` is asked for, and
            there is none.
    """
    if not candidates or len(candidates) != len(references):
        raise InputError(
            "Captions need one candidate and a list of references for each image. Received: "
            f"{len(candidates)} candidates, {len(references)} lists of references"
        )
    check_caption_packages(java=java)
    cut = _cut_by_java if java else _cut
    results = cut([[_line(text)] for text in candidates])
    truths = cut([[_line(text) for text in texts] for texts in references])
    if empty := [index for index in range(len(references)) if not any(truths.get(index, ()))]:
        raise InputError(
            "Each image needs a reference with words. Received: "
            f"references[{empty[0]}]={list(references[empty[0]])}"
        )
    found = {n: scorer.compute_score(truths, results)[0] for n, scorer in _scorers().items()}
    bleu, _ = _bleu().compute_score(truths, results, verbose=0)
    found["BLEU_4"] = bleu[3]
    if java:
        found["METEOR"] = _meteor(truths, results)
    return {name: float(value) for name, value in found.items()}


def check_caption_packages(*, java: bool = False) -> None:
    """Find out whether captions can be measured, before a model writes thousands of them.

    Raises:
        MissingDependencyError: As `caption_metrics` with the same `java`.
    """
    _scorers()
    if not java:
        _word_tokenizer()
    elif shutil.which("java") is None:
        raise MissingDependencyError(
            "METEOR and Stanford's tokenizer run on Java, and no `java` is on the PATH. Install a "
            "runtime, for instance: apt-get install default-jre-headless. Or leave METEOR out, "
            "java=False."
        )


def _meteor(truths: Texts, results: Texts) -> float:
    """METEOR 1.5, by the process that pycocoevalcap starts and leaves with open pipes."""
    from pycocoevalcap.meteor.meteor import Meteor

    scorer = Meteor()
    try:
        return cast(float, scorer.compute_score(truths, results)[0])
    finally:
        scorer.meteor_p.kill()
        scorer.meteor_p.communicate()


@cache
def _scorers() -> dict[str, Any]:
    """The scorers that take no option, by their metric."""
    try:
        from pycocoevalcap.cider.cider import Cider
        from pycocoevalcap.rouge.rouge import Rouge
    except ImportError as error:
        raise _missing("pycocoevalcap") from error
    return {"CIDEr": Cider(), "ROUGE_L": Rouge()}


def _bleu() -> Any:
    from pycocoevalcap.bleu.bleu import Bleu

    return Bleu(4)


def _word_tokenizer() -> Any:
    try:
        from nltk.tokenize import NLTKWordTokenizer
    except ImportError as error:
        raise _missing("NLTK") from error
    return NLTKWordTokenizer()


def _line(text: str) -> str:
    """A text as the Java programs can read it: one line, and without the bars that part fields."""
    return " ".join(text.replace("|||", " ").split())


def _cut(images: Sequence[Sequence[str]]) -> Texts:
    """The words of texts in small letters and without punctuation, as the COCO server cuts them."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PUNCTUATIONS

    tokenize = _word_tokenizer().tokenize

    def words(text: str) -> str:
        pieces = (piece.lower() for piece in tokenize(text.lower(), convert_parentheses=True))
        return " ".join(piece for piece in pieces if piece not in PUNCTUATIONS)

    return {index: [*map(words, texts)] for index, texts in enumerate(images)}


def _cut_by_java(images: Sequence[Sequence[str]]) -> Texts:
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    given = {index: [{"caption": text} for text in texts] for index, texts in enumerate(images)}
    return cast(Texts, PTBTokenizer().tokenize(given))


def _missing(library: str) -> MissingDependencyError:
    return MissingDependencyError(
        f"Captions are measured by {library}, which is not installed. "
        "Run: pip install 'superlink[captions]'"
    )
