"""Long lists of classes, asked in parts and measured as one image."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial

import pytest
import torch

from superlink.data import read_scenes
from superlink.data.scenes import read_scene_regions, scene_names
from superlink.errors import InputError
from superlink.evaluation import (
    Chunks,
    DetectionEvaluator,
    Evaluator,
    SemanticEvaluator,
    TaskSamples,
    evaluate,
)
from superlink.interfaces import InstancePrediction, Reply
from superlink.tasks.detection import detection_conversation
from superlink.tasks.semantic import semantic_conversation
from superlink.testing import TOY_BOX, toy_model

SIZE = 64


@pytest.fixture(scope="module")
def model():
    """A model whose decoder goes by the phrase of a route alone, with boxes and masks."""
    made = toy_model(specs=[replace(TOY_BOX, routing_tokens=("[DET]", "[SEG]"))])

    def instances(phrases):
        drawn = [random.Random(phrase) for phrase in phrases for _ in range(3)]
        scores = torch.tensor([rng.random() for rng in drawn])
        corners = torch.tensor([[rng.uniform(0, SIZE / 2) for _ in "xy"] for rng in drawn])
        order = scores.argsort(descending=True)
        masks = torch.zeros(len(drawn), SIZE, SIZE, dtype=torch.bool)
        for mask, (x, y) in zip(masks, corners.long().tolist(), strict=True):
            mask[y : y + SIZE // 2, x : x + SIZE // 2] = True
        boxes = torch.cat([corners, corners + SIZE / 2], dim=1)
        labels = torch.arange(len(phrases)).repeat_interleave(3)
        return InstancePrediction(boxes[order], scores[order], labels[order], phrases, masks[order])

    made.bound["toy.box"].decoder.predict = lambda links, inputs: [
        instances(links.phrases_of(call)) for call in range(links.num_calls)
    ]
    return made


TASKS = {
    "detection": (read_scenes, detection_conversation, DetectionEvaluator()),
    "semantic": (read_scene_regions, semantic_conversation, SemanticEvaluator()),
}


def samples(task, **options):
    read, converse, _ = TASKS[task]
    records = read(split="val", num_scenes=3, size=SIZE)
    return TaskSamples(records, partial(converse, absent_classes="all", **options))


def measured(model, task, routing="forced", chunks=None, **options):
    return evaluate(
        model, samples(task), TASKS[task][2], routing, chunks=chunks, progress=False, **options
    )


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_parts_of_an_image_are_measured_as_one(model, task, size):
    whole = measured(model, task)
    parts = measured(model, task, chunks=Chunks(size, None), batch_size=2)
    assert parts == whole
    assert parts.metrics["list_exact"] == 1.0


def test_instances_are_counted_out_over_all_questions(model):
    found = measured(model, "detection", chunks=Chunks(2, 7))
    assert [len(row["found"]["scores"]) for row in found.rows] == [7] * 3
    rows = zip(found.rows, measured(model, "detection").rows, strict=True)
    assert all(few["found"]["scores"] == all_["found"]["scores"][:7] for few, all_ in rows)


class Echo(Evaluator):
    """Answers with what it was asked, its words as routes, and remembers."""

    def __init__(self):
        self.batches = []

    def answer(self, some, routing="generated", *, max_new_tokens=128):
        self.batches.append([[m.text for m in sample.messages] for sample in some])
        return [Reply(texts[-1], texts[-1], complete=False) for texts in self.batches[-1]]

    def measure(self, sample, reply):
        return {"text": reply.text}

    def summarize(self, rows):
        return {}


def test_generated_routing_hides_the_answers_of_all_parts():
    echo = Echo()
    found = evaluate(
        echo,
        samples("detection"),
        echo,
        "generated",
        chunks=Chunks(5),
        batch_size=2,
        progress=False,
    )
    names = scene_names()
    asked = [f"Find: {', '.join(names[first : first + 5])}" for first in range(0, len(names), 5)]
    assert [texts for batch in echo.batches for texts in batch] == [[text] for text in asked] * 3
    assert max(map(len, echo.batches)) == 2
    assert [row["text"] for row in found.rows] == [", ".join(asked)] * 3
    assert found.num_cut == 3


def test_another_size_is_another_evaluation(model, tmp_path):
    options = {"folder": tmp_path / "rows", "identity": {"model": "toy"}}
    first = measured(model, "detection", chunks=Chunks(4), **options)
    assert measured(model, "detection", chunks=Chunks(4), **options) == first
    with pytest.raises(InputError, match="classes_per_reply was 4 and is 5"):
        measured(model, "detection", chunks=Chunks(5), **options)
    with pytest.raises(InputError, match="max_per_image was 100 and is 300"):
        measured(model, "detection", chunks=Chunks(4, 300), **options)
    with pytest.raises(InputError, match="classes_per_reply was 4 and is missing"):
        measured(model, "detection", **options)


def test_rows_that_are_kept_are_not_asked_for_again(model, tmp_path):
    options = {"chunks": Chunks(4), "folder": tmp_path / "rows", "batch_size": 1}
    first = measured(model, "detection", **options)
    (rows,) = (tmp_path / "rows").glob("rows-*.jsonl")
    rows.write_text("".join(rows.read_text().splitlines(keepends=True)[:2]))
    asked, answer = [], model.answer

    class Counting:
        def answer(self, some, *arguments, **settings):
            asked.extend(some)
            return answer(some, *arguments, **settings)

    assert measured(Counting(), "detection", **options) == first
    assert len(asked) == -(-len(scene_names()) // 4)
