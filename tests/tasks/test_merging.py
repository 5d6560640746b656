"""Merged replies: what a reader and an evaluator see is one answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from superlink.errors import InputError
from superlink.interfaces import (
    Call,
    InstancePrediction,
    KeypointSet,
    Prediction,
    Reply,
    Route,
    RouteFailure,
)
from superlink.tasks.merging import merge_replies
from superlink.testing import toy_model

NAMES = "ape bee cat dog eel fox gnu hen".split()


def found(phrases, scores, labels, **more):
    count = len(scores)
    return InstancePrediction(
        torch.arange(4.0 * count).reshape(count, 4) + 100 * NAMES.index(phrases[0]),
        torch.tensor(scores, dtype=torch.float32),
        torch.tensor(labels, dtype=torch.long),
        tuple(phrases),
        **more,
    )


def reply(*calls, complete=True, failed=()):
    """A reply of (token, prediction) pairs: `<p>ape</p>[DET], ...`."""
    routes, served, texts = [], [], []
    for token, prediction in calls:
        first = len(routes)
        for phrase in prediction.phrases:
            start = sum(map(len, texts)) + 2 * len(texts)
            routes.append(Route(0, 1, token, phrase, (start, start + len(phrase)), 7))
            texts.append(phrase)
        served.append(Call(0, 1, "toy", tuple(range(first, len(routes))), 0))
    raw = ", ".join(f"<p>{route.phrase}</p>{route.token}" for route in routes)
    return Reply(
        text=", ".join(texts),
        raw=raw,
        routes=tuple(routes),
        calls=tuple(served),
        predictions=tuple(prediction for _, prediction in calls),
        failures=tuple(RouteFailure(Call(0, 1, "toy", (i,), 0), "broken") for i in failed),
        complete=complete,
    )


def same(one, other):
    """Whether two replies are alike in everything."""
    plain = ("text", "raw", "routes", "calls", "failures", "complete")
    if any(getattr(one, name) != getattr(other, name) for name in plain):
        return False
    pairs = list(zip(one.predictions, other.predictions, strict=True))
    return all(a.phrases == b.phrases for a, b in pairs) and all(
        (x is None and y is None) or torch.equal(x, y)
        for a, b in pairs
        for x, y in ((vars(a)[name], vars(b)[name]) for name in vars(a) if name != "phrases")
    )


A = reply(("[DET]", found(("ape", "bee"), (0.9, 0.3), (1, 0))))
B = reply(("[DET]", found(("cat",), (0.9, 0.5, 0.2), (0, 0, 0))))


def test_instances_of_all_are_sorted_and_their_labels_count_the_routes_of_all():
    merged = merge_replies([A, B])
    (call,), (prediction,) = merged.calls, merged.predictions
    assert call == Call(0, 1, "toy", (0, 1, 2), 0)
    assert prediction.phrases == ("ape", "bee", "cat")
    assert prediction.scores.tolist() == pytest.approx([0.9, 0.9, 0.5, 0.3, 0.2])
    assert prediction.labels.tolist() == [1, 2, 2, 0, 2]  # of equal scores the first part's first
    assert prediction.bboxes[:, 0].tolist() == [0, 200, 204, 4, 208]


def test_text_and_routes_are_those_of_one_reply():
    merged = merge_replies([A, B, A])
    assert merged.text == "ape, bee, cat, ape, bee"
    assert [merged.text[slice(*route.span)] for route in merged.routes] == merged.text.split(", ")
    assert {route.position for route in merged.routes} == {-1}
    whole = toy_model().vocabulary.parse(merged.raw.replace("[DET]", "[BOX]"))
    assert [span for _, _, span in whole.routes] == [route.span for route in merged.routes]


def test_reply_that_says_nothing_leaves_no_comma():
    assert merge_replies([Reply("", ""), A, Reply("", ""), B]).text == "ape, bee, cat"


def test_one_reply_is_what_it_was():
    assert same(merge_replies([A]), A)
    assert merge_replies([A]).routes[0].position == 7


def test_best_are_kept_over_all_parts():
    (prediction,) = merge_replies([A, B], 3).predictions
    assert prediction.scores.tolist() == pytest.approx([0.9, 0.9, 0.5])
    assert prediction.phrases == ("ape", "bee", "cat")


def test_score_that_is_no_number_takes_no_place():
    broken = reply(("[DET]", found(("dog",), (float("nan"), 0.1), (0, 0))))
    (prediction,) = merge_replies([broken, B], 4).predictions
    assert prediction.scores.tolist() == pytest.approx([0.9, 0.5, 0.2, 0.1])


def test_failures_and_cut_answers_are_kept():
    cut = reply(("[DET]", found(("dog", "eel"), (), ())), complete=False, failed=[1])
    merged = merge_replies([A, cut])
    assert not merged.complete
    assert merged.failures == (RouteFailure(Call(0, 1, "toy", (3,), 0), "broken"),)


def test_masks_and_keypoints_go_with_their_instances():
    one = found(("ape",), (0.2,), (0,), masks=torch.ones(1, 2, 3), keypoints=torch.ones(1, 4, 2))
    two = found(
        ("bee",), (0.7, 0.1), (0, 0), masks=torch.zeros(2, 2, 3), keypoints=torch.zeros(2, 4, 2)
    )
    none = found(("cat",), (), ())
    (prediction,) = merge_replies([reply(("[SEG]", p)) for p in (none, one, two)]).predictions
    assert prediction.masks[:, 0, 0].tolist() == [0, 1, 0]
    assert prediction.keypoints[:, 0, 0].tolist() == [0, 1, 0]
    assert prediction.labels.tolist() == [2, 1, 2]


def test_other_tokens_and_other_kinds_of_predictions_stay_apart():
    class Picture(Prediction):
        phrases = ("dog",)

        def to_json(self):
            return {}

        def draw(self, canvas):
            pass

    mixed = reply(
        ("[DET]", found(("ape",), (0.3,), (0,))),
        ("[SEG]", found(("bee",), (0.9,), (0,))),
        ("[GEN]", Picture()),
    )
    merged = merge_replies([mixed, mixed])
    assert [call.routes for call in merged.calls] == [(0, 3), (1, 4), (2,), (5,)]
    assert [p.phrases for p in merged.predictions[:2]] == [("ape", "ape"), ("bee", "bee")]


def test_nothing_to_merge():
    with pytest.raises(InputError, match="at least one reply"):
        merge_replies([])


@st.composite
def replies(draw):
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    scores = draw(st.lists(st.sampled_from((0.1, 0.5, 0.5, 0.9)), max_size=4))
    labels = [draw(st.integers(0, len(names) - 1)) for _ in scores]
    token = draw(st.sampled_from(("[DET]", "[SEG]")))
    return reply((token, found(names, sorted(scores, reverse=True), labels)))


@given(st.lists(replies(), min_size=2, max_size=5), st.integers(1, 6), st.integers(1, 4))
def test_merging_in_steps_is_merging_at_once(parts, most, step):
    merged = parts[0]
    for first in range(1, len(parts), step):
        merged = merge_replies([merged, *parts[first : first + step]], most)
    assert same(merged, merge_replies(parts, most))


def test_a_part_that_says_nothing_readable_keeps_the_spans_of_the_next():
    bare = Reply("", "[DET]", routes=(Route(0, 1, "[DET]"),))
    named = Reply("dog", "<p>dog</p>[DET]", routes=(Route(0, 1, "[DET]", "dog", (0, 3)),))
    merged = merge_replies([bare, named])
    first, last = merged.routes[1].span
    assert merged.text[first:last] == "dog"


def test_calls_with_keypoints_stay_apart_and_keep_their_names():
    poses = [
        found((name, *"abc"[:count]), [0.5], [0], keypoints=torch.ones(1, count, 2))
        for name, count in (("ape", 1), ("bee", 3))
    ]
    sets = [KeypointSet(tuple(pose.phrases[1:])) for pose in poses]
    poses = [replace(pose, keypoint_set=one) for pose, one in zip(poses, sets, strict=True)]
    merged = merge_replies([reply(*(("[POSE]", pose) for pose in poses))])
    assert [p.keypoint_set for p in merged.predictions] == sets
    assert [tuple(p.keypoints.shape) for p in merged.predictions] == [(1, 1, 2), (1, 3, 2)]
