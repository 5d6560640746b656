"""Dialogues in LLaVA's form."""

from __future__ import annotations

import json
import pickle

import pytest
from PIL import Image

from superlink.data.readers.llava import read_llava
from superlink.errors import InputError

TURNS = [
    {"from": "human", "value": "<image>\nWhat is this?"},
    {"from": "gpt", "value": "A cat."},
]
TEXT = [{"from": "user", "value": "Hi"}, {"from": "assistant", "value": "Hello"}]


def _row(number=1, **changes):
    entry = {"id": f"{number:03}", "image": "coco/a.jpg", "conversations": TURNS, "model": "x"}
    return {key: value for key, value in {**entry, **changes}.items() if value is not None}


def _text_row(**changes):
    return _row(image=None, conversations=TEXT, **changes)


def _read(folder, *rows, lines=False, images=True, **options):
    (folder / "images" / "coco").mkdir(parents=True, exist_ok=True)
    for name in ("a", "b"):
        Image.new("RGB", (10, 8)).save(folder / "images" / "coco" / f"{name}.jpg")
    path = folder / ("rows.jsonl" if lines else "rows.json")
    path.write_text("\n".join(map(json.dumps, rows)) if lines else json.dumps(rows))
    return read_llava(path, folder / "images" if images else None, **options)


@pytest.mark.parametrize("lines", [False, True])
def test_read_llava_yields_dialogues(tmp_path, lines):
    two = _row(2, image=["coco/a.jpg", "coco/b.jpg"])
    two["conversations"] = [{"from": "human", "value": "<image><image> Same?"}, TURNS[1]]
    dataset = _read(tmp_path, _row(), two, _text_row(), lines=lines)
    first, second, third = dataset
    assert first.turns == (("user", "<image>\nWhat is this?"), ("assistant", "A cat."))
    assert first.images == (tmp_path / "images" / "coco" / "a.jpg",)
    assert len(second.images) == 2 and second.images[1].name == "b.jpg"
    assert third.images == () and third.turns[0] == ("user", "Hi")
    assert len({record.key for record in dataset}) == 3 and "001" in first.key
    assert pickle.loads(pickle.dumps(dataset))[1] == second


def test_text_alone_needs_no_folder(tmp_path):
    assert len(_read(tmp_path, _text_row(), images=False)) == 1
    with pytest.raises(InputError, match="images=FOLDER"):
        _read(tmp_path, _row(), images=False)


def test_answer_before_the_first_question_is_left_out(tmp_path):
    system = {"from": "system", "value": "Be kind."}
    rows = _row(image=None, conversations=[system, TEXT[1], *TEXT])
    (record,) = _read(tmp_path, rows)
    assert record.turns == (("system", "Be kind."), ("user", "Hi"), ("assistant", "Hello"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"conversations": TEXT}, "as many images as marks"),
        ({"image": None}, "as many images as marks"),
        ({"image": "coco/c.jpg"}, "not in the folder"),
        ({"conversations": TURNS[:1]}, "an answer at its end"),
        ({"conversations": [TURNS[1]]}, "it needs a question"),
        ({"conversations": []}, "it needs a question"),
        ({"conversations": [TEXT[0], {"from": "gpt", "value": "<image>"}]}, "not the user's"),
        ({"conversations": [{"from": "bard", "value": "Hi"}, TURNS[1]]}, "who 'bard' is"),
        ({"conversations": [{"from": "human"}]}, "its structure is wrong"),
        ({"conversations": None}, "its structure is wrong"),
        ({"image": 3}, "its structure is wrong"),
    ],
)
@pytest.mark.parametrize("lines", [False, True])
def test_read_llava_of_a_broken_dialogue(tmp_path, changes, reason, lines):
    rows = _text_row(), _row(2, **changes)
    place = "line 2" if lines else r"dialogues\[1\]"
    with pytest.raises(InputError, match=rf"{place}.*{reason}"):
        _read(tmp_path, *rows, lines=lines)
    dataset = _read(tmp_path, *rows, lines=lines, broken="skip")
    assert len(dataset) == 1 and any(reason in found for found in dataset.problems.reasons())


def test_read_llava_of_something_else(tmp_path):
    (tmp_path / "rows.json").write_text('{"id": 1}')
    with pytest.raises(InputError, match="list of dialogues"):
        read_llava(tmp_path / "rows.json")
    with pytest.raises(InputError, match="no dialogue to offer"):
        _read(tmp_path)
