"""Average precision is that of pycocotools, for boxes, masks and keypoints."""

from __future__ import annotations

import contextlib
import io
import sys

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from superlink.errors import InputError, MissingDependencyError
from superlink.evaluation.metrics import COCO_SIGMAS, Instance, average_precision, mean_over_sets

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pycocotools")

NAMES = ("ape", "bee", "cat")
SIZE = (300, 320)
REGIONS = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", None, None, "AR100")
POINTS = ("AP", "AP50", "AP75", "AP_medium", "AP_large", "AR20")


def _ellipse(bbox):
    x1, y1, x2, y2 = bbox
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    inside = ((2 * x - x1 - x2) / (x2 - x1)) ** 2 + ((2 * y - y1 - y2) / (y2 - y1)) ** 2 <= 1
    return coco_mask.encode(np.asfortranarray(inside, np.uint8))


def _instance(rng, image, bbox, **values):
    x1, y1, x2, y2 = bbox = tuple(float(value) for value in bbox)
    points = np.stack([rng.uniform(x1, x2, 17), rng.uniform(y1, y2, 17), rng.integers(0, 3, 17)], 1)
    values.setdefault("keypoints", points.tolist())
    return Instance(image, bbox=bbox, mask=_ellipse(bbox), **values)


def _truths(rng, num_images):
    for image in range(num_images):
        for number in range(int(rng.integers(1, 5))):
            low = rng.uniform(0, 180, 2)
            bbox = np.concatenate([low, low + rng.choice((12, 50, 110)) * rng.uniform(0.8, 1.2, 2)])
            area = float((bbox[2:] - bbox[:2]).prod()) * 0.7
            crowd = number == 3
            kwargs = {} if not crowd else {"keypoints": [[0.0, 0.0, 0.0]] * 17}
            name = NAMES[rng.integers(3)]
            yield _instance(rng, image, bbox, category=name, area=area, ignored=crowd, **kwargs)


def _near(rng, truth):
    bbox = np.add(truth.bbox, rng.normal(0, 2, 4)).round(3)
    name = truth.category if rng.random() < 0.8 else "cat"
    points = np.add(truth.keypoints, [*rng.normal(0, 2, 2), 0])
    return _instance(
        rng, truth.image, bbox, category=name, score=float(rng.random()), keypoints=points.tolist()
    )


def _entry(item, number):
    x1, y1, x2, y2 = item.bbox
    return {
        "id": number,
        "image_id": item.image,
        "category_id": NAMES.index(item.category) + 1,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "segmentation": item.mask,
        "keypoints": [value for point in item.keypoints for value in point],
        "num_keypoints": sum(point[2] > 0 for point in item.keypoints),
        "area": item.area,
        "iscrowd": int(item.ignored),
        "score": item.score,
    }


def _pycocotools(truths, predictions, num_images, kind):
    keys = {"image_id", "category_id", "score", {"segm": "segmentation"}.get(kind, kind)}
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": i, "height": 300, "width": 320} for i in range(num_images)],
            "categories": [{"id": i, "name": n} for i, n in enumerate(NAMES, 1)],
            "annotations": [_entry(t, i) for i, t in enumerate(truths, 1)],
        }
        coco.createIndex()
        entries = [_entry(p, i) for i, p in enumerate(predictions, 1)]
        found = coco.loadRes([{k: v for k, v in entry.items() if k in keys} for entry in entries])
        evaluation = COCOeval(coco, found, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["box", "mask", "OKS"])
def test_average_precision_is_that_of_pycocotools(kind, seed, capsys):
    rng = np.random.default_rng(seed)
    truths = list(_truths(rng, 12))
    near = [_near(rng, t) for t in truths if rng.random() < 0.9 for _ in range(2)]
    found = average_precision(truths, near, 12, kind)
    assert capsys.readouterr().out == ""

    name = {"box": "bbox", "mask": "segm", "OKS": "keypoints"}[kind]
    stats = _pycocotools(truths, near, 12, name)
    wanted = dict(zip(POINTS if kind == "OKS" else REGIONS, stats, strict=False))
    wanted = {f"{kind}_{key}": value for key, value in wanted.items() if key and value >= 0}
    assert found == pytest.approx(wanted, abs=1e-12)
    assert 0.05 < found[f"{kind}_AP"] < 0.95
    assert len(found) == (6 if kind == "OKS" else 7)


def test_sigmas_are_those_of_pycocotools():
    from pycocotools.cocoeval import Params

    assert pytest.approx(Params("keypoints").kpt_oks_sigmas.tolist()) == COCO_SIGMAS


def test_sigmas_say_how_exact_keypoints_have_to_be():
    truth = Instance(0, "cat", (0, 0, 40, 40), keypoints=[[10, 10, 2], [30, 30, 2]])
    found = Instance(0, "cat", (0, 0, 40, 40), keypoints=[[13, 10, 2], [33, 30, 2]])
    loose, strict = (
        average_precision([truth], [found], 1, "OKS", sigmas=[sigma] * 2) for sigma in (0.5, 0.01)
    )
    assert loose["OKS_AP"] == pytest.approx(1.0)
    assert strict["OKS_AP"] == 0.0


def test_a_size_without_a_truth_is_left_out():
    truth = Instance(0, "cat", (0, 0, 40, 40))
    found = average_precision([truth], [truth], 1)
    assert set(found) == {f"box_{n}" for n in ("AP", "AP50", "AP75", "AP_medium", "AR100")}
    assert min(found.values()) == pytest.approx(1.0)


def test_the_area_of_the_data_set_tells_small_from_large():
    truth = Instance(0, "cat", (0, 0, 40, 40), area=900.0)
    assert "box_AP_small" in average_precision([truth], [truth], 1)


@pytest.mark.parametrize("kind", ["box", "mask", "OKS"])
def test_nothing_found_scores_zero(kind):
    truths = list(_truths(np.random.default_rng(0), 3))
    found = average_precision(truths, [], 3, kind)
    assert set(found.values()) == {0.0}


def test_a_crowd_is_neither_right_nor_wrong():
    truth = Instance(0, "cat", (0, 0, 40, 40))
    crowd = Instance(0, "cat", (50, 50, 90, 90), ignored=True)
    inside = [Instance(0, "cat", (50 + i, 50, 70 + i, 80), score=0.99) for i in (0, 20)]
    found = [*inside, Instance(0, "cat", truth.bbox, score=0.5)]
    assert average_precision([truth, crowd], found, 1)["box_AP"] == pytest.approx(1.0)
    assert average_precision([truth], found, 1)["box_AP"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("truths", [[], [Instance(0, "cat", (0, 0, 1, 1), ignored=True)]])
def test_without_truths_that_count_there_is_nothing_to_measure(truths):
    with pytest.raises(InputError, match="at least one annotated object"):
        average_precision(truths, [], 1)


def test_missing_pycocotools_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(MissingDependencyError, match=r"superlink\[eval\]"):
        average_precision([Instance(0, "cat", (0, 0, 1, 1))], [], 1)


def test_mean_over_sets_is_of_those_that_have_a_metric():
    found = mean_over_sets(
        {"air": {"box_AP": 0.2, "box_AP_small": 0.4}, "sea": {"box_AP": 0.6, "box_AP50": 0.8}}
    )
    assert found == pytest.approx(
        {
            **{"box_AP": 0.4, "box_AP_small": 0.4, "box_AP50": 0.8},
            **{"box_AP/air": 0.2, "box_AP/sea": 0.6},
        }
    )
