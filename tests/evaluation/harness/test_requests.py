"""Requests of a harness: content, settings, batches, and where an answer ends."""

from __future__ import annotations

import pytest
from PIL import Image

from superlink.errors import ConfigError, InputError
from superlink.evaluation.harness import BareModel, ChatRequest, answer_requests
from superlink.interfaces import IMAGE, Reply
from superlink.testing import tiny_backbone


class Recorder:
    """Repeats the keys of what it is asked, and keeps how it was asked."""

    def __init__(self):
        self.calls = []

    def answer(self, samples, routing="generated", **options):
        self.calls.append(([sample.key for sample in samples], options))
        return [Reply(f"{sample.key} STOP rest\n\nmore", "") for sample in samples]


def _request(key, **options):
    return ChatRequest([{"role": "user", "content": "hi"}], options, key)


def test_messages_become_a_sample(tmp_path):
    picture = Image.new("RGBA", (8, 6))
    picture.save(tmp_path / "picture.png")
    sample = ChatRequest(
        [
            {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
            {
                "role": "user",
                "content": [
                    {"type": "image", "url": picture},
                    {"type": "text", "text": "and"},
                    {"type": "image", "url": str(tmp_path / "picture.png")},
                ],
            },
        ],
        {},
        "a/b/1",
    ).sample()
    assert [message.role for message in sample.messages] == ["system", "user"]
    assert sample.messages[1].parts == (IMAGE, "and", IMAGE)
    assert [(image.mode, image.size) for image in sample.images] == [("RGB", (8, 6))] * 2
    assert sample.key == "a/b/1"


@pytest.mark.parametrize("kind", ["video", "audio"])
def test_other_media_are_refused_by_name(kind):
    message = {"role": "user", "content": [{"type": kind, "url": "x.mp4"}]}
    with pytest.raises(InputError, match=f"type '{kind}', key='task/1'"):
        ChatRequest([message], {}, "task/1").sample()


def test_neighbours_that_are_written_alike_share_batches():
    model = Recorder()
    short, long = {"max_new_tokens": 4}, {"max_new_tokens": 9, "temperature": 0}
    asked = [_request(str(i), **(short if i < 3 else long)) for i in range(5)]
    answers = list(answer_requests(model, asked, batch_size=2, max_routes=0))
    assert [keys for keys, _ in model.calls] == [["0", "1"], ["2"], ["3", "4"]]
    assert [options["max_new_tokens"] for _, options in model.calls] == [4, 4, 9]
    assert all(options["max_routes"] == 0 for _, options in model.calls)
    assert [text[0] for text, _ in answers] == ["0", "1", "2", "3", "4"]


def test_pictures_are_asked_for_one_batch_at_a_time():
    model, made = Recorder(), []

    def requests():
        for i in range(4):
            made.append(i)
            yield _request(str(i))

    answers = answer_requests(model, requests(), batch_size=1)
    next(answers)
    assert made == [0]


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({"temperature": 0, "top_p": 1.0, "num_beams": 1, "do_sample": False}, {}),
        ({"temperature": 0.2, "top_p": None}, {"do_sample": True, "temperature": 0.2}),
        (
            {"temperature": 1, "top_p": 0.9, "top_k": 5, "do_sample": True},
            {"do_sample": True, "temperature": 1, "top_p": 0.9, "top_k": 5},
        ),
        ({"num_beams": 3}, {"num_beams": 3}),
        ({}, {}),
    ],
)
def test_tokens_are_picked_as_the_harness_has_it(options, settings):
    model = Recorder()
    list(answer_requests(model, [_request("x", **options)], max_new_tokens=7))
    assert model.calls == [(["x"], {"max_new_tokens": 7, **settings})]


@pytest.mark.parametrize(
    ("until", "text"),
    [
        ("STOP", "x "),
        (["\n\n", "rest"], "x STOP "),
        ([], "x STOP rest\n\nmore"),
        ([""], "x STOP rest\n\nmore"),
        (None, "x STOP rest\n\nmore"),
    ],
)
def test_an_answer_ends_before_what_ends_it(until, text):
    ((found, reply),) = answer_requests(Recorder(), [_request("x", until=until)])
    assert found == text
    assert reply.text == "x STOP rest\n\nmore"


def test_beams_are_refused_in_words():
    with pytest.raises(ConfigError, match="num_beams=1"):
        list(answer_requests(BareModel(tiny_backbone()), [_request("x", num_beams=3)]))
