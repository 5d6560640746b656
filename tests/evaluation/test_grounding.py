"""Expressions and the regions that answer them, on hand-made replies."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from superlink.errors import ConfigError, InputError
from superlink.evaluation import GroundingEvaluator
from superlink.interfaces import IMAGE, Call, InstancePrediction, Message, Reply, Route, Sample

CUP, LAMP = (10, 10, 50, 50), (60, 20, 90, 80)


def _masks(boxes):
    masks = torch.zeros(len(boxes), 100, 100, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = True
    return masks


def _sample(*targets):
    messages = (Message("user", (IMAGE, "Where?")), Message("assistant", "Here."))
    return Sample(messages, (Image.new("RGB", (100, 100)),), targets=targets, key="one")


def _target(boxes=(CUP,), labels=None, names=("",), masks=True, void=None):
    target = {
        "bboxes": torch.tensor(boxes).reshape(-1, 4).float(),
        "labels": torch.tensor(labels or [0] * len(boxes), dtype=torch.long),
        "names": names,
    }
    return {
        **target,
        **({"masks": _masks(boxes)} if masks else {}),
        **({} if void is None else {"void": void}),
    }


def _prediction(boxes=(CUP,), scores=None, labels=None, masks=True, regions=None, phrases=("",)):
    return InstancePrediction(
        torch.tensor(boxes).reshape(-1, 4).float(),
        torch.tensor(scores or [0.9] * len(boxes)),
        torch.tensor(labels or [0] * len(boxes), dtype=torch.long),
        phrases,
        _masks(regions or boxes) if masks else None,
    )


def _reply(*predictions):
    routes = tuple(Route(0, 1, "[GRD]") for _ in predictions)
    calls = tuple(Call(0, 1, "toy", (i,), 0) for i in range(len(predictions)))
    return Reply("", "", routes, calls, predictions)


NOTHING = Reply("There is no such thing.", "")


def _rows(*pairs, **options):
    evaluator = GroundingEvaluator(**options)
    return [evaluator.measure(sample, reply) for sample, reply in pairs]


def _metrics(*pairs, **options):
    return GroundingEvaluator(**options).summarize(_rows(*pairs, **options))


def test_perfect_replies_score_one():
    metrics = _metrics((_sample(_target()), _reply(_prediction())))
    assert metrics == {"P@0.5": 1.0, "cIoU": 1.0, "gIoU": 1.0, "mIoU": 1.0}


def test_the_best_instance_answers_alone():
    reply = _reply(_prediction([LAMP, CUP], [0.4, 0.6]))
    assert _metrics((_sample(_target()), reply))["P@0.5"] == 1.0
    reply = _reply(_prediction([LAMP, CUP], [0.6, 0.4]))
    assert _metrics((_sample(_target()), reply)) == dict.fromkeys(
        ("P@0.5", "cIoU", "gIoU", "mIoU"), 0.0
    )


@pytest.mark.parametrize(("right", "wanted"), [(30, 1.0), (31, 1.0), (29, 0.0)])
def test_half_an_overlap_is_enough(right, wanted):
    """As the demonstration of github.com/lichengunc/refer judges: `if IoU >= 0.5`."""
    sample = _sample(_target([(10, 10, 50, 50)], masks=False))
    reply = _reply(_prediction([(10, 10, right, 50)], masks=False))
    assert _metrics((sample, reply)) == {"P@0.5": wanted}


def test_a_reply_without_an_answer_counts_as_zero_whatever_came_before():
    good, bad = (_sample(_target()), _reply(_prediction())), (_sample(_target()), NOTHING)
    metrics = _metrics(good, bad)
    assert metrics == {"P@0.5": 0.5, "cIoU": 0.5, "gIoU": 0.5, "mIoU": 0.5}


def test_sums_weigh_pixels_and_means_weigh_images():
    large, small = _sample(_target([(0, 0, 100, 100)])), _sample(_target([(0, 0, 10, 10)]))
    metrics = _metrics(
        (large, _reply(_prediction([(0, 0, 100, 80)]))), (small, _reply(_prediction([LAMP])))
    )
    assert metrics["cIoU"] == pytest.approx(8000 / (10000 + 100 + 1800))
    assert metrics["gIoU"] == metrics["mIoU"] == pytest.approx(0.4)


def test_void_pixels_may_be_found_or_not():
    void = torch.zeros(100, 100, dtype=torch.bool)
    void[:, 50:] = True
    reply = _reply(_prediction([(10, 10, 90, 50)]))
    assert _metrics((_sample(_target()), reply))["gIoU"] == 0.5
    assert _metrics((_sample(_target(void=void)), reply))["gIoU"] == 1.0


@pytest.mark.parametrize("target", [(), (_target([]),)])
def test_what_refers_to_nothing_is_right_without_an_answer(target):
    empty = _sample(*target)
    cup = (_sample(_target()), _reply(_prediction()))
    assert _metrics(cup, (empty, NOTHING)) == {
        **{"P@0.5": 1.0, "cIoU": 1.0, "gIoU": 1.0, "mIoU": 1.0},
        "no_target_accuracy": 1.0,
    }
    metrics = _metrics(cup, (empty, _reply(_prediction([LAMP], [0.2]))))
    assert metrics["no_target_accuracy"] == 0.0
    assert metrics["cIoU"] == pytest.approx(1600 / 3400)
    assert (metrics["gIoU"], metrics["mIoU"]) == (0.5, 1.0)
    metrics = _metrics(cup, (empty, _reply(_prediction([LAMP], [0.2]))), threshold=0.3)
    assert metrics["no_target_accuracy"] == metrics["gIoU"] == 1.0


def test_remark_says_that_any_instance_was_an_answer():
    rows = _rows((_sample(), NOTHING), (_sample(_target()), _reply(_prediction())))
    (remark,) = GroundingEvaluator().remarks(rows)
    assert remark.startswith("1 of 2 expressions refer to nothing")
    assert GroundingEvaluator(threshold=0.3).remarks(rows) == ()
    assert GroundingEvaluator().remarks(rows[1:]) == ()


def test_several_objects_are_found_together_where_instances_are_merged():
    sample = _sample(_target([CUP, LAMP]))
    reply = _reply(_prediction([CUP, LAMP, (0, 90, 100, 100)], [0.9, 0.8, 0.1]))
    assert _metrics((sample, reply))["gIoU"] == pytest.approx(1600 / 3400)
    merged = _metrics((sample, reply), merge=True, threshold=0.3)
    assert (merged["P@0.5"], merged["gIoU"]) == (1.0, 1.0)


def test_each_name_of_a_call_is_an_expression():
    sample = _sample(_target([CUP, LAMP], [0, 1], names=("one", "two")))
    both = _prediction([LAMP, CUP], [0.9, 0.8], [1, 0], phrases=("one", "two"))
    one = _prediction([CUP], labels=[0], phrases=("one", "two"))
    assert _metrics((sample, _reply(both)))["mIoU"] == 1.0
    assert _metrics((sample, _reply(one)))["mIoU"] == 0.5


def test_targets_of_several_calls_meet_their_own_prediction():
    sample = _sample(_target([CUP]), _target([LAMP]))
    assert _metrics((sample, _reply(_prediction([CUP]), _prediction([LAMP]))))["mIoU"] == 1.0
    assert _metrics((sample, _reply(_prediction([CUP]))))["mIoU"] == 0.5
    extra = _reply(*[_prediction([CUP])] * 3)
    assert _metrics((sample, extra))["mIoU"] == 0.5


def test_metrics_of_masks_are_left_out_where_targets_or_replies_have_none():
    boxes = _reply(_prediction(masks=False))
    assert set(_metrics((_sample(_target()), boxes))) == {"P@0.5"}
    assert set(_metrics((_sample(_target(masks=False)), _reply(_prediction())))) == {"P@0.5"}


def test_remarks_say_why_metrics_of_masks_are_left_out():
    good = (_sample(_target()), _reply(_prediction()))
    bare = (_sample(_target()), _reply(_prediction(masks=False)))
    nothing = (_sample(_target()), NOTHING)
    assert _metrics(nothing) == {"P@0.5": 0.0}
    for pairs, why in (([good, bare], "1 of 2 expressions"), ([nothing], "no reply has")):
        (remark,) = GroundingEvaluator().remarks(_rows(*pairs))
        assert why in remark
    assert GroundingEvaluator().remarks(_rows(good, nothing)) == ()


def test_the_mask_may_be_elsewhere_than_the_box():
    reply = _reply(_prediction([CUP], regions=[LAMP]))
    metrics = _metrics((_sample(_target()), reply))
    assert (metrics["P@0.5"], metrics["cIoU"]) == (1.0, 0.0)


def test_quality_is_the_overlap():
    def quality(sample, reply):
        return GroundingEvaluator().quality(_rows((sample, reply))[0])

    half = (10, 10, 30, 50)
    assert quality(_sample(_target()), _reply(_prediction([half]))) == 0.5
    assert quality(_sample(_target(masks=False)), _reply(_prediction([half]))) == 0.5
    assert quality(_sample(_target()), NOTHING) == 0.0
    assert quality(_sample(), NOTHING) == 1.0
    assert quality(_sample(), _reply(_prediction())) == 0.0


def test_instances_that_are_not_finite_are_no_answer():
    rows = _rows((_sample(_target()), _reply(_prediction([CUP, LAMP], [float("nan"), 0.5]))))
    assert GroundingEvaluator().summarize(rows)["P@0.5"] == 0.0
    assert "1 instances had" in GroundingEvaluator().remarks(rows)[0]


def test_rows_come_back_from_json():
    rows = _rows(
        (_sample(_target([(3, 3, 10, 10)])), _reply(_prediction([(3, 3, 10, 9)]))),
        (_sample(), _reply(_prediction(masks=False))),
    )
    back = json.loads(json.dumps(rows))
    assert back == rows
    assert GroundingEvaluator().summarize(back) == GroundingEvaluator().summarize(rows)


def test_random_regions_follow_the_definition():
    rng = np.random.default_rng(0)
    pairs, ious, shared, whole = [], [], 0, 0
    for _ in range(8):
        low = rng.integers(0, 60, 2)
        truth = (*low.tolist(), *(low + rng.integers(5, 40, 2)).tolist())
        found = tuple(np.add(truth, rng.integers(-5, 5, 4)).clip(0).tolist())
        pairs.append((_sample(_target([truth])), _reply(_prediction([found]))))
        one, other = (mask[0].numpy() for mask in (_masks([truth]), _masks([found])))
        ious.append((one & other).sum() / (one | other).sum())
        shared, whole = shared + (one & other).sum(), whole + (one | other).sum()
    metrics = _metrics(*pairs)
    assert metrics["cIoU"] == pytest.approx(shared / whole)
    assert metrics["gIoU"] == pytest.approx(np.mean(ious))
    assert metrics["P@0.5"] == pytest.approx(np.mean(np.array(ious) >= 0.5))


def test_mistakes_are_refused():
    with pytest.raises(InputError, match=r"Grounding is measured against.*'one'"):
        GroundingEvaluator().measure(_sample({"names": ("",)}), NOTHING)
    with pytest.raises(InputError, match="at least one expression"):
        GroundingEvaluator().summarize([])
    with pytest.raises(ConfigError, match="threshold is from 0 to 1"):
        GroundingEvaluator(threshold=1.5)
    small = InstancePrediction(*_parts(), torch.zeros(1, 50, 50, dtype=torch.bool))
    with pytest.raises(InputError, match=r"\(100, 100\).*\(50, 50\).*'one'"):
        GroundingEvaluator().measure(_sample(_target()), _reply(small))


def _parts():
    prediction = _prediction()
    return prediction.bboxes, prediction.scores, prediction.labels, prediction.phrases
