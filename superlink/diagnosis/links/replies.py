"""What a model writes by itself: the routes that should come, and calls that are served."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from ...interfaces import Reply, Sample
from ...model import SuperLinkModel
from .bounds import REPLIES
from .finding import Finding

__all__ = ["reply_findings"]


def reply_findings(
    model: SuperLinkModel,
    samples: Sequence[Sample],
    batch_size: int,
    advance: Callable[[int], None],
) -> Iterator[Finding]:
    """What became of the routes in generated replies to samples that end with an answer.

    Args:
        model: The model.
        samples: With their right answers.
        batch_size: Samples that are answered together.
        advance: Told how many samples were answered.
    """
    asked = [sample for sample in samples if _expected(model, sample)]
    expected: Counter[str] = Counter()
    filled: Counter[str] = Counter()
    failures: list[str] = []
    num_cut = 0
    for first in range(0, len(asked), batch_size):
        some = asked[first : first + batch_size]
        for sample, reply in zip(some, _answer(model, some), strict=True):
            wanted = _expected(model, sample)
            expected += wanted
            filled += _served(reply) & wanted
            failures += [failure.reason for failure in reply.failures]
            num_cut += not reply.complete
        advance(len(some))
    if expected:
        yield _finding(expected, filled, failures, num_cut, len(asked))


def _expected(model: SuperLinkModel, sample: Sample) -> Counter[str]:
    """The routing tokens of the last answer that can be written at all."""
    last = sample.messages[-1]
    if last.role != "assistant":
        return Counter()
    bindings = model.vocabulary.bindings
    tokens = (token for token, _, _ in model.vocabulary.parse(last.text).routes)
    return Counter(t for t in tokens if sample.images or not bindings[t].needs_image)


def _answer(model: SuperLinkModel, samples: Sequence[Sample]) -> list[Reply]:
    lengths = (len(model.backbone.tokenize(sample.messages[-1].text)) for sample in samples)
    questions = [replace(s, messages=s.messages[:-1], targets=()) for s in samples]
    return model.answer(questions, max_new_tokens=max(lengths) * 3 // 2 + 16)


def _served(reply: Reply) -> Counter[str]:
    """The tokens of the routes whose call was served."""
    failed = {index for failure in reply.failures for index in failure.call.routes}
    return Counter(route.token for index, route in enumerate(reply.routes) if index not in failed)


def _finding(
    expected: Counter[str],
    filled: Counter[str],
    failures: Sequence[str],
    num_cut: int,
    num_replies: int,
) -> Finding:
    share = filled.total() / expected.total()
    status = REPLIES.judge(share)
    if failures and status == "ok":
        status = "warning"
    symptom, advice, anchor = "", "", ""
    if failures:
        symptom, anchor = f"A call could not be served: {failures[0]}", "a-call-was-not-served"
        advice = "See whether the data ask for what the model cannot look at."
    elif status != "ok":
        missing = ", ".join((expected - filled).keys())
        symptom = f"Replies lack routes that should come: {missing}."
        advice = (
            "See how likely the tokens are; where they are, train answers of this length longer."
        )
        anchor = "the-routing-token-never-comes"
    cut = f", {num_cut} replies cut" if num_cut else ""
    return Finding(
        check="replies",
        subject=f"{num_replies} generated",
        status=status,
        measured=(
            f"{filled.total()} of {expected.total()} routes served, {len(failures)} failed{cut}"
        ),
        bound=f"{REPLIES} of them",
        symptom=symptom,
        advice=advice,
        anchor=anchor,
        figures={
            "expected": float(expected.total()),
            "served": float(filled.total()),
            "failed": float(len(failures)),
            "cut": float(num_cut),
        },
    )
