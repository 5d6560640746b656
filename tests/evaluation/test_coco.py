"""From real annotation files through reader, conversation and evaluator: the numbers are those of
pycocotools on the file itself."""

from __future__ import annotations

import contextlib
import io
import json
import random

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from superlink.data.readers.coco import read_coco
from superlink.evaluation import DetectionEvaluator
from superlink.evaluation.metrics import Instance, average_precision
from superlink.interfaces import Call, InstancePrediction, Reply, Route
from superlink.tasks.detection import detection_conversation

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pycocotools")

REGIONS = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", None, None, "AR100")
POINTS = ("AP", "AP50", "AP75", "AP_medium", "AP_large", "AR20")


def _fake_reply(target, rng):
    """Most objects, moved and some of them under another name; crowds; and what is not there."""
    boxes, masks, labels = [], [], []
    height, width = target["size"]
    for bbox, mask, label in zip(
        target["bboxes"], target["masks"], target["labels"].tolist(), strict=True
    ):
        for _ in range(rng.integers(0, 3)):
            shift = rng.integers(-6, 7, 2)
            moved = torch.roll(mask, tuple(shift.tolist()), (0, 1))
            boxes.append(bbox + torch.tensor([shift[1], shift[0]] * 2) + rng.normal(0, 1))
            masks.append(moved)
            labels.append(label if rng.random() < 0.8 else int(rng.integers(len(target["names"]))))
    for bbox, mask in zip(
        target.get("ignored_bboxes", ()), target.get("ignored_masks", ()), strict=True
    ):
        boxes.append(bbox * 0.8 + bbox.roll(2) * 0.2)  # inside of the crowd
        masks.append(mask)
        labels.append(0)
    for _ in range(3):
        x, y, w, h = (rng.uniform(0, 0.5, 4) * [width, height, width, height]).tolist()
        boxes.append(torch.tensor([x, y, x + w + 2, y + h + 2]))
        masks.append(torch.zeros(height, width, dtype=torch.bool))
        masks[-1][int(y) : int(y + h) + 2, int(x) : int(x + w) + 2] = True
        labels.append(int(rng.integers(len(target["names"]))))
    scores = torch.from_numpy(rng.random(len(boxes))).float()
    names = target["names"]
    prediction = InstancePrediction(
        torch.stack(boxes).float(), scores, torch.tensor(labels), names, torch.stack(masks)
    )
    routes = tuple(Route(0, 1, "[DET]", name) for name in names)
    return Reply("", "", routes, (Call(0, 1, "toy", tuple(range(len(names))), 0),), (prediction,))


def _results(reply, image_id, ids):
    """The reply as a results file of COCO has it."""
    from pycocotools import mask as coco_mask

    (found,) = reply.predictions
    for (x1, y1, x2, y2), score, label, mask in zip(
        found.bboxes.tolist(),
        found.scores.tolist(),
        found.labels.tolist(),
        found.masks.numpy(),
        strict=True,
    ):
        yield {
            "image_id": image_id,
            "category_id": ids[found.phrases[label]],
            "score": score,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "segmentation": coco_mask.encode(np.asfortranarray(mask.astype(np.uint8))),
        }


def _pycocotools(file, results, kind):
    keys = {"image_id", "category_id", "score", {"segm": "segmentation"}.get(kind, kind)}
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(file)
        found = coco.loadRes([{k: v for k, v in r.items() if k in keys} for r in results])
        evaluation = COCOeval(coco, found, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    names = POINTS if kind == "keypoints" else REGIONS
    stats = dict(zip(names, evaluation.stats.tolist(), strict=False))
    return {name: value for name, value in stats.items() if name and value >= 0}


@pytest.mark.parametrize(
    "name", ["instances_train", "instances_val", "person_keypoints_train", "person_keypoints_val"]
)
def test_metrics_are_those_of_pycocotools_on_the_file(coco_mini, name):
    file = coco_mini / f"{name}.json"
    content = json.loads(file.read_text())
    ids = {entry["name"]: entry["id"] for entry in content["categories"]}
    records = read_coco(file, coco_mini / "images", masks=True)
    evaluator, rng = DetectionEvaluator(), np.random.default_rng(0)
    rows, results = [], []
    for image, record in zip(content["images"], records, strict=True):
        sample = detection_conversation(
            record, random.Random(0), False, absent_classes="all", masks=True
        )
        reply = _fake_reply(sample.targets[0], rng)
        rows.append(json.loads(json.dumps(evaluator.measure(sample, reply))))
        results += _results(reply, image["id"], ids)
    metrics = evaluator.summarize(rows)
    for kind, used in (("box", "bbox"), ("mask", "segm")):
        wanted = _pycocotools(file, results, used)
        found = {k.removeprefix(f"{kind}_"): v for k, v in metrics.items() if k.startswith(kind)}
        assert found == pytest.approx(wanted, abs=1e-6)
        assert 0.05 < found["AP"] < 0.9
    assert metrics["list_exact"] == 1.0


@pytest.mark.parametrize("name", ["person_keypoints_train", "person_keypoints_val"])
def test_keypoints_are_measured_as_pycocotools_does_on_the_file(coco_mini, name):
    file = coco_mini / f"{name}.json"
    ids = [entry["id"] for entry in json.loads(file.read_text())["images"]]
    rng = np.random.default_rng(0)
    truths, found, results = [], [], []
    for image, record in enumerate(read_coco(file, coco_mini / "images")):
        for item in (*record.objects, *record.ignored):
            points = item.keypoints if item.keypoints is not None else np.zeros((17, 3))
            ignored = item in record.ignored
            about = {"area": item.area, "ignored": ignored, "keypoints": points.tolist()}
            truths.append(Instance(image, "person", item.bbox, **about))
            if ignored or rng.random() < 0.1:
                continue
            size = (item.area or 1.0) ** 0.5
            moved = points + [[*rng.normal(0, 0.05 * size, 2), 0]] * len(points)
            moved[:, :2] += rng.normal(0, 0.03 * size, (len(points), 2))
            score = float(rng.random())
            found.append(
                Instance(image, "person", item.bbox, score=score, keypoints=moved.tolist())
            )
            entry = {"image_id": ids[image], "category_id": 1, "score": score}
            results.append({**entry, "keypoints": moved.flatten().tolist()})
    metrics = average_precision(truths, found, len(ids), "OKS")
    stats = _pycocotools(file, results, "keypoints")
    assert metrics == pytest.approx({f"OKS_{key}": value for key, value in stats.items()}, abs=1e-6)
    assert 0.05 < metrics["OKS_AP"] < 0.95
