"""Detection metrics on hand-made replies, and against pycocotools itself."""

from __future__ import annotations

import contextlib
import io
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from superlink.errors import InputError, MissingDependencyError
from superlink.evaluation import DetectionEvaluator
from superlink.evaluation.average_precision import BoxRecord, average_precision
from superlink.interfaces import IMAGE, Call, InstancePrediction, Message, Reply, Route, Sample

BOXES = [(10.0, 10.0, 50.0, 50.0), (60.0, 20.0, 90.0, 80.0)]


def _sample(boxes=BOXES, labels=(0, 1), names=("cat", "dog", "owl")):
    target = {
        "bboxes": torch.tensor(boxes).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.long),
        "names": names,
    }
    messages = (Message("user", (IMAGE, "Find")), Message("assistant", "ok"))
    return Sample(messages, (Image.new("RGB", (100, 100)),), targets=(target,), key="one")


def _reply(boxes=BOXES, labels=(0, 1), phrases=("cat", "dog", "owl"), scores=None):
    scores = torch.full((len(boxes),), 0.9) if scores is None else torch.tensor(scores)
    prediction = InstancePrediction(
        torch.tensor(boxes).reshape(-1, 4),
        scores,
        torch.tensor(labels, dtype=torch.long),
        phrases,
    )
    routes = tuple(Route(0, 1, "[DET]", phrase) for phrase in phrases)
    call = Call(0, 1, "toy", tuple(range(len(phrases))), 0)
    return Reply("", "", routes, (call,), (prediction,))


def _metrics(*pairs):
    evaluator = DetectionEvaluator()
    return evaluator.summarize([evaluator.measure(sample, reply) for sample, reply in pairs])


def _shifted(by):
    return [(x1 + by, y1, x2 + by, y2) for x1, y1, x2, y2 in BOXES]


def test_perfect_replies_score_one():
    metrics = _metrics((_sample(), _reply()), (_sample(), _reply()))
    assert set(metrics) == {
        *("box_AP", "box_AP50", "box_AP75"),
        *("list_exact", "routing_recall", "routing_precision"),
    }
    assert all(value == pytest.approx(1.0) for value in metrics.values())


def test_replies_without_a_call_score_zero():
    metrics = _metrics((_sample(), Reply("no idea", "no idea")))
    assert all(value == 0.0 for value in metrics.values())


def test_shifted_boxes_pass_the_loose_threshold_only():
    # Boxes 40 and 30 wide, shifted by 8: IoU 32 / 48 = .67 and 22 / 38 = .58.
    metrics = _metrics((_sample(), _reply(_shifted(8.0))))
    assert metrics["box_AP50"] == pytest.approx(1.0)
    assert metrics["box_AP75"] == 0.0
    assert metrics["box_AP"] == pytest.approx((4 / 10 + 2 / 10) / 2)


def test_wrong_classes_score_zero_though_the_routes_are_right():
    metrics = _metrics((_sample(), _reply(labels=(1, 0))))
    assert metrics["box_AP50"] == 0.0
    assert metrics["list_exact"] == metrics["routing_recall"] == 1.0


def test_a_class_that_was_not_routed_is_missed():
    reply = _reply(BOXES[:1], (0,), ("cat",))
    metrics = _metrics((_sample(), reply))
    assert metrics["box_AP50"] == pytest.approx(0.5)
    assert metrics["routing_recall"] == pytest.approx(1 / 3)
    assert metrics["routing_precision"] == 1.0
    assert metrics["list_exact"] == 0.0


def test_an_unknown_phrase_lowers_the_precision_of_routing_alone():
    reply = _reply([*BOXES, (0.0, 0.0, 9.0, 9.0)], (0, 1, 3), ("cat", "dog", "owl", "yeti"))
    metrics = _metrics((_sample(), reply))
    assert metrics["box_AP"] == pytest.approx(1.0)
    assert metrics["routing_precision"] == pytest.approx(3 / 4)
    assert metrics["routing_recall"] == 1.0


def test_phrases_are_compared_without_case_and_spaces():
    metrics = _metrics((_sample(), _reply(phrases=(" Cat", "DOG ", "owl"))))
    assert metrics["list_exact"] == 1.0
    assert metrics["box_AP"] == pytest.approx(1.0)


def test_a_list_in_another_order_is_not_exact():
    metrics = _metrics((_sample(), _reply(labels=(1, 0), phrases=("dog", "cat", "owl"))))
    assert metrics["list_exact"] == 0.0
    assert metrics["routing_recall"] == 1.0
    assert metrics["box_AP"] == pytest.approx(1.0)


def test_a_name_routed_twice_is_right_once():
    metrics = _metrics((_sample(), _reply(phrases=("cat", "dog", "owl", "owl"))))
    assert metrics["routing_precision"] == pytest.approx(3 / 4)


def test_images_are_kept_apart():
    empty = _sample([], (), ("cat",))
    metrics = _metrics((_sample(), _reply([], ())), (empty, _reply()))
    assert metrics["box_AP50"] == 0.0


def test_target_without_its_keys_is_refused():
    sample = Sample((Message("user", "hi"),), targets=({"bboxes": torch.zeros(0, 4)},), key="odd")
    with pytest.raises(InputError, match="'odd'"):
        DetectionEvaluator().measure(sample, _reply())


def test_metrics_without_ground_truth_is_refused():
    with pytest.raises(InputError, match="at least one annotated box"):
        DetectionEvaluator().summarize([])


def test_missing_pycocotools_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(MissingDependencyError, match=r"superlink\[eval\]"):
        _metrics((_sample(), _reply()))


def _random_records(rng, num_images):
    names = ("ape", "bee", "cat")
    records = []
    for image in range(num_images):
        for _ in range(int(rng.integers(1, 6))):
            x, y, w, h = (float(v) for v in rng.uniform([0, 0, 5, 5], [60, 60, 80, 80]))
            name = names[rng.integers(3)]
            records.append(BoxRecord(image, name, (x, y, x + w, y + h)))
    return records


@pytest.mark.filterwarnings("ignore::DeprecationWarning:pycocotools")
def test_average_precision_is_that_of_pycocotools(capsys):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    rng = np.random.default_rng(0)
    truths = _random_records(rng, 12)
    near = [
        BoxRecord(
            t.image,
            t.category if rng.random() < 0.8 else "cat",
            tuple(float(v + rng.normal(0, 4)) for v in t.bbox),
            float(rng.random()),
        )
        for t in truths
        if rng.random() < 0.9
    ]
    found = average_precision(truths, near, 12)
    assert capsys.readouterr().out == ""

    ids = {"ape": 1, "bee": 2, "cat": 3}

    def entry(record, number):
        x1, y1, x2, y2 = record.bbox
        return {
            "id": number,
            "image_id": record.image,
            "category_id": ids[record.category],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1),
            "iscrowd": 0,
            "score": record.score,
        }

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": i} for i in range(12)],
            "categories": [{"id": i, "name": n} for n, i in ids.items()],
            "annotations": [entry(t, i) for i, t in enumerate(truths, 1)],
        }
        coco.createIndex()
        results = coco.loadRes([entry(p, i) for i, p in enumerate(near, 1)])
        evaluation = COCOeval(coco, results, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert list(found.values()) == pytest.approx(evaluation.stats[:3].tolist(), abs=1e-12)
    assert 0.05 < found["box_AP"] < 0.95
