"""Semantic segmentation on hand-made replies, and against torchmetrics."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from superlink.errors import InputError
from superlink.evaluation import SemanticEvaluator
from superlink.interfaces import Call, InstancePrediction, Message, Reply, Route, Sample

NAMES = ("sky", "sea", "sand")
MAP = np.repeat([[0, 0, 1, 2]], 4, axis=0)  # (4, 4)


def _masks(labels, count=3):
    return torch.from_numpy(np.stack([np.asarray(labels) == label for label in range(count)]))


def _sample(labels=MAP, names=NAMES, void=None, **more):
    target = {"masks": _masks(labels), "labels": torch.arange(3), "names": names, **more}
    target |= {} if void is None else {"void": torch.from_numpy(void)}
    return Sample((Message("user", "?"), Message("assistant", "!")), targets=(target,), key="one")


def _reply(masks, labels=(0, 1, 2), scores=(0.9, 0.9, 0.9), phrases=NAMES):
    prediction = InstancePrediction(
        torch.zeros(len(labels), 4),
        torch.tensor(scores),
        torch.tensor(labels, dtype=torch.long),
        phrases,
        masks,
    )
    routes = tuple(Route(0, 1, "[SEG]", phrase) for phrase in phrases)
    return Reply("", "", routes, (Call(0, 1, "toy", tuple(range(len(phrases))), 0),), (prediction,))


def _rows(*pairs, **options):
    return [SemanticEvaluator(**options).measure(*pair) for pair in pairs]


def _metrics(*pairs, **options):
    return SemanticEvaluator(**options).summarize(_rows(*pairs, **options))


def test_perfect_replies_score_one():
    metrics = _metrics((_sample(), _reply(_masks(MAP))))
    wrong = {"unknown_names", "duplicate_names"}
    assert all(value == float(name not in wrong) for name, value in metrics.items())
    assert {"mIoU", "mean_accuracy", "pixel_accuracy", "list_exact"} < metrics.keys()


def test_replies_without_a_call_score_zero():
    metrics = _metrics((_sample(), Reply("", "")))
    assert metrics["mIoU"] == metrics["pixel_accuracy"] == metrics["routing_recall"] == 0.0


def test_the_surest_instance_owns_a_pixel():
    everywhere = torch.ones(1, 4, 4) * 0.8
    masks = torch.cat([everywhere, _masks(MAP)[1:].float()])
    assert _metrics((_sample(), _reply(masks, scores=[0.5, 0.9, 0.9])))["mIoU"] == 1.0
    metrics = _metrics((_sample(), _reply(masks, scores=[0.7, 0.5, 0.9])))
    assert metrics["mIoU"] == pytest.approx((8 / 12 + 0 + 1) / 3)
    faint = _reply(torch.cat([everywhere * 0.5, masks[1:]]), scores=[0.9, 0.5, 0.9])
    assert _metrics((_sample(), faint))["mIoU"] == pytest.approx(2 / 3)


def test_several_instances_of_a_class_are_merged():
    halves = _masks(MAP)[0].repeat(2, 1, 1)
    halves[0, :2], halves[1, 2:] = False, False
    masks = torch.cat([halves, _masks(MAP)[1:]])
    reply = _reply(masks, (0, 0, 1, 2), [0.9, 0.3, 0.9, 0.9])
    assert _metrics((_sample(), reply))["mIoU"] == 1.0


def test_void_pixels_are_left_out():
    wrong = MAP.copy()
    wrong[0] = 2
    void = np.zeros((4, 4), bool)
    void[0] = True
    assert _metrics((_sample(), _reply(_masks(wrong))))["mIoU"] < 0.8
    assert _metrics((_sample(void=void), _reply(_masks(wrong))))["mIoU"] == 1.0


def test_phrases_are_understood_and_unknown_ones_take_their_pixels():
    masks = torch.cat([_masks(MAP), torch.ones(1, 4, 4, dtype=torch.bool)])
    phrases = ("The Sky", "ocean", "sand", "yeti")
    reply = _reply(masks, (0, 1, 2, 3), [0.9, 0.9, 0.9, 0.5], phrases)
    words = {"sea": ["ocean"]}
    metrics = _metrics((_sample(), reply), synonyms=words)
    assert (metrics["mIoU"], metrics["routing_precision"]) == (1.0, 0.75)
    assert metrics == _metrics((_sample(synonyms=words), reply))
    assert _metrics((_sample(), reply))["mIoU"] == pytest.approx(2 / 3)
    (remark,) = SemanticEvaluator().remarks(_rows((_sample(), reply)))
    assert "'ocean' (1), 'yeti' (1)" in remark
    surest = _reply(masks, (0, 1, 2, 3), [0.9, 0.9, 0.9, 1.0], phrases)
    assert _metrics((_sample(), surest), synonyms=words)["mIoU"] == 0.0


def test_a_class_that_was_not_asked_for_grows_its_union():
    asked = _sample(MAP.clip(1), ("fog", "sea", "sand"))
    masks = torch.cat([_masks(MAP.clip(1)), torch.ones(1, 4, 4, dtype=torch.bool)])
    stray = _reply(masks, (0, 1, 2, 3), [0.9, 0.9, 0.9, 1.0], ("fog", "sea", "sand", "sky"))
    metrics = _metrics((_sample(), _reply(_masks(MAP))), (asked, stray))
    # Sky has 8 pixels, and 16 more were given to it; sea 4 of 16, sand 4 of 8.
    assert metrics["mIoU"] == pytest.approx((8 / 24 + 4 / 16 + 4 / 8) / 3)


def test_instances_that_are_not_finite_take_no_pixels():
    masks = torch.cat([_masks(MAP).float(), torch.ones(1, 4, 4)])
    reply = _reply(masks, (0, 1, 2, 1), [0.9, 0.9, 0.9, float("nan")])
    assert _metrics((_sample(), reply))["mIoU"] == 1.0
    assert "1 instances had" in SemanticEvaluator().remarks(_rows((_sample(), reply)))[0]


def test_metrics_are_those_of_torchmetrics():
    rng = np.random.default_rng(0)
    truths = rng.integers(0, 3, (5, 4, 4))
    found = np.where(rng.random(truths.shape) < 0.6, truths, rng.integers(0, 3, truths.shape))
    voids = rng.random(truths.shape) < 0.2
    pairs = [
        (_sample(truth, void=void), _reply(_masks(labels)))
        for truth, labels, void in zip(truths, found, voids, strict=True)
    ]
    wanted = MulticlassJaccardIndex(3, ignore_index=255)(
        torch.from_numpy(found), torch.from_numpy(np.where(voids, 255, truths))
    )
    assert _metrics(*pairs)["mIoU"] == pytest.approx(float(wanted), abs=1e-6)


def test_quality_is_the_mean_over_the_classes_that_are_there():
    row = _rows((_sample(MAP.clip(0, 1)), _reply(_masks(MAP))))[0]
    assert SemanticEvaluator().quality(row) == pytest.approx((1 + 0.5) / 2)
    empty = _rows((_sample(np.full((4, 4), -1)), _reply(_masks(MAP))))[0]
    assert SemanticEvaluator().quality(empty) is None


def test_rows_come_back_from_json():
    rows = _rows((_sample(), _reply(_masks(MAP.T), phrases=("sky", "yeti", "sand"))))
    back = json.loads(json.dumps(rows))
    assert back == rows
    assert SemanticEvaluator().summarize(back) == SemanticEvaluator().summarize(rows)


def test_mistakes_are_refused():
    bare = Sample((Message("user", "?"),), targets=({"names": NAMES},), key="odd")
    with pytest.raises(InputError, match=r"Semantic segmentation is measured against.*'odd'"):
        SemanticEvaluator().measure(bare, Reply("", ""))
    twice = Sample((Message("user", "?"),), targets=_sample().targets * 2, key="two")
    with pytest.raises(InputError, match=r"1 call in a sample.*2 targets.*'two'"):
        SemanticEvaluator().measure(twice, Reply("", ""))
    for masks, received in ((None, "none"), (torch.zeros(3, 2, 2), r"\(3, 2, 2\)")):
        with pytest.raises(InputError, match=rf"\(4, 4\).*{received}.*'one'"):
            SemanticEvaluator().measure(_sample(), _reply(masks))
