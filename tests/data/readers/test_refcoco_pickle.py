"""Published pickles become JSON, and no pickle runs anything."""

from __future__ import annotations

import collections
import json
import os
import pickle
import pickletools

import pytest

from superlink.data.readers.refcoco_pickle import convert_refs
from superlink.errors import InputError


def _ref(**changes):
    sentence = {"tokens": ["left", "cup"], "raw": "Left cup!", "sent": "left cup", "sent_id": 4}
    entry = {
        "ref_id": 1,
        "ann_id": 16,
        "image_id": 581857,
        "category_id": 3,
        "split": "val",
        "file_name": "COCO_train2014_000000581857_16.jpg",
        "sent_ids": [4],
        "sentences": [sentence],
    }
    return {**entry, **changes}


def _python2(content):
    """A pickle whose texts are byte strings, as Python 2 writes them."""
    data = bytearray(pickle.dumps(content, protocol=2))
    for opcode, _, position in pickletools.genops(bytes(data)):
        if opcode.name == "BINUNICODE":
            data[position] = ord("T")
    return bytes(data)


@pytest.mark.parametrize("write", [_python2, pickle.dumps])
def test_convert_refs_writes_what_is_read_of_them(tmp_path, write):
    (tmp_path / "refs(unc).p").write_bytes(write([_ref(), _ref(ref_id=2)]))
    target = tmp_path / "new" / "refs.json"
    assert convert_refs(tmp_path / "refs(unc).p", target) == 2
    content = json.loads(target.read_text())
    assert (content["format"], content["version"]) == ("superlink-refs", 1)
    assert content["refs"][0] == {
        "ref_id": 1,
        "ann_id": 16,
        "image_id": 581857,
        "category_id": 3,
        "split": "val",
        "file_name": "COCO_train2014_000000581857_16.jpg",
        "sentences": [{"sent_id": 4, "sent": "left cup", "raw": "Left cup!"}],
    }
    assert [path.name for path in target.parent.iterdir()] == ["refs.json"]


@pytest.mark.parametrize(("encoding", "word"), [("utf-8", "café"), ("latin-1", "café")])
def test_convert_refs_reads_the_encodings_of_python_2(tmp_path, encoding, word):
    sentence = {"sent": "cafe", "raw": word.encode(encoding).decode("latin-1"), "sent_id": 1}
    data = pickle.dumps([_ref(sentences=[sentence])], protocol=2)
    coded = bytearray(_python2([_ref(sentences=[{**sentence, "raw": "CAF_"}])]))
    raw = word.encode(encoding)
    coded = bytes(coded).replace(b"\x04\x00\x00\x00CAF_", bytes([len(raw)]) + b"\x00\x00\x00" + raw)
    assert data != coded
    (tmp_path / "refs.p").write_bytes(coded)
    convert_refs(tmp_path / "refs.p", tmp_path / "refs.json")
    content = json.loads((tmp_path / "refs.json").read_text(encoding="utf-8"))
    assert content["refs"][0]["sentences"][0]["raw"] == word


class _Malicious:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_convert_refs_runs_nothing(tmp_path, protocol):
    trap = tmp_path / "trap"
    (tmp_path / "refs.p").write_bytes(pickle.dumps([_ref(), _Malicious(trap)], protocol))
    with pytest.raises(
        InputError, match=r"nothing of it was run\. Received: it asks for \w+\.mkdir"
    ):
        convert_refs(tmp_path / "refs.p", tmp_path / "refs.json")
    assert not trap.exists() and not (tmp_path / "refs.json").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a pickle",
        pickle.dumps([_ref()])[:-9],
        pickle.dumps(collections.OrderedDict()),
        b"(ios\nsystem\n(S'true'\ntR.",  # an instance, as protocol 0 makes them
        b"\x80\x02\x82\x01.",  # by the number of an extension
        b"Pid\n.",  # by a persistent id
        b"(" * 100000 + b"t" * 100000 + b".",
    ],
)
def test_convert_refs_refuses_what_is_not_plain(tmp_path, data):
    (tmp_path / "refs.p").write_bytes(data)
    with pytest.raises(InputError, match=r"refs\.p"):
        convert_refs(tmp_path / "refs.p", tmp_path / "refs.json")
    assert not (tmp_path / "refs.json").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({}, "Expected `array`"),
        ([], "no references"),
        ([_ref(ann_id="16")], r"Expected `int`, got `str` - at `\$\[0\]\.ann_id`"),
        ([{"ref_id": 1}], "missing required field"),
        ([_ref(sentences=[{"sent": "a"}])], "sent_id"),
    ],
)
def test_convert_refs_of_something_else(tmp_path, content, reason):
    (tmp_path / "refs.p").write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=rf"{reason}.*refs\.p"):
        convert_refs(tmp_path / "refs.p", tmp_path / "refs.json")


def test_convert_refs_writes_over_nothing(tmp_path):
    (tmp_path / "refs.json").write_text("mine")
    with pytest.raises(InputError, match="exists"):
        convert_refs(tmp_path / "refs.p", tmp_path / "refs.json")
    with pytest.raises(InputError, match="No such file"):
        convert_refs(tmp_path / "gone.p", tmp_path / "other.json")
    assert (tmp_path / "refs.json").read_text() == "mine"
