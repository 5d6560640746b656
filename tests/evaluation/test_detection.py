"""Detection metrics on hand-made replies; against pycocotools itself see `metrics/` and
`test_coco.py`."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from PIL import Image

from superlink.errors import ConfigError, InputError, MissingDependencyError
from superlink.evaluation import DetectionEvaluator
from superlink.interfaces import IMAGE, Call, InstancePrediction, Message, Reply, Route, Sample

BOXES = [(10.0, 10.0, 50.0, 50.0), (60.0, 20.0, 90.0, 80.0)]


def _masks(boxes):
    masks = torch.zeros(len(boxes), 100, 100, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[int(y1) : int(y2), int(x1) : int(x2)] = True
    return masks


def _sample(boxes=BOXES, labels=(0, 1), names=("cat", "dog", "owl"), **more):
    target = {
        "bboxes": torch.tensor(boxes).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.long),
        "names": names,
        **more,
    }
    messages = (Message("user", (IMAGE, "Find")), Message("assistant", "ok"))
    return Sample(messages, (Image.new("RGB", (100, 100)),), targets=(target,), key="one")


def _reply(boxes=BOXES, labels=(0, 1), phrases=("cat", "dog", "owl"), scores=None, masks=None):
    scores = torch.full((len(boxes),), 0.9) if scores is None else torch.tensor(scores)
    prediction = InstancePrediction(
        torch.tensor(boxes).reshape(-1, 4),
        scores,
        torch.tensor(labels, dtype=torch.long),
        phrases,
        masks,
    )
    routes = tuple(Route(0, 1, "[DET]", phrase) for phrase in phrases)
    call = Call(0, 1, "toy", tuple(range(len(phrases))), 0)
    return Reply("", "", routes, (call,), (prediction,))


def _rows(*pairs, **options):
    return [DetectionEvaluator(**options).measure(sample, reply) for sample, reply in pairs]


def _metrics(*pairs, **options):
    return DetectionEvaluator(**options).summarize(_rows(*pairs, **options))


def _shifted(by):
    return [(x1 + by, y1, x2 + by, y2) for x1, y1, x2, y2 in BOXES]


def test_perfect_replies_score_one():
    metrics = _metrics((_sample(), _reply()), (_sample(), _reply()))
    wrong = {"unknown_names", "duplicate_names"}
    assert set(metrics) == {
        *("box_AP", "box_AP50", "box_AP75", "box_AP_medium", "box_AR100"),
        *("list_exact", "routing_recall", "routing_precision"),
        *wrong,
    }
    assert all(metrics[name] == 0.0 for name in wrong)
    assert all(metrics[name] == pytest.approx(1.0) for name in metrics.keys() - wrong)


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


def test_classes_that_differ_by_case_alone_are_two():
    names = ("Apple", "apple")
    sample = _sample(names=names, synonyms={"apple": ("fruit",)})
    assert _metrics((sample, _reply(phrases=names)))["box_AP50"] == pytest.approx(1.0)
    swapped = _metrics((sample, _reply(phrases=names[::-1])))
    assert swapped["box_AP50"] == 0.0 and swapped["routing_recall"] == 1.0
    assert _metrics((sample, _reply(phrases=("Apple", "fruit"))))["box_AP50"] == pytest.approx(1.0)
    # Neither of them is guessed.
    vague = _rows((sample, _reply(phrases=("Apple", "the apple"))))[0]
    assert vague["phrases"][1] == ["the apple", None, "unknown"]


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
    with pytest.raises(InputError, match="at least one annotated object"):
        DetectionEvaluator().summarize([])


def test_missing_pycocotools_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(MissingDependencyError, match=r"superlink\[eval\]"):
        _metrics((_sample(), _reply()))


def test_a_class_that_another_sample_asks_for_is_wrong_here():
    owls = _sample([], (), ("owl",))
    good, stray = _reply(), _reply(BOXES[:1], (0,), ("The Dogs",), [0.95])
    assert _metrics((_sample(), good), (owls, Reply("", "")))["box_AP"] == pytest.approx(1.0)
    metrics = _metrics((_sample(), good), (owls, stray))
    assert metrics["box_AP"] == pytest.approx(0.75)
    assert metrics["unknown_names"] == 0.0


def test_synonyms_are_right_for_boxes_and_routes():
    reply = _reply(phrases=("kitty", "hounds", "owl"))
    words = {"cat": ["kitty"], "dog": ["hound"]}
    by_option = _metrics((_sample(), reply), synonyms=words)
    by_target = _metrics((_sample(synonyms={k: tuple(v) for k, v in words.items()}), reply))
    for metrics in (by_option, by_target):
        assert metrics["box_AP"] == pytest.approx(1.0)
        assert metrics["routing_recall"] == metrics["routing_precision"] == 1.0
        assert metrics["list_exact"] == metrics["unknown_names"] == 0.0
    assert _metrics((_sample(), reply))["unknown_names"] == 2.0


def test_synonyms_come_from_a_file(tmp_path):
    path = tmp_path / "words.yaml"
    path.write_text("cat: [kitty]")
    metrics = _metrics((_sample(), _reply(phrases=("kitty", "dog", "owl"))), synonyms=str(path))
    assert metrics["box_AP"] == pytest.approx(1.0)
    with pytest.raises(ConfigError, match="lists of words"):
        DetectionEvaluator(synonyms={"cat": "kitty"})


def test_boxes_of_a_name_that_came_twice_are_all_kept():
    reply = _reply([BOXES[1], BOXES[0]], (0, 2), ("cat", "dog", "Cats"), [0.9, 0.8])
    metrics = _metrics((_sample(BOXES[:1], (0,)), reply))
    assert metrics["box_AP"] == pytest.approx(0.5)
    assert metrics["duplicate_names"] == 1.0


def test_masks_are_measured_where_targets_and_replies_have_them():
    sample, empty = _sample(masks=_masks(BOXES)), _sample([], (), masks=_masks([]))
    bare, nothing = _reply(), _reply([], ())
    masks = _masks([(10, 10, 50, 28), BOXES[1]])  # half of the cat
    metrics = _metrics((sample, _reply(masks=masks)), (empty, nothing))
    assert metrics["box_AP"] == pytest.approx(1.0)
    assert metrics["mask_AP50"] == pytest.approx(0.5)
    assert metrics["mask_AP75"] == pytest.approx(0.5)
    assert metrics == _metrics((sample, _reply(masks=masks.float() * 0.9)), (empty, nothing))
    for pairs in ([(sample, bare)], [(_sample(), _reply(masks=masks))]):
        assert not any(name.startswith("mask") for name in _metrics(*pairs))


def test_what_lies_in_a_crowd_is_neither_right_nor_wrong():
    crowd = {
        "ignored_bboxes": torch.tensor([[0.0, 85.0, 100.0, 100.0]]),
        "ignored_labels": torch.tensor([0]),
        "ignored_masks": _masks([(0, 85, 100, 100)]),
    }
    boxes = [(0.0, 85.0, 30.0, 100.0), *BOXES]
    reply = _reply(boxes, (0, 0, 1), masks=_masks(boxes), scores=[0.99, 0.9, 0.9])
    given = {"masks": _masks(BOXES)}
    with_crowd, without = (_metrics((_sample(**given, **c), reply)) for c in (crowd, {}))
    for kind in ("box", "mask"):
        assert with_crowd[f"{kind}_AP"] == pytest.approx(1.0)
        assert without[f"{kind}_AP"] == pytest.approx(0.75)


def test_a_crowd_of_a_class_that_was_not_asked_for_is_neither_right_nor_wrong():
    crowd = {
        "other_ignored_names": ("dog",),
        "other_ignored_bboxes": torch.tensor([[0.0, 0, 100, 100]]),
    }
    stray = _reply(BOXES[:1], (0,), ("dog",), [0.99])
    for more, wanted in (({}, 0.75), (crowd, 1.0)):
        cats = _sample([], (), ("cat",), **more)
        metrics = _metrics((_sample(), _reply()), (cats, stray))
        assert metrics["box_AP"] == pytest.approx(wanted)


@pytest.mark.parametrize(("known", "wanted"), [(("cat", "dog"), 0.75), (("cat",), 1.0)])
def test_a_class_of_which_nothing_is_known_is_neither_right_nor_wrong(known, wanted):
    cats = _sample([], (), ("cat",), known_names=known)
    stray = _reply(BOXES[:1], (0,), ("dog",), [0.99])
    metrics = _metrics((_sample(), _reply()), (cats, stray))
    assert metrics["box_AP"] == pytest.approx(wanted)


def test_remarks_say_why_metrics_of_masks_are_left_out():
    sample, masks = _sample(masks=_masks(BOXES)), _masks(BOXES)
    good, bare, nothing = _reply(masks=masks), _reply(), Reply("", "")
    assert "mask_AP" not in _metrics((sample, nothing))
    assert _metrics((sample, good), (sample, nothing))["mask_AP"] == pytest.approx(0.5, abs=0.01)
    (remark,) = DetectionEvaluator().remarks(_rows((sample, good), (sample, bare)))
    assert "0 of 2 targets with objects and 1 of 2 replies with instances" in remark
    assert DetectionEvaluator().remarks(_rows((sample, good), (sample, nothing))) == ()


def test_masks_of_another_size_are_refused():
    with pytest.raises(InputError, match=r"\(100, 100\).*\(50, 50\).*'one'"):
        _rows((_sample(size=(100, 100)), _reply(masks=torch.ones(2, 50, 50))))


def test_the_area_of_the_data_set_tells_small_from_large():
    metrics = _metrics((_sample(areas=torch.tensor([900.0, 1100.0]).double()), _reply()))
    assert {"box_AP_small", "box_AP_medium"} < metrics.keys()


def test_sets_are_measured_apart_and_weigh_the_same():
    air, sea = (_sample(dataset=name) for name in ("air", "sea"))
    pairs = [(air, _reply()), (air, _reply()), (sea, _reply([], ()))]
    metrics = _metrics(*pairs)
    assert metrics["box_AP/air"] == pytest.approx(1.0)
    assert metrics["box_AP/sea"] == 0.0
    assert metrics["box_AP"] == metrics["box_AP50"] == pytest.approx(0.5)
    assert "box_AP50/air" not in metrics
    remark, *_ = DetectionEvaluator().remarks(_rows(*pairs))
    assert remark == "AP and AR are means over 2 sets: air, sea."


def test_a_set_without_objects_is_left_out_of_the_mean():
    rows = _rows((_sample(dataset="air"), _reply()), (_sample([], (), dataset="sea"), _reply()))
    assert DetectionEvaluator().summarize(rows)["box_AP"] == pytest.approx(1.0)
    assert "annotated: sea." in DetectionEvaluator().remarks(rows)[1]


def test_crowd_metrics_are_of_people():
    names = ("person", "dog", "owl")
    region = {"ignored_bboxes": torch.tensor([[50.0, 0, 100, 100]]), "ignored_labels": [0]}
    region["ignored_labels"] = torch.tensor([0])
    boxes = [BOXES[0], BOXES[0], (70.0, 70.0, 90.0, 90.0), (0.0, 80.0, 20.0, 120.0)]
    reply = _reply(boxes, (0, 1, 0, 0), ("people", "dog", "owl"), [0.9, 0.8, 0.7, 0.6])
    sample = _sample(BOXES[:1], (0,), names, size=(100, 100), **region)
    metrics = _metrics((sample, reply), crowd=True, synonyms={"person": ["people"]})
    assert metrics["crowd_recall"] == 1.0
    assert metrics["crowd_mMR"] == 0.0
    assert metrics["crowd_AP50"] == 0.0  # one trapezoid, of no width
    assert "crowd_recall" not in _metrics((sample, reply))
    with pytest.raises(InputError, match="annotated people"):
        _metrics((_sample(), _reply()), crowd=True)


@pytest.mark.parametrize("bad", ["boxes", "scores", "masks"])
def test_instances_that_are_not_finite_count_as_nothing(bad):
    nan = float("nan")
    boxes = [(nan,) * 4, BOXES[1]] if bad == "boxes" else BOXES
    masks = _masks(BOXES).float()
    masks[0] = nan if bad == "masks" else masks[0]
    reply = _reply(boxes, scores=[nan if bad == "scores" else 0.9, 0.9], masks=masks)
    rows = _rows((_sample(masks=_masks(BOXES)), reply))
    metrics = DetectionEvaluator().summarize(rows)
    assert metrics["box_AP"] == metrics["mask_AP"] == pytest.approx(0.5)
    (remark,) = DetectionEvaluator().remarks(rows)
    assert remark.startswith("1 instances had coordinates or scores that are not finite")


def test_rows_come_back_from_json():
    samples = [_sample(masks=_masks(BOXES), dataset=n, size=(100, 100)) for n in ("air", "sea")]
    boxes = [[0.1 + x for x in box] for box in BOXES]
    reply = _reply(boxes, scores=[0.1, 1 / 3], masks=_masks(BOXES), phrases=("Cat", "yeti", "owl"))
    rows = _rows(*((sample, reply) for sample in samples))
    back = json.loads(json.dumps(rows))
    assert back == rows
    evaluator = DetectionEvaluator()
    assert evaluator.summarize(back) == evaluator.summarize(rows)
    assert evaluator.quality(back[0]) == evaluator.quality(rows[0])
    assert len(json.dumps(rows[0])) < 800


def test_rows_hold_phrases_with_what_they_mean():
    (row,) = _rows((_sample(), _reply(phrases=("Cat", "yeti", "owl"))))
    assert row["phrases"] == [
        ["Cat", "cat", "normalized"],
        ["yeti", None, "unknown"],
        ["owl", "owl", "exact"],
    ]
    assert row["expected"] == ["cat", "dog", "owl"]
    assert row["routed"] == [0, 1, 2]


def test_quality_is_the_share_that_is_right():
    def quality(sample, reply):
        return DetectionEvaluator().quality(_rows((sample, reply))[0])

    empty, nothing = _sample([], ()), _reply([], ())
    assert quality(_sample(), _reply()) == 1.0
    assert quality(_sample(), _reply(scores=[0.9, 0.2])) == 0.5
    assert quality(_sample(), _reply([*BOXES, BOXES[0]], (0, 1, 1))) == pytest.approx(5 / 6)
    assert quality(_sample(), nothing) == 0.0
    assert quality(empty, nothing) == quality(empty, _reply(scores=[0.1, 0.1])) == 1.0
    assert quality(empty, _reply()) == 0.0


def test_remarks_name_unknown_and_repeated_words():
    phrases = [("yeti", "yeti", "cat"), ("Yeti", "cats", "cat"), *[(f"x{i}",) for i in range(12)]]
    rows = _rows(*((_sample(), _reply([], (), names)) for names in phrases))
    unknown, twice = DetectionEvaluator().remarks(rows)
    assert unknown.startswith("Routed phrases that no class has: 'yeti' (3), 'x0' (1), 'x1' (1)")
    assert unknown.endswith(", and 3 more.")
    assert twice == "Names routed again in one reply: 'yeti' (1), 'cat' (1)."
    assert DetectionEvaluator().remarks(_rows((_sample(), _reply()))) == ()
