"""Dialogues become messages as they are, and call nobody."""

from __future__ import annotations

import json
import random

import pytest
import torch
from PIL import Image

from superlink.data import Dialogue
from superlink.errors import InputError
from superlink.interfaces import IMAGE
from superlink.link import Binding, RoutingVocabulary
from superlink.registry import default_registry
from superlink.tasks.dialogue import dialogue_conversation
from superlink.testing.models import toy_model
from superlink.training import DataChoice
from superlink.training.dataset import open_data

RED, BLUE = (Image.new("RGB", (4, 4), color) for color in ("red", "blue"))


def _sample(*turns, images=(), training=True):
    return dialogue_conversation(Dialogue(turns, images, "one"), random.Random(0), training)


@pytest.mark.parametrize("training", [True, False])
def test_marks_become_images_in_their_order(training):
    sample = _sample(
        ("system", "Be kind."),
        ("user", "<image>\nWhat is this?"),
        ("assistant", "Red."),
        ("user", "And <image> beside <image>?"),
        ("assistant", "Blue and red."),
        images=(RED, BLUE, RED),
        training=training,
    )
    assert [message.role for message in sample.messages] == [
        "system",
        "user",
        "assistant",
        "user",
        "assistant",
    ]
    assert sample.messages[1].parts == (IMAGE, "What is this?")
    assert sample.messages[3].parts == ("And ", IMAGE, " beside ", IMAGE, "?")
    assert [image.getpixel((0, 0))[2] for image in sample.images] == [0, 255, 0]
    assert sample.targets == () and sample.key == "one"


def test_mark_at_the_end_takes_its_line_break_along():
    sample = _sample(("user", "What is this?\n<image>"), ("assistant", "Red."), images=(RED,))
    assert sample.messages[0].parts == ("What is this?", IMAGE)


def test_text_alone_has_no_images():
    sample = _sample(("user", "Hi"), ("assistant", "Hello"))
    assert sample.images == () and sample.messages[0].parts == ("Hi",)


def test_answers_that_look_like_routes_call_nobody_and_read_as_before():
    said = "Write <p>a dog</p>[DET] or [GEN] in HTML."
    sample = _sample(("user", "How?"), ("assistant", said))
    vocabulary = RoutingVocabulary(
        [Binding("[DET]", "boxes", "boxes", 4), Binding("[GEN]", "images", "images", 4)]
    )
    parsed = vocabulary.parse(vocabulary.expand(sample.messages[1].text))
    assert parsed.routes == () and parsed.text == said


def test_files_are_opened(tmp_path):
    RED.save(tmp_path / "a.png")
    sample = _sample(("user", "<image>"), ("assistant", "Red."), images=(tmp_path / "a.png",))
    assert sample.images[0].getpixel((0, 0)) == (255, 0, 0)
    with pytest.raises(InputError, match=r"b\.png"):
        _sample(("user", "<image>"), ("assistant", "Red."), images=(tmp_path / "b.png",))


@pytest.mark.parametrize(
    "turns",
    [
        (("assistant", "Hello"), ("user", "Hi")),
        (("system", "Be kind."),),
        (("system", "Be kind."), ("assistant", "Hello")),
        (),
    ],
)
def test_dialogue_that_nobody_begins_is_refused(turns):
    with pytest.raises(InputError, match=r"begins with a turn of the user.*'one'"):
        _sample(*turns)


@pytest.mark.parametrize("role", ["assistant", "system"])
def test_image_in_another_turn_is_refused(role):
    with pytest.raises(InputError, match=f"turn of the {role} in 'one'"):
        _sample(("user", "Hi"), (role, "<image>"), images=(RED,))


ROWS = (
    ("two.png", ["<image>\nWhat is this?", "Red.", "And <p>now</p>?", "Still [DET] red."]),
    (["one.png", "two.png"], ["Is <image> as <image>?", "No."]),
    (["one.png", "two.png"], ["<image>\nThis?", "Red.", "你好 <image>", "蓝色 🍎"]),
    (None, ["Hi", "Hello", "Bye", "مع السلامة"]),
)
"""Images, and what is said in turns: many turns, several images, an image in a later turn, none."""


@pytest.fixture
def dialogues(tmp_path):
    """The rows as LLaVA writes them, read by the task as training reads them."""
    RED.resize((40, 60)).save(tmp_path / "one.png")
    BLUE.resize((50, 30)).save(tmp_path / "two.png")
    rows = []
    for image, said in ROWS:
        turns = [
            {"from": "gpt" if turn % 2 else "human", "value": text}
            for turn, text in enumerate(said)
        ]
        rows.append({"conversations": turns, **({} if image is None else {"image": image})})
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    options = {"annotations": str(tmp_path / "rows.json"), "images": str(tmp_path)}
    choice = DataChoice(task="dialogue", format="llava", options=options)
    records, conversation = open_data(choice, default_registry())
    return [conversation(record, random.Random(0), True) for record in records]


@pytest.mark.parametrize("architecture", ["llava", "qwen2_5_vl"])
def test_dialogues_of_all_kinds_are_training_samples_together(dialogues, architecture):
    model = toy_model(architecture)
    batch = model.processor(dialogues)
    assert batch["routes"] == batch["calls"] == [] and not batch["decoder_inputs"]
    for ids, labels, (_, said) in zip(
        batch["inputs"]["input_ids"], batch["labels"], ROWS, strict=True
    ):
        learnt = model.backbone.decode(ids[labels != -100].tolist())
        answers = model.vocabulary.unescape(learnt).replace("\n", "").split("<|end|>")
        assert answers == [*said[1::2], ""]
    together = model(**batch).loss
    together.backward()
    alone = [model(**model.processor([sample])) for sample in dialogues]
    sums = [out.losses["lm"] for out in alone]
    mean = sum(value for value, _ in sums) / sum(count for _, count in sums)
    assert torch.isfinite(together) and (together - mean).abs() <= 1e-4
