"""Questions in VCR's form."""

from __future__ import annotations

import json
import pickle

import pytest
from PIL import Image

from superlink.data.readers.vcr import read_vcr
from superlink.errors import ConfigError, InputError

NAME = "film/still@0"


def _row(**changes):
    row = {
        "movie": "film",
        "objects": ["person", "person", "car"],
        "img_fn": f"{NAME}.jpg",
        "metadata_fn": f"{NAME}.json",
        "question": ["Why", "does", "n't", [1], "look", "at", [0, 2], "?"],
        "answer_choices": [
            [[1], "is", "sad", "."],
            ["They", "are", "late", ",", "says", [0], "'s", "friend", "."],
            ["No", "."],
            [[1, 0], "sleep", "."],
        ],
        "answer_label": 1,
        "rationale_choices": [[[2], "stands", "."], ["It", "rains", "."]],
        "rationale_label": 0,
        "annot_id": "val-7",
        "interesting_scores": [0],
        **changes,
    }
    return {key: value for key, value in row.items() if value is not ...}


def _metadata(**changes):
    square = [[2, 2], [8, 2], [8, 6], [2, 6]]
    return {
        "boxes": [[2, 2, 8, 6, 0.9], [10, 1, 19, 9, 0.8], [-1, 0, 25, 12, 0.7]],
        "segms": [[square], [], [square, [[12, 4], [16, 4], [16, 8]]]],
        "names": ["person", "person", "car"],
        "width": 20,
        "height": 10,
        **changes,
    }


def _read(folder, *rows, metadata=None, **options):
    still = folder / "images" / f"{NAME}.jpg"
    still.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 10)).save(still)
    still.with_suffix(".json").write_text(json.dumps(metadata or _metadata()))
    path = folder / "val.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return read_vcr(path, folder / "images", **options)


def _text(words, record):
    return "".join(
        piece if isinstance(piece, str) else f"[{record.objects[piece].bbox[0]:g}]"
        for piece in words
    )


def test_question_has_two_steps(tmp_path):
    dataset = _read(tmp_path, _row(), _row(annot_id=...))
    assert len(dataset) == 4
    answer, reason = dataset[0], dataset[1]
    assert _text(answer.question, answer) == "Why doesn't [10] look at [2] and [0]?"
    assert [_text(choice, answer) for choice in answer.choices] == [
        "[10] is sad.",
        "They are late, says [2]'s friend.",
        "No.",
        "[10] and [2] sleep.",
    ]
    assert (answer.correct, answer.step, answer.given) == (1, "answer", ())
    assert (reason.correct, reason.step) == (0, "rationale")
    assert _text(reason.given, reason) == "They are late, says [2]'s friend."
    assert _text(reason.choices[0], reason) == "[0] stands."
    assert answer.group == reason.group == "val-7" and answer.key == "val-7/answer"
    assert dataset[2].group == "val.jsonl#2"
    assert answer.open().size == (20, 10)


def test_objects_have_boxes_cut_at_the_image_and_masks_where_wanted(tmp_path):
    person, other, car = _read(tmp_path, _row())[0].objects
    assert (person.bbox, other.bbox, car.bbox) == ((10, 1, 19, 9), (2, 2, 8, 6), (0, 0, 20, 10))
    assert (person.name, car.name, car.mask) == ("person", "car", None)
    person, other, car = _read(tmp_path, _row(), masks=True)[0].objects
    assert person.mask is None and other.mask.sum() == 24 and car.mask.sum() > 24


def test_steps_may_be_asked_for_apart(tmp_path):
    for step in ("answer", "rationale"):
        (record,) = _read(tmp_path, _row(), steps=step)
        assert record.step == step
    assert len(_read(tmp_path, _row(rationale_label=...), steps="answer")) == 1
    with pytest.raises(ConfigError, match="steps is one of"):
        _read(tmp_path, _row(), steps="reason")


def test_dataset_can_be_pickled(tmp_path):
    dataset = pickle.loads(pickle.dumps(_read(tmp_path, _row())))
    assert dataset[1].key == "val-7/rationale"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (_row(answer_label=...), "it has no answer_label, as those of the test set"),
        (_row(rationale_label=2), "its rationale_label is none of its"),
        (_row(answer_choices=[["No"]], answer_label=0), "its answer_label is none of its"),
        (_row(question=["Who", "is", [3], "?"]), "it speaks of an object that it does not have"),
        (_row(question=[]), "it asks nothing"),
        (_row(img_fn="film/other.jpg"), "its image is not in the folder"),
        (_row(metadata_fn="film/other.json"), "its metadata is not in the folder"),
        (_row(question="Why?"), "its structure is wrong"),
        ("{", "it is no JSON"),
    ],
)
def test_broken_question_is_named_with_its_line(tmp_path, row, reason):
    with pytest.raises(InputError, match=rf"line 2 in .*val\.jsonl: {reason}"):
        _read(tmp_path, _row(), row)
    dataset = _read(tmp_path, _row(), row, broken="skip")
    assert len(dataset) == 2 and any(reason in found for found in dataset.problems.reasons())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"boxes": [[0, 0, 5, 5]]}, "line 1 in .*has 3 objects. Received: 1 boxes"),
        ({"segms": []}, "line 1 in .*has 3 objects. Received: 3 boxes and 0 outlines"),
        ({"boxes": [[1, 1, 1, 2], [1, 1], [0, 0, 2, 2]]}, "line 1 in .*object 1 .*needs a name"),
        ({"segms": [[["a"]], [], []]}, "line 1 in .*object 0 .*cannot be drawn"),
        ({"width": 10**9}, "width and height"),
        ({"width": 0}, "width and height"),
        ({"boxes": None}, "no usable file of VCR's metadata"),
    ],
)
def test_metadata_that_do_not_fit_raise_with_their_record(tmp_path, changes, reason):
    dataset = _read(tmp_path, _row(), metadata=_metadata(**changes), masks=True)
    with pytest.raises(InputError, match=reason):
        dataset[0]


def test_nothing_to_read(tmp_path):
    with pytest.raises(InputError, match="no question to offer"):
        _read(tmp_path, _row(answer_label=...), broken="skip")
    with pytest.raises(InputError, match="No such annotation file"):
        read_vcr(tmp_path / "no.jsonl", tmp_path)
