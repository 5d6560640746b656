"""Pose metrics on hand-made replies, and on COCO's people those of pycocotools on the file; the
figures themselves are tested in `metrics/`."""

from __future__ import annotations

import contextlib
import io
import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from superlink.data.readers.coco_keypoints import read_coco_keypoints
from superlink.errors import InputError
from superlink.evaluation import PoseEvaluator
from superlink.interfaces import (
    IMAGE,
    Call,
    InstancePrediction,
    KeypointSet,
    Message,
    Reply,
    Route,
    RouteFailure,
    Sample,
)
from superlink.tasks.pose import pose_conversation

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pycocotools")

PERSON = KeypointSet(("nose", "left knee", "right knee"), (0.03, 0.08, 0.08))
HORSE = KeypointSet(("root of tail", "nose"))
BOXES = [(10.0, 10.0, 50.0, 90.0), (60.0, 20.0, 90.0, 80.0)]
POINTS = [[(30, 15), (20, 70), (40, 70)], [(75, 25), (65, 60), (85, 60)]]
ERRORS = ("unknown_names", "duplicate_names", "absent_rate", "NME", "median_error_px")


def _target(name="person", known=PERSON, boxes=BOXES, points=POINTS, seen=None, **more):
    points = torch.tensor(points, dtype=torch.float32).reshape(len(boxes), len(known), 2)
    return {
        "bboxes": torch.tensor(boxes).reshape(-1, 4),
        "labels": torch.zeros(len(boxes), dtype=torch.long),
        "names": (name,),
        "size": (100, 100),
        "keypoints": points,
        "keypoints_visible": torch.full(points.shape[:2], 2.0)
        if seen is None
        else torch.tensor(seen, dtype=torch.float32),
        "keypoint_set": known,
        **more,
    }


HORSES = _target("horse", HORSE, [(5.0, 50.0, 95.0, 95.0)], [[(90, 60), (10, 55)]])
ABSENT = _target("horse", HORSE, [], [])


def _sample(*targets):
    messages = (Message("user", (IMAGE, "Where?")), Message("assistant", "ok"))
    targets = targets or (_target(),)
    return Sample(messages, (Image.new("RGB", (100, 100)),), targets=targets, key="one")


def _found(name="person", known=PERSON, boxes=BOXES, points=POINTS, scores=None):
    points = torch.tensor(points, dtype=torch.float32).reshape(len(boxes), len(known), 2)
    return InstancePrediction(
        torch.tensor(boxes).reshape(-1, 4),
        torch.tensor([0.9, 0.8, 0.7][: len(boxes)] if scores is None else scores),
        torch.zeros(len(boxes), dtype=torch.long),
        (name, *known.names),
        keypoints=points,
        keypoint_scores=torch.ones(points.shape[:2]),
        keypoint_set=known,
    )


def _reply(*predictions):
    routes, calls = [], []
    for found in predictions:
        first = len(routes)
        for place, phrase in enumerate(found.phrases):
            routes.append(Route(0, 1, "[KPT]" if place else "[POSE]", phrase))
        calls.append(Call(0, 1, "toy", tuple(range(first, len(routes))), 0))
    return Reply("", "", tuple(routes), tuple(calls), predictions)


def _all(target):
    """What finds all of a target."""
    return _found(
        target["names"][0],
        target["keypoint_set"],
        target["bboxes"].tolist(),
        target["keypoints"].tolist(),
    )


def _row(sample, reply, **options):
    return json.loads(json.dumps(PoseEvaluator(**options).measure(sample, reply)))


def _metrics(*pairs, **options):
    return PoseEvaluator(**options).summarize([_row(*pair, **options) for pair in pairs])


def test_perfect_replies_score_one():
    targets = (_target(), HORSES)
    metrics = _metrics((_sample(*targets), _reply(*map(_all, targets))), crowdpose=True)
    assert set(metrics) == {
        *("OKS_AP", "OKS_AP50", "OKS_AP75", "OKS_AP_medium", "OKS_AR20"),
        *("crowdpose_AP", "crowdpose_AP50", "crowdpose_AP75", "crowdpose_AP_hard"),
        *("PCK@0.1", "PCK@0.2", "NME", "median_error_px", "box_AP", "box_AP50"),
        *("list_exact", "routing_recall", "routing_precision", "unknown_names", "duplicate_names"),
    }
    for name, value in metrics.items():
        assert value == pytest.approx(0.0 if name in ERRORS else 1.0)


def test_replies_without_a_call_score_zero():
    metrics = _metrics((_sample(), Reply("no idea", "no idea")))
    assert metrics["OKS_AP"] == metrics["PCK@0.2"] == metrics["box_AP50"] == 0.0
    assert metrics["routing_recall"] == 0.0
    assert "NME" not in metrics and "absent_rate" not in metrics


def test_a_call_that_failed_found_nothing():
    reply = _reply(_all(HORSES))
    call = Call(0, 1, "toy", (0,), 0)
    failed = replace(reply, calls=(), predictions=(), failures=(RouteFailure(call, "why"),))
    metrics = _metrics((_sample(HORSES), failed))
    assert metrics["PCK@0.1"] == metrics["box_AP"] == 0.0
    assert metrics["routing_recall"] == 1.0


def test_points_are_compared_by_their_names():
    order = [2, 0, 1]
    names = ["the Right-Knee", "Nose", "LEFT KNEE"]
    points = [[part[i] for i in order] for part in POINTS]
    metrics = _metrics((_sample(), _reply(_found(known=KeypointSet(tuple(names)), points=points))))
    assert [metrics[n] for n in ("OKS_AP", "PCK@0.1")] == pytest.approx([1.0] * 2)
    assert metrics["routing_recall"] == metrics["routing_precision"] == 1.0
    assert metrics["list_exact"] == 0.0


def test_a_point_that_was_not_answered_is_missed():
    known = KeypointSet(("left knee", "nose"))
    points = [[part[1], part[0]] for part in POINTS]
    metrics = _metrics((_sample(), _reply(_found(known=known, points=points))))
    assert metrics["PCK@0.1"] == pytest.approx(2 / 3)
    assert metrics["median_error_px"] == 0.0
    assert metrics["OKS_AP50"] == pytest.approx(1.0) and metrics["OKS_AP75"] == 0.0
    assert metrics["routing_recall"] == pytest.approx(3 / 4)
    assert metrics["routing_precision"] == 1.0


def test_a_point_that_nobody_asked_for_lowers_the_precision_of_routing_alone():
    known = KeypointSet((*PERSON.names, "tail"))
    points = [[*part, (0, 0)] for part in POINTS]
    sample, reply = _sample(), _reply(_found(known=known, points=points))
    metrics = _metrics((sample, reply))
    assert [metrics[n] for n in ("OKS_AP", "PCK@0.1")] == pytest.approx([1.0] * 2)
    assert metrics["routing_precision"] == pytest.approx(4 / 5)
    (remark,) = (r for r in PoseEvaluator().remarks([_row(sample, reply)]) if "no class" in r)
    assert "'person: tail' (1)" in remark


def test_errors_are_measured_in_pixels_and_boxes():
    moved = [[(x + 6, y) for x, y in part] for part in POINTS]
    seen = [[2, 1, 2], [2, 0, 2]]
    metrics = _metrics((_sample(_target(seen=seen)), _reply(_found(points=moved))))
    # Boxes of 40 x 80 and 30 x 60: 6 pixels are within a tenth of the longer side, 8 and 6.
    assert metrics["PCK@0.1"] == 1.0
    assert metrics["median_error_px"] == 6.0
    assert metrics["NME"] == pytest.approx((3 * 6 / math.sqrt(3200) + 2 * 6 / math.sqrt(1800)) / 5)
    farther = [[(x + 7, y) for x, y in part] for part in POINTS]
    metrics = _metrics((_sample(_target(seen=seen)), _reply(_found(points=farther))))
    assert metrics["PCK@0.1"] == pytest.approx(3 / 5)
    assert metrics["PCK@0.2"] == 1.0


def test_an_instance_that_was_not_found_is_missed():
    reply = _reply(_found(boxes=BOXES[:1], points=POINTS[:1]))
    metrics = _metrics((_sample(), reply))
    assert metrics["PCK@0.1"] == metrics["OKS_AR20"] == pytest.approx(0.5)


def test_an_instance_without_a_labelled_point_is_neither_right_nor_wrong():
    target = _target(seen=[[2, 2, 2], [0, 0, 0]])
    both = _metrics((_sample(target), _reply(_found(scores=[0.5, 0.9]))))
    one = _metrics((_sample(target), _reply(_found(boxes=BOXES[:1], points=POINTS[:1]))))
    assert both["OKS_AP"] == one["OKS_AP"] == pytest.approx(1.0)
    assert both["PCK@0.1"] == one["PCK@0.1"] == 1.0
    assert both["box_AP"] == pytest.approx(1.0) and one["box_AP"] < 0.6


def test_a_crowd_is_neither_right_nor_wrong():
    crowd = {
        "ignored_bboxes": torch.tensor(BOXES[1:]),
        "ignored_labels": torch.tensor([0]),
    }
    target = _target(boxes=BOXES[:1], points=POINTS[:1], **crowd)
    metrics = _metrics((_sample(target), _reply(_found(scores=[0.5, 0.9]))))
    assert [metrics[n] for n in ("OKS_AP", "box_AP", "PCK@0.1")] == pytest.approx([1.0] * 3)
    alone = _target(boxes=[], points=[], **crowd)
    metrics = _metrics((_sample(), _reply(_found())), (_sample(alone), _reply(_found())))
    assert "absent_rate" not in metrics


@pytest.mark.parametrize("answer", ["horse", "zebra", "person"])
def test_what_was_found_of_an_absent_class_counts(answer):
    here = (_sample(), _reply(_found()))
    for scores, rate in (([0.31, 0.1], 1.0), ([0.29, 0.1], 0.0)):
        found = _found(answer, HORSE, BOXES, [[(1, 1)] * 2] * 2, scores)
        assert _metrics(here, (_sample(ABSENT), _reply(found)))["absent_rate"] == rate
    nothing = _reply(_found(answer, HORSE, [], []))
    assert _metrics(here, (_sample(ABSENT), nothing))["absent_rate"] == 0.0


def test_an_absent_class_may_stand_beside_one_that_is_there():
    sample = _sample(_target(), ABSENT)
    quiet = _reply(_found(), _found("horse", HORSE, [], []))
    loud = _reply(_found(), _found("horse", HORSE, BOXES[:1], [[(1, 1), (2, 2)]]))
    metrics = _metrics((sample, quiet), (sample, loud))
    assert metrics["absent_rate"] == 0.5
    assert [metrics[n] for n in ("OKS_AP", "list_exact")] == pytest.approx([1.0] * 2)


def test_absent_classes_alone_are_something_to_measure():
    metrics = _metrics((_sample(ABSENT), _reply(_found("horse", HORSE, [], []))))
    assert metrics["absent_rate"] == 0.0
    assert not {"OKS_AP", "PCK@0.1", "NME", "box_AP"} & set(metrics)


def test_without_rows_there_is_nothing_to_measure():
    with pytest.raises(InputError, match="at least one annotated instance"):
        PoseEvaluator().summarize([])


def test_classes_with_different_points_are_a_mean():
    sample = _sample(_target(), HORSES)
    metrics = _metrics((sample, _reply(_all(_target()), _found("horse", HORSE, [], []))))
    assert [metrics[n] for n in ("OKS_AP", "box_AP")] == pytest.approx([0.5] * 2)
    assert metrics["PCK@0.1"] == pytest.approx(6 / 8)


def test_parts_of_the_points_may_be_asked_for_in_each_image():
    known = PERSON.part(["right knee"])
    target = _target(known=known, points=[[part[2]] for part in POINTS])
    pairs = [(_sample(one), _reply(_all(one))) for one in (_target(), target)]
    metrics = _metrics(*pairs)
    assert [metrics[n] for n in ("OKS_AP", "PCK@0.1", "list_exact")] == pytest.approx([1.0] * 3)


def test_points_that_were_not_asked_for_count_in_neither_way():
    target = _target(known=PERSON.part(["nose"]), points=[[part[0]] for part in POINTS])
    wrong = [[part[0], (0, 0), (0, 0)] for part in POINTS]
    pairs = ((_sample(target), _reply(_found(points=wrong))), (_sample(), _reply(_found())))
    metrics = _metrics(*pairs)
    assert [metrics[n] for n in ("OKS_AP", "PCK@0.1")] == pytest.approx([1.0] * 2)


def test_several_classes_of_one_call_share_their_points():
    target = _target() | {"names": ("man", "woman"), "labels": torch.tensor([0, 1])}
    found = replace(_found(), phrases=("man", "woman", *PERSON.names), labels=torch.tensor([0, 1]))
    reply = _reply(found)
    tokens = ["[POSE]", "[POSE]", "[KPT]", "[KPT]", "[KPT]"]
    routes = [replace(r, token=t) for r, t in zip(reply.routes, tokens, strict=True)]
    metrics = _metrics((_sample(target), replace(reply, routes=tuple(routes))))
    assert metrics["OKS_AP"] == pytest.approx(1.0)
    assert metrics["list_exact"] == metrics["routing_recall"] == 1.0


def test_an_orphan_point_is_an_unknown_name():
    reply = replace(_reply(_found()), routes=(Route(0, 1, "[KPT]", "nose"),))
    score = _metrics((_sample(), reply))
    assert score["unknown_names"] == 1.0 and score["routing_precision"] == 0.0


def test_instances_without_keypoints_miss_them_and_have_a_box():
    found = replace(_found(), keypoints=None, keypoint_scores=None, keypoint_set=None)
    metrics = _metrics((_sample(), _reply(found)))
    assert metrics["box_AP"] == pytest.approx(1.0)
    assert metrics["OKS_AP"] == metrics["PCK@0.2"] == 0.0


def test_keypoints_without_names_are_refused():
    with pytest.raises(InputError, match="measured by their names"):
        _row(_sample(), _reply(replace(_found(), keypoint_set=None)))


def test_points_that_are_no_numbers_are_left_out():
    points = torch.tensor(POINTS, dtype=torch.float32)
    points[0, 1, 0] = torch.nan
    row = _row(_sample(), _reply(replace(_found(), keypoints=points)))
    assert PoseEvaluator().summarize([row])["PCK@0.1"] == 0.5
    assert any("not finite" in remark for remark in PoseEvaluator().remarks([row]))


@pytest.mark.parametrize("key", ["keypoint_set", "keypoints", "keypoints_visible", "bboxes"])
def test_a_target_that_lacks_something_is_refused(key):
    target = {name: value for name, value in _target().items() if name != key}
    with pytest.raises(InputError, match="Pose is measured against targets"):
        PoseEvaluator().measure(_sample(target), _reply(_found()))


def test_quality_is_that_of_sure_instances():
    evaluator = PoseEvaluator()
    assert evaluator.quality(_row(_sample(), _reply(_found()))) == 1.0
    assert evaluator.quality(_row(_sample(), _reply(_found(scores=[0.9, 0.2])))) == 0.5
    horse = _found("horse", HORSE, BOXES[:1], [[(1, 1)] * 2])
    assert evaluator.quality(_row(_sample(ABSENT), _reply(horse))) == 0.0
    weak = replace(horse, scores=torch.tensor([0.1]))
    assert evaluator.quality(_row(_sample(ABSENT), _reply(weak))) == 1.0


def test_remarks_tell_where_boxes_areas_and_sigmas_come_from():
    area = {"areas": torch.tensor([900.0, 800.0])}
    sample = _sample(_target(**area), HORSES)
    rows = [_row(sample, _reply(_found())), _row(_sample(_target(**area)), _reply(_found()))]
    remarks = PoseEvaluator(crowdpose=True).remarks(rows)
    assert "the boxes are the model's own" in remarks[0]
    assert remarks[1] == (
        "OKS takes the areas that the data set states, 2 of 5, and 0.53 of the box for the others."
    )
    assert remarks[2] == (
        "Sigmas of OKS: person 3 keypoints, 0.03 to 0.08; horse 2 keypoints, 0.05, the default."
    )
    assert "CrowdPose's protocol: 1 easy, 0 medium, 1 hard images" in remarks[3]
    whole = _found(boxes=[(0.0, 0.0, 100.0, 100.0)], points=POINTS[:1])
    assert "given boxes" in PoseEvaluator().remarks([_row(_sample(), _reply(whole))])[0]


def test_an_area_of_the_data_set_says_how_exact_points_must_be():
    moved = [[(x + 4, y) for x, y in part] for part in POINTS]
    small, large = (
        _metrics((_sample(_target(areas=torch.tensor([area] * 2))), _reply(_found(points=moved))))
        for area in (100.0, 9000.0)
    )
    assert small["OKS_AP"] < 0.3 < 0.8 < large["OKS_AP"]
    assert "OKS_AP_medium" not in small and "OKS_AP_medium" in large


@settings(max_examples=6, deadline=None)
@given(st.permutations(range(6)), st.permutations(range(3)), st.integers(0, 9))
def test_the_order_of_instances_and_points_does_not_matter(order, places, seed):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 50, (6, 2))
    boxes = np.concatenate([low, low + rng.uniform(20, 50, (6, 2))], axis=1).astype(np.float32)
    points = rng.uniform(low[:, None], low[:, None] + 30, (6, 3, 2)).astype(np.float32)
    near = (points + rng.normal(0, 3, points.shape)).astype(np.float32)
    scores = rng.random(6).astype(np.float32)
    sample = _sample(_target(boxes=boxes.tolist(), points=points.tolist()))
    found = _found(boxes=boxes.tolist(), points=near.tolist(), scores=scores.tolist())
    known = KeypointSet(tuple(PERSON.names[i] for i in places))
    mixed = found.select(torch.tensor(order))
    mixed = replace(
        mixed,
        keypoints=mixed.keypoints[:, torch.tensor(places)],
        keypoint_set=known,
        phrases=("person", *known.names),
    )
    metrics = [_metrics((sample, _reply(one))) for one in (found, mixed)]
    for one in metrics:
        del one["list_exact"]
    assert metrics[0] == pytest.approx(metrics[1], abs=1e-9)
    turned = {
        key: value[torch.tensor(order)] if torch.is_tensor(value) else value
        for key, value in sample.targets[0].items()
    }
    other = _metrics((_sample(turned), _reply(found)))
    assert {name: other[name] for name in metrics[0]} == pytest.approx(metrics[0], abs=1e-9)


def _jittered(target, rng):
    """Most people, moved; and one that is not there."""
    keep = torch.from_numpy(rng.random(len(target["bboxes"])) < 0.9)
    sizes = (target["bboxes"][keep, 2:] - target["bboxes"][keep, :2]).prod(dim=1).sqrt()
    shape = (int(keep.sum()), 17, 2)
    moved = (
        target["keypoints"][keep]
        + torch.from_numpy(rng.normal(0, 0.03, shape)).float() * (sizes[:, None, None])
    )
    points = torch.cat([moved, torch.from_numpy(rng.uniform(0, 300, (1, 17, 2))).float()])
    boxes = torch.cat([target["bboxes"][keep], torch.tensor([[5.0, 5.0, 60.0, 90.0]])])
    scores = rng.random(len(boxes)).tolist()
    return _found("person", target["keypoint_set"], boxes.tolist(), points.tolist(), scores)


def _results(found, image_id):
    """The prediction as a results file of COCO has it."""
    for points, score in zip(found.keypoints, found.scores.tolist(), strict=True):
        flat = torch.cat([points, torch.ones(17, 1)], dim=1).flatten().tolist()
        yield {"image_id": image_id, "category_id": 1, "keypoints": flat, "score": score}


@pytest.mark.parametrize("name", ["person_keypoints_train", "person_keypoints_val"])
def test_metrics_are_those_of_pycocotools_on_the_file(coco_mini, name):
    file = coco_mini / f"{name}.json"
    ids = [entry["id"] for entry in json.loads(file.read_text())["images"]]
    records = read_coco_keypoints(file, coco_mini / "images")
    rng = np.random.default_rng(0)
    pairs, results = [], []
    for image_id, record in zip(ids, records, strict=True):
        sample = pose_conversation(record, random.Random(0), False)
        found = _jittered(sample.targets[0], rng)
        pairs.append((sample, _reply(found)))
        results += _results(found, image_id)
    expected = _pycocotools(file, results)
    metrics = _metrics(*pairs)
    found = {key: value for key, value in metrics.items() if key.startswith("OKS_")}
    assert found == pytest.approx(expected, abs=1e-6)
    assert 0.05 < found["OKS_AP"] < 0.95
    assert metrics["list_exact"] == 1.0


def _pycocotools(file, results):
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(file)
        evaluation = COCOeval(coco, coco.loadRes(results), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    names = ("AP", "AP50", "AP75", "AP_medium", "AP_large", "AR20")
    stats = dict(zip(names, evaluation.stats.tolist(), strict=False))
    return {f"OKS_{name}": value for name, value in stats.items() if value >= 0}
