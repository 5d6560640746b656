"""Edits are compared pixel by pixel, inside and outside of what they may change."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from superlink.data import read_scene_edits
from superlink.errors import InputError
from superlink.evaluation import EditingEvaluator, TaskSamples, evaluate
from superlink.interfaces import IMAGE, Message, Reply, Sample
from superlink.tasks.editing import editing_conversation

from .drawing import Drawing, picture_reply


def _grey(left, right, size=(8, 4)):
    """A picture whose halves have these levels."""
    levels = np.full((size[1], size[0], 3), right, np.uint8)
    levels[:, : size[0] // 2] = left
    return Image.fromarray(levels)


CHANGED = np.zeros((4, 8), np.bool_)
CHANGED[:, :4] = True
SOURCE, WANTED = _grey(51, 102), _grey(153, 102)  # 0.2 and 0.4; 0.6 and 0.4


def _sample(kind="recolour", changed=CHANGED, source=SOURCE, wanted=WANTED):
    target = {
        "images": (wanted,),
        "captions": ("make it lighter",),
        "attributes": ({"kind": kind},),
        "changed": (changed,),
    }
    messages = (Message("user", (IMAGE, "make it lighter")), Message("assistant", "Here[EDIT]."))
    return Sample(messages, (source,), targets=(target,), key="one")


def _measured(*pairs, model=None):
    evaluator = EditingEvaluator(efficientnet=False).knowing(model)
    rows = [json.loads(json.dumps(evaluator.measure(*pair))) for pair in pairs]
    return evaluator.summarize(rows), evaluator.remarks(rows), [*map(evaluator.quality, rows)]


def test_errors_are_roots_of_mean_squares_on_each_side():
    metrics, remarks, (quality,) = _measured((_sample(), picture_reply(_grey(102, 127))))
    assert metrics == {
        "picture_rate": 1.0,
        "inside_error": pytest.approx(0.2),
        "unchanged_inside_error": pytest.approx(0.4),
        "outside_error": pytest.approx(25 / 255),
        "inside_ratio": pytest.approx(2.0),
    }
    assert quality == pytest.approx(-0.5)
    assert any("autoencoder" in remark for remark in remarks)


def test_means_are_taken_before_the_root():
    metrics, *_ = _measured(
        (_sample(), picture_reply(WANTED)), (_sample(), picture_reply(_grey(102, 102)))
    )
    assert metrics["inside_error"] == pytest.approx(0.02**0.5)
    assert metrics["inside_ratio"] == pytest.approx(8**0.5)
    assert metrics["outside_error"] == 0.0


def test_perfect_edit_has_no_error_and_no_ratio():
    metrics, _, (quality,) = _measured((_sample(), picture_reply(WANTED)))
    assert metrics["inside_error"] == metrics["outside_error"] == 0.0
    assert "inside_ratio" not in metrics
    assert quality == 0.0


def test_missing_picture_leaves_the_source_and_counts_outside_for_nothing():
    metrics, remarks, quality = _measured(
        (_sample(), Reply("No.", "No.")), (_sample(), picture_reply(_grey(102, 51)))
    )
    assert metrics["picture_rate"] == 0.5
    assert metrics["inside_error"] == pytest.approx(((0.16 + 0.04) / 2) ** 0.5)
    assert metrics["outside_error"] == pytest.approx(0.2)
    assert "1 of 2 wanted pictures were not made" in remarks[0]
    assert quality == [pytest.approx(-1.0), pytest.approx(-0.5)]


def test_kinds_are_measured_apart_where_there_are_several():
    metrics, *_ = _measured(
        (_sample("move"), picture_reply(_grey(102, 102))), (_sample("add"), picture_reply(SOURCE))
    )
    assert metrics["inside_ratio/move"] == pytest.approx(2.0)
    assert metrics["inside_ratio/add"] == pytest.approx(1.0)
    metrics, *_ = _measured((_sample("move"), picture_reply(SOURCE)))
    assert not any(name.startswith("inside_ratio/") for name in metrics)


class Losing:
    """A decoder whose autoencoder makes everything darker by 0.1."""

    def __init__(self, loss=25.5):
        self.loss = loss

    def reconstruct(self, images):
        return [
            Image.fromarray((np.asarray(image) - self.loss).round().astype(np.uint8))
            for image in images
        ]


def test_errors_outside_are_compared_with_those_of_the_autoencoder_that_drew():
    bound = {
        "toy": SimpleNamespace(decoder=Losing(51)),
        "other": SimpleNamespace(decoder=object()),
    }
    model = SimpleNamespace(bound=bound)
    metrics, remarks, _ = _measured((_sample(), picture_reply(_grey(153, 0))), model=model)
    assert metrics["outside_error"] == pytest.approx(0.4)
    assert metrics["autoencoder_outside_error"] == pytest.approx(0.2)
    assert metrics["outside_ratio"] == pytest.approx(2.0)
    assert remarks == ()
    by_other = picture_reply(_grey(153, 0), decoder="other")
    metrics, *_ = _measured((_sample(), by_other), model=model)
    assert "autoencoder_outside_error" not in metrics


def test_autoencoder_that_loses_nothing_gives_no_ratio():
    model = SimpleNamespace(bound={"toy": SimpleNamespace(decoder=Losing(0))})
    metrics, remarks, _ = _measured((_sample(), picture_reply(SOURCE)), model=model)
    assert metrics["autoencoder_outside_error"] == 0.0
    assert "outside_ratio" not in metrics
    assert any("loses nothing" in remark for remark in remarks)


def test_picture_of_another_size_is_brought_to_that_of_the_wanted_one():
    metrics, *_ = _measured((_sample(), picture_reply(Image.new("RGB", (16, 8), (102,) * 3))))
    assert metrics["inside_error"] == pytest.approx(0.2)
    assert metrics["outside_error"] == pytest.approx(0.0)


def test_without_a_mask_nothing_is_measured_pixel_by_pixel():
    metrics, *_ = _measured((_sample(changed=None), picture_reply(SOURCE)))
    assert metrics == {"picture_rate": 1.0}


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(InputError, match="at least one wanted picture"):
        EditingEvaluator().summarize([])
    with pytest.raises(InputError, match=r"changed \(2, 2\) in sample 'one'"):
        _measured((_sample(changed=np.ones((2, 2), np.bool_)), picture_reply(SOURCE)))
    without = Sample((Message("user", "?"),), targets=_sample().targets)
    with pytest.raises(InputError, match="source none"):
        _measured((without, picture_reply(SOURCE)))


def test_built_in_edits_left_as_they_are_have_ratio_one():
    samples = TaskSamples(read_scene_edits("val", 8), editing_conversation)
    found = evaluate(
        Drawing(), samples, EditingEvaluator(efficientnet=False), "generated", progress=False
    )
    assert found.metrics["inside_ratio"] == pytest.approx(1.0)
    assert found.metrics["outside_error"] == 0.0
    assert found.metrics["inside_error"] > 0.1
