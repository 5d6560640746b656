"""Conversations as files: what is written comes back, and what is broken is told."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from superlink import Chat
from superlink.errors import InputError
from superlink.interfaces import Region
from superlink.link import RegionConfig
from superlink.testing.backbones import Script
from superlink.testing.models import toy_model

SHAPE = np.zeros((60, 40), dtype=bool)
SHAPE[10:20, 5:30] = True
REGIONS = (
    Region.point((3, 4), (5, 6.5)),
    Region.box(1, 2, 30, 40),
    Region.scribble([(1, 1), (9, 9)], radius=2.5),
    Region.circle((10, 10), 4),
    Region.polygon([(1, 1), (20, 1), (20, 20)]),
    Region.from_mask(SHAPE),
)


@pytest.fixture(scope="module")
def model():
    return toy_model(regions=RegionConfig(image_size=32, dims=16))


def photo(seed=0):
    pixels = np.random.default_rng(seed).integers(0, 255, (60, 40, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def say(chat, written, *arguments, **options):
    with Script(chat.model.backbone, [written]):
        return chat.ask(*arguments, **options)


@pytest.fixture
def chat(model):
    """Two images, every kind of region, routes, other languages, and what looks like control."""
    chat = Chat(model, system="Be kind. 你好")
    say(chat, "<p>пёс</p>[BOX]", "Найди пса: [BOX] <region> 🐕", [photo(0), photo(1)])
    say(chat, "yes", "<region>" * len(REGIONS), regions=REGIONS)
    say(chat, "", "and?")
    return chat


def edited(path, change):
    """A saved conversation, its JSON changed."""
    saved = json.loads(path.read_text(encoding="utf-8"))
    change(saved)
    path.write_text(json.dumps(saved), encoding="utf-8")


def test_conversation_comes_back_as_it_was(chat, model, tmp_path):
    chat.save(tmp_path / "new" / "talk.json")
    loaded = Chat.load(tmp_path / "new" / "talk.json", model)
    assert loaded.messages == chat.messages
    for one, other in zip(loaded.images, chat.images, strict=True):
        assert one.tobytes() == other.tobytes() and one.size == other.size
    for one, other in zip(loaded.regions, chat.regions, strict=True):
        assert (one.kind, one.points, one.radius) == (other.kind, other.points, other.radius)
        assert one.image == other.image == 1
        assert (one.raster((60, 40)) == other.raster((60, 40))).all()
    assert (loaded.regions[-1].mask == SHAPE).all()
    options = {"max_new_tokens": 4}
    assert chat.ask("and now?", **options).raw == loaded.ask("and now?", **options).raw


def test_file_is_for_people_and_moves_with_its_pictures(chat, model, tmp_path):
    chat.save(tmp_path / "talk.json")
    text = (tmp_path / "talk.json").read_text(encoding="utf-8")
    assert "Найди пса: [BOX] <region> 🐕" in text and str(tmp_path) not in text
    assert {entry.name for entry in tmp_path.iterdir()} == {"talk.json", "talk.images"}
    shutil.move(tmp_path, tmp_path.with_name("elsewhere"))
    loaded = Chat.load(tmp_path.with_name("elsewhere") / "talk.json", model)
    assert loaded.messages == chat.messages


def test_text_alone_makes_no_folder_and_equal_pictures_one_file(model, tmp_path):
    chat = Chat(model)
    chat.save(tmp_path / "none.json")
    assert Chat.load(tmp_path / "none.json", model).messages == ()
    assert not (tmp_path / "none.images").exists()
    say(chat, "yes", "same?", [photo(), photo()])
    chat.save(tmp_path / "talk.json")
    assert len(list((tmp_path / "talk.images").iterdir())) == 1
    assert len(Chat.load(tmp_path / "talk.json", model).images) == 2


def test_save_that_is_killed_leaves_the_older_conversation(chat, model, tmp_path, monkeypatch):
    path = tmp_path / "talk.json"
    chat.save(path)
    before = chat.messages
    say(chat, "yes", "more", photo(2))
    replace = os.replace

    def full(source, target):
        if str(target).endswith(".json"):
            raise OSError("no space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match=r"cannot be written: no space left"):
        chat.save(path)
    assert Chat.load(path, model).messages == before


@pytest.mark.parametrize("name", ["talk", "talk.png", "talk.json.txt"])
def test_other_suffix_is_refused_so_that_no_picture_is_overwritten(chat, tmp_path, name):
    with pytest.raises(InputError, match=r"saved as a \.json file"):
        chat.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_path_that_cannot_be_written_to(chat, tmp_path):
    (tmp_path / "talk.json").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        chat.save(tmp_path / "talk.json")


@pytest.mark.parametrize(
    "text", [None, b"", b"{", b"[]", b'{"messages": []}', b"\xff\xfe", b"\x89PNG"]
)
def test_something_else_is_refused(model, tmp_path, text):
    if text is not None:
        (tmp_path / "talk.json").write_bytes(text)
    with pytest.raises(InputError, match=r"that `Chat.save` wrote.*talk\.json"):
        Chat.load(tmp_path / "talk.json", model)


def _second(role, content):
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda saved: saved.update(format_version=2), "format_version 1"),
        (lambda saved: saved["messages"].pop(), "take turns"),
        (lambda saved: saved["messages"].reverse(), "take turns"),
        (lambda saved: saved["messages"].insert(2, _second("system", "no")), "take turns"),
        (lambda saved: saved["messages"][1].update(role="gpt"), "`Chat.save` wrote"),
        (
            lambda saved: saved["messages"][1]["content"].pop(0),
            r"1 images|image of this index|lies on",
        ),
        (lambda saved: saved["messages"][2].update(content=[{"kind": "image"}]), "questions alone"),
        (lambda saved: saved["messages"][1]["content"][0].update(file=""), "relative to itself"),
        (lambda saved: saved["messages"][1]["content"][0].update(file="/a.png"), "relative"),
        (lambda saved: saved["messages"][1]["content"][0].update(file="../a.png"), "relative"),
        (lambda saved: saved["messages"][1]["content"][0].update(file="a.png"), "No such image"),
        (lambda saved: saved["messages"][3]["content"][0].update(points=[]), "A region is a point"),
        (lambda saved: saved["messages"][3]["content"][0].update(image=9), "lies on an image"),
        (lambda saved: saved["messages"][3]["content"][0].update(kind="star"), "`Chat.save` wrote"),
    ],
)
def test_broken_conversation_is_refused(chat, model, tmp_path, change, reason):
    chat.save(tmp_path / "talk.json")
    edited(tmp_path / "talk.json", change)
    with pytest.raises(InputError, match=reason):
        Chat.load(tmp_path / "talk.json", model)


def test_conversation_is_for_any_model(chat, tmp_path):
    chat.save(tmp_path / "talk.json")
    other = toy_model("qwen2_5_vl", regions=RegionConfig(image_size=32, dims=16))
    loaded = Chat.load(tmp_path / "talk.json", other)
    assert say(loaded, "<p>dog</p>[BOX]", "and now?").calls[0].image == 1
