"""How likely the LLM writes each control token where it should come, and what it writes instead."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ...link.routing import PHRASE_MARKS
from ...linked import LinkedModel
from .bounds import LIKELIEST, LIKELIEST_FREE
from .finding import Finding

__all__ = ["TokenChances"]

_PHRASES = "the words of phrases"


class TokenChances:
    """Collects, over batches, the chances of control tokens behind the right text before them.

    Args:
        model: The linked model.
        causes: What the recipe of the model says that keeps tokens from being learned.
    """

    def __init__(self, model: LinkedModel, causes: Sequence[str] = ()) -> None:
        self._model = model
        self._causes = causes
        self._eos = model.backbone.eos_ids()
        ids = model.vocabulary.ids
        self._names = {ids[token]: token for token in model.vocabulary.controls}
        self._chances: dict[str, list[float]] = defaultdict(list)
        self._ends: dict[str, list[float]] = defaultdict(list)
        self._written: dict[str, Counter[str]] = defaultdict(Counter)

    def add(self, logits: Tensor, columns: Tensor, labels: Tensor) -> None:
        """Take a batch.

        Args:
            logits: (B, K, V) at `columns`.
            columns: (K,) of the batch.
            labels: (B, T).
        """
        following = labels.roll(-1, 1)[:, columns]  # (B, K)
        places = {token: following == token_id for token_id, token in self._names.items()}
        places[_PHRASES] = self._in_phrases(labels).roll(-1, 1)[:, columns]
        for name, where in places.items():
            self._take(name, logits[where].detach().float().softmax(-1), following[where])

    def _take(self, name: str, chances: Tensor, right: Tensor) -> None:
        """Chances (n, V) where the tokens (n,) should come."""
        ends = torch.tensor(sorted(self._eos), device=chances.device)
        self._chances[name] += chances.gather(1, right[:, None])[:, 0].tolist()
        self._ends[name] += chances[:, ends].sum(-1).tolist()
        pairs = zip(right.tolist(), chances.argmax(-1).tolist(), strict=True)
        self._written[name].update(name if r == best else self._name(best) for r, best in pairs)

    def _in_phrases(self, labels: Tensor) -> Tensor:
        """Which labels (B, T) stand between the marks of a phrase."""
        start, end = (labels == self._model.vocabulary.ids[mark] for mark in PHRASE_MARKS)
        return (start.cumsum(1) > end.cumsum(1)) & ~start

    def _name(self, token_id: int) -> str:
        if token_id in self._names:
            return self._names[token_id]
        if token_id in self._eos:
            return "the end of the answer"
        return f"the word {self._model.backbone.decode([token_id]).strip()!r}"

    def findings(self) -> Iterator[Finding]:
        """One for each control token that should have come."""
        routing = [token for token in self._model.vocabulary.bindings if self._chances[token]]
        if not routing:
            yield Finding(
                check="routing tokens",
                subject="all",
                status="warning",
                measured="no sample has a route",
                symptom="Nothing can be said of the link: no answer of the data calls a decoder.",
                advice="Give data with routes: --task and --data.",
                anchor="the-routing-token-never-comes",
            )
        for token, chances in self._chances.items():
            if chances:
                yield self._finding(token, chances)

    def _finding(self, token: str, chances: Sequence[float]) -> Finding:
        written, count = self._written[token], len(chances)
        figures = {
            "mean": sum(chances) / count,
            "minimum": min(chances),
            "likeliest": written[token] / count,
            "end_of_answer": sum(self._ends[token]) / count,
            "places": float(count),
        }
        bound = LIKELIEST if token in self._model.vocabulary.bindings else LIKELIEST_FREE
        status = bound.judge(figures["likeliest"])
        measured = (
            f"likeliest at {figures['likeliest']:.0%} of {count} places; chance "
            f"{figures['mean']:.2f}, lowest {figures['minimum']:.2f}"
        )
        done = status == "ok"
        return Finding(
            check="routing tokens",
            subject=token,
            status=status,
            measured=measured,
            bound=f"likeliest {bound}",
            symptom="" if done else self._symptom(token, figures["end_of_answer"]),
            advice="" if done else self._advice(token),
            anchor="" if done else "the-routing-token-never-comes",
            figures=figures,
        )

    def _symptom(self, token: str, end: float) -> str:
        others = [(what, n) for what, n in self._written[token].most_common() if what != token]
        listed = ", ".join(f"{what} ({n} times)" for what, n in others[:3])
        return (
            f"The LLM writes {listed} where {token} should come. "
            f"The chance that the answer ends there is {end:.2f}."
        )

    def _advice(self, token: str) -> str:
        if self._causes:
            return " ".join(self._causes)
        if token == _PHRASES:
            return "Train on questions that name these classes; the LLM does not copy them yet."
        return (
            "Train the language loss longer: a first stage of text alone costs little, or raise "
            "`lm_weight`."
        )
