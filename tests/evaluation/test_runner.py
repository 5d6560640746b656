"""`evaluate`: generated routing hides the answer, forced routing gives it, batches are alike."""

from __future__ import annotations

import random

import pytest
import torch
from PIL import Image

from superlink.data.scenes import SceneDataset
from superlink.errors import ConfigError, InputError
from superlink.evaluation import Evaluator, evaluate
from superlink.interfaces import IMAGE, Call, Message, Reply, RouteFailure, Sample
from superlink.tasks.detection import detection_conversation


class Recorder(Evaluator):
    """Answers, and measures, by remembering."""

    def __init__(self):
        self.asked, self.batches, self.pairs = [], [], []

    def answer(self, samples, routing="generated", *, max_new_tokens=128):
        self.batches.append((len(samples), routing))
        self.asked += samples
        return [Reply(text=sample.key, raw=sample.key) for sample in samples]

    def measure(self, sample, reply):
        self.pairs.append((sample, reply))
        return {"key": sample.key}

    def summarize(self, rows):
        return {"count": float(len(rows))}


def samples(count):
    return [
        detection_conversation(record, random.Random(0), False)
        for record in SceneDataset("val", num_scenes=count, size=64)
    ]


def test_generated_routing_hides_answer_and_targets():
    recorder, given = Recorder(), samples(3)
    found = evaluate(recorder, given, recorder, "generated", progress=False)
    assert found.metrics == {"count": 3.0}
    assert [row["key"] for row in found.rows] == [sample.key for sample in given]
    for asked, whole in zip(recorder.asked, given, strict=True):
        assert asked.messages == whole.messages[:-1]
        assert asked.images == whole.images
        assert asked.geometries == whole.geometries
        assert asked.targets == ()


def test_forced_routing_gives_the_answer():
    recorder, given = Recorder(), samples(3)
    evaluate(recorder, given, recorder, "forced", progress=False)
    assert [asked.messages for asked in recorder.asked] == [whole.messages for whole in given]


def test_evaluator_sees_each_whole_sample_with_its_own_reply():
    recorder, given = Recorder(), samples(5)
    evaluate(recorder, given, recorder, "generated", batch_size=2, progress=False)
    assert recorder.batches == [(2, "generated"), (2, "generated"), (1, "generated")]
    assert [sample for sample, _ in recorder.pairs] == given
    assert all(reply.text == sample.key for sample, reply in recorder.pairs)


def test_question_keeps_earlier_turns_and_drops_images_of_the_answer():
    image = Image.new("RGB", (8, 8))
    messages = (
        Message("user", (IMAGE, "one")),
        Message("assistant", "first"),
        Message("user", "two"),
        Message("assistant", (IMAGE, "second")),
    )
    recorder = Recorder()
    evaluate(recorder, [Sample(messages, (image, image))], recorder, "generated", progress=False)
    (asked,) = recorder.asked
    assert asked.messages == messages[:3]
    assert len(asked.images) == 1


def test_sample_without_an_answer_is_refused():
    sample = Sample((Message("user", "hello"),), key="lonely")
    with pytest.raises(InputError, match=r"answer that is expected.*lonely"):
        evaluate(Recorder(), [sample], Recorder(), "generated", progress=False)


def test_batch_size_below_1_is_refused():
    with pytest.raises(ConfigError, match="batch_size must be at least 1"):
        evaluate(Recorder(), samples(1), Recorder(), "forced", batch_size=0, progress=False)


def test_answers_that_were_cut_and_calls_that_failed_are_counted():
    class Cut(Recorder):
        def answer(self, samples, routing="generated", *, max_new_tokens=128):
            call = Call(0, 1, "toy", (0,), 0)
            failures = (RouteFailure(call, "no image"),)
            return [Reply("", "", failures=failures, complete=False) for _ in samples]

    found = evaluate(Cut(), samples(3), Recorder(), "forced", progress=False)
    assert (found.num_cut, found.num_failed) == (3, 3)


def test_row_that_is_no_json_names_its_evaluator():
    class Tensors(Recorder):
        def measure(self, sample, reply):
            return {"values": torch.zeros(2)}

    with pytest.raises(ConfigError, match=r"Tensors\.measure returns.*Tensor.*tolist"):
        evaluate(Recorder(), samples(1), Tensors(), "forced", progress=False)


def test_bar_goes_to_stderr(capsys):
    evaluate(Recorder(), samples(2), Recorder(), "forced")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("routing", ["generated", "forced"])
def test_batch_size_changes_no_reply(routing, tiny_demo_model):
    import superlink

    model, given = superlink.load(tiny_demo_model / "model"), samples(3)
    found = []
    for batch_size in (1, 3):
        recorder = Recorder()
        recorder.answer = model.answer
        evaluate(recorder, given, recorder, routing, batch_size=batch_size, progress=False)
        found.append([reply for _, reply in recorder.pairs])
    for one, other in zip(*found, strict=True):
        assert one.raw == other.raw
        for first, second in zip(one.predictions, other.predictions, strict=True):
            torch.testing.assert_close(first.scores, second.scores, atol=1e-4, rtol=0)
