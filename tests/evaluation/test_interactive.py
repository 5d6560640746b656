"""Masks of routes against what regions mark, on hand-made replies."""

from __future__ import annotations

import json

import pytest
import torch

from superlink.errors import InputError
from superlink.evaluation import InteractiveEvaluator
from superlink.interfaces import Call, InstancePrediction, Message, Reply, Route, Sample

ONE, TWO, THREE = (0, 0, 10, 10), (10, 0, 20, 10), (0, 10, 20, 20)


def _masks(boxes, size=20):
    masks = torch.zeros(len(boxes), size, size, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = True
    return masks


def _sample(*boxes, prompts=None, **keys):
    target = {
        "bboxes": torch.tensor(boxes).float(),
        "labels": torch.arange(len(boxes)),
        "names": tuple(f"region {i + 1}" for i in range(len(boxes))),
        "masks": _masks(boxes),
        "prompts": prompts or ("point",) * len(boxes),
        **keys,
    }
    return Sample((Message("user", "?"), Message("assistant", "!")), targets=(target,), key="one")


def _prediction(
    boxes, labels, phrases=("region 1", "region 2", "region 3"), scores=None, masks=...
):
    return InstancePrediction(
        torch.tensor(boxes).reshape(-1, 4).float(),
        torch.tensor(scores or [0.9] * len(boxes)),
        torch.tensor(labels, dtype=torch.long),
        phrases,
        _masks(boxes) if masks is ... else masks,
    )


def _reply(*predictions):
    routes = tuple(Route(0, 1, "[GRD]", p) for found in predictions for p in found.phrases)
    calls = tuple(Call(0, 1, "toy", (i,), 0) for i in range(len(predictions)))
    return Reply("", "", routes, calls, predictions)


NOTHING = Reply("No.", "")
PERFECT = _reply(_prediction([ONE, TWO, THREE], [0, 1, 2]))
SAMPLE = _sample(ONE, TWO, THREE)


def _metrics(*pairs):
    evaluator = InteractiveEvaluator()
    rows = [json.loads(json.dumps(evaluator.measure(*pair))) for pair in pairs]
    return evaluator.summarize(rows)


def test_perfect_replies_score_one_and_the_evaluator_keeps_nothing():
    assert _metrics((SAMPLE, PERFECT)) == {"mIoU": 1.0, "cIoU": 1.0, "P@0.5": 1.0}
    assert _metrics((SAMPLE, PERFECT), (SAMPLE, PERFECT))["mIoU"] == 1.0


def test_a_mask_of_another_region_is_wrong():
    swapped = _reply(_prediction([TWO, ONE, THREE], [0, 1, 2]))
    metrics = _metrics((SAMPLE, swapped))
    assert metrics["mIoU"] == metrics["P@0.5"] == pytest.approx(1 / 3)
    assert metrics["cIoU"] == pytest.approx(200 / (200 + 200 + 200))


def test_a_missing_answer_counts_as_zero_whatever_came_before():
    """The release took the truth of the item before it, D4."""
    partial = _reply(_prediction([ONE], [0]))
    metrics = _metrics((SAMPLE, PERFECT), (SAMPLE, partial), (SAMPLE, NOTHING))
    assert metrics["mIoU"] == metrics["P@0.5"] == pytest.approx(4 / 9)
    assert metrics["cIoU"] == pytest.approx((400 + 100) / (400 + 400 + 400))
    rows = [InteractiveEvaluator().measure(SAMPLE, reply) for reply in (partial, NOTHING)]
    assert InteractiveEvaluator().remarks(rows) == (
        "5 of 6 regions have no answer; they count as 0.",
    )


def test_the_best_instance_of_a_route_answers():
    found = _prediction([TWO, ONE], [0, 0], scores=[0.2, 0.7])
    assert _metrics((_sample(ONE), _reply(found)))["mIoU"] == 1.0
    found = _prediction([TWO, ONE], [0, 0], scores=[0.8, 0.7])
    assert _metrics((_sample(ONE), _reply(found)))["mIoU"] == 0.0


def test_routes_answer_by_their_numbers_and_otherwise_by_their_places():
    named = _prediction([TWO, ONE], [0, 1], ("Region 2", "region 1"))
    assert _metrics((_sample(ONE, TWO), _reply(named)))["mIoU"] == 1.0
    bare = _prediction([ONE, TWO], [0, 1], ("", ""))
    assert _metrics((_sample(ONE, TWO), _reply(bare)))["mIoU"] == 1.0
    called = _prediction([ONE, TWO], [0, 1], ("a cup", "a cup"))
    assert _metrics((_sample(ONE, TWO), _reply(called)))["mIoU"] == 1.0
    other = _prediction([ONE, TWO], [0, 1], ("cup", "region 2"))
    assert _metrics((_sample(ONE, TWO), _reply(other)))["mIoU"] == 0.5
    apart = (_prediction([TWO], [0], ("region 2",)), _prediction([ONE], [0], ("region 1",)))
    assert _metrics((_sample(ONE, TWO), _reply(*apart)))["mIoU"] == 1.0


def test_soft_masks_and_void_pixels():
    soft = torch.zeros(1, 20, 20)
    soft[0, :10, :10], soft[0, :10, 10:] = 0.8, 0.4
    found = _prediction([ONE], [0], masks=soft)
    assert _metrics((_sample(ONE), _reply(found)))["mIoU"] == 1.0
    void = torch.zeros(20, 20, dtype=torch.bool)
    void[:, 10:] = True
    wide = _prediction([(0, 0, 20, 10)], [0])
    assert _metrics((_sample(ONE), _reply(wide)))["mIoU"] == 0.5
    assert _metrics((_sample(ONE, void=void), _reply(wide)))["mIoU"] == 1.0


def test_kinds_are_measured_apart_where_there_are_several():
    sample = _sample(ONE, TWO, prompts=("point", "box"))
    metrics = _metrics((sample, _reply(_prediction([ONE], [0]))))
    assert metrics["mIoU/point"] == metrics["cIoU/point"] == metrics["P@0.5/point"] == 1.0
    assert metrics["mIoU/box"] == metrics["cIoU/box"] == metrics["P@0.5/box"] == 0.0
    assert metrics["mIoU"] == metrics["cIoU"] == 0.5


def test_shuffled_images_with_one_object_count_for_nothing():
    pair = _sample(ONE, TWO, shuffled=True), _reply(_prediction([TWO, ONE], [0, 1]))
    alone = _sample(ONE, shuffled=False), _reply(_prediction([ONE], [0]))
    assert _metrics(pair, alone)["mIoU"] == 0.0
    rows = [InteractiveEvaluator().measure(*one) for one in (pair, alone)]
    (remark,) = InteractiveEvaluator().remarks(rows)
    assert remark.endswith("Left out, as they show one object alone: 1 images.")
    with pytest.raises(InputError, match="an image with two objects"):
        _metrics(alone)


def test_quality_is_the_mean_iou():
    evaluator = InteractiveEvaluator()
    row = evaluator.measure(_sample(ONE, TWO), _reply(_prediction([ONE], [0])))
    assert evaluator.quality(row) == 0.5


def test_replies_without_masks_and_samples_without_targets_are_refused():
    bare = _prediction([ONE], [0], masks=None)
    with pytest.raises(InputError, match="Choose a decoder that gives such masks"):
        _metrics((_sample(ONE), _reply(bare)))
    with pytest.raises(InputError, match="'prompts'"):
        _metrics((Sample((Message("user", "?"),)), NOTHING))
