"""The best and the worst replies are found, and drawn beside what was expected."""

from __future__ import annotations

import random

import pytest
import torch
from PIL import Image

from superlink.data import SceneDataset
from superlink.evaluation import Evaluation, Evaluator
from superlink.evaluation.cards.cases import draw_cases, extreme_cases, first_cases
from superlink.interfaces import (
    IMAGE,
    REGION,
    Call,
    ImagePrediction,
    InstancePrediction,
    Message,
    Region,
    Reply,
    Route,
    Sample,
)
from superlink.tasks.detection import detection_conversation


class Graded(Evaluator):
    def measure(self, sample, reply):
        return {}

    def summarize(self, rows):
        return {}

    def quality(self, row):
        return row["grade"]


def _evaluation(*grades):
    rows = ({"broken": "x"} if grade == "broken" else {"grade": grade} for grade in grades)
    return Evaluation({}, tuple(rows))


def test_extremes_are_sorted_and_none_comes_twice():
    found = extreme_cases(_evaluation(0.5, 1.0, 0.0, "broken", 0.7, 0.2), Graded(), 2)
    assert found == {"best": (1, 4), "worst": (2, 5)}


@pytest.mark.parametrize(
    ("grades", "expected"),
    [
        ((0.5,), {"best": (0,)}),
        ((0.5, 0.5, 0.5), {"best": (0, 1), "worst": (2,)}),
        ((None, None), {}),
        ((), {}),
    ],
)
def test_extremes_of_few(grades, expected):
    assert extreme_cases(_evaluation(*grades), Graded(), 4) == expected


class Copying:
    """Answers with one box over the whole image."""

    def answer(self, samples, routing="generated", *, max_new_tokens=128):
        self.messages = [len(sample.messages) for sample in samples]
        box = torch.tensor([[0.0, 0.0, 128.0, 128.0]])
        prediction = InstancePrediction(box, torch.ones(1), torch.zeros(1).long(), ("all",))
        route, call = Route(0, 1, "[DET]", "all"), Call(0, 1, "toy", (0,), 0)
        return [Reply("all", "all", (route,), (call,), (prediction,)) for _ in samples]


@pytest.mark.parametrize(("routing", "messages"), [("generated", 1), ("forced", 2)])
def test_pictures_are_written(tmp_path, routing, messages):
    samples = [
        detection_conversation(record, random.Random(0), False)
        for record in SceneDataset("val", num_scenes=3)
    ]
    model = Copying()
    found = draw_cases(model, samples, {"best": (0, 2), "worst": (1,)}, routing, tmp_path)
    assert model.messages == [messages]
    assert list(found.values()) == [f"best-{routing}.jpg", f"worst-{routing}.jpg"]
    with Image.open(tmp_path / f"best-{routing}.jpg") as best:
        with Image.open(tmp_path / f"worst-{routing}.jpg") as worst:
            assert best.width == 1600  # two cases of two pictures, made smaller
            assert 900 < worst.width < 1600


def test_what_was_marked_is_seen(tmp_path):
    messages = (Message("user", (IMAGE, "find ", REGION)), Message("assistant", "it"))
    pictures = []
    for box in (Region.box(10, 10, 30, 30), Region.box(60, 60, 90, 90)):
        sample = Sample(messages, (Image.new("RGB", (128, 128)),), regions=(box,))
        draw_cases(Copying(), [sample], {"best": (0,)}, "forced", tmp_path)
        pictures.append((tmp_path / "best-forced.jpg").read_bytes())
    assert pictures[0] != pictures[1]


def test_first_are_those_that_were_measured():
    class Showing(Graded):
        num_first = 2

    assert first_cases(_evaluation(0.5, "broken", 1.0, 0.7), Showing()) == {"first": (0, 2)}
    assert first_cases(_evaluation(0.5, 1.0), Graded()) == {}


class Painting:
    """Answers with blue pictures."""

    def __init__(self, count=1):
        self.count = count

    def answer(self, samples, routing="generated", *, max_new_tokens=128):
        images = (Image.new("RGB", (16, 16), "blue"),) * self.count
        made = ImagePrediction(images, ("",) * self.count, (0,) * self.count)
        routes = (Route(0, 1, "[GEN]"),) * self.count
        call = Call(0, 1, "toy", tuple(range(self.count)))
        if not self.count:
            return [Reply("No.", "No.") for _ in samples]
        return [Reply("Here it is.", "", routes, (call,), (made,)) for _ in samples]


def _painted(source=None):
    parts = ("make it red",) if source is None else (IMAGE, "make it red")
    messages = (Message("user", parts), Message("assistant", "Here it is[GEN]."))
    target = {"images": (Image.new("RGB", (16, 16), "red"),), "captions": ("red",)}
    return Sample(messages, () if source is None else (source,), targets=(target,), key="one")


def _colours(folder, title, columns):
    """The colour in the upper part of each column of a sheet."""
    (name,) = title.values()
    with Image.open(folder / name) as sheet:
        width = sheet.width / columns
        pixels = [sheet.getpixel((round((i + 0.5) * width), 100)) for i in range(columns)]
    return ["".join("x" if level > 128 else "." for level in pixel) for pixel in pixels]


def test_pictures_stand_beside_the_wanted_ones(tmp_path):
    found = draw_cases(Painting(), [_painted()] * 2, {"first": (0, 1)}, "forced", tmp_path)
    assert list(found) == ["first replies, forced routing: expected left, replied right"]
    assert _colours(tmp_path, found, 4) == ["x..", "..x", "x..", "..x"]


def test_source_of_an_edit_stands_before_them(tmp_path):
    sample = _painted(Image.new("RGB", (16, 16), "lime"))
    found = draw_cases(Painting(), [sample], {"first": (0,)}, "forced", tmp_path)
    assert "source before them" in next(iter(found))
    assert _colours(tmp_path, found, 3) == [".x.", "x..", "..x"]


def test_place_of_a_picture_that_was_not_made_is_white(tmp_path):
    found = draw_cases(Painting(0), [_painted()], {"worst": (0,)}, "generated", tmp_path)
    assert _colours(tmp_path, found, 2) == ["x..", "xxx"]
