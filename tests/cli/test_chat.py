"""`superlink chat`: lines in, a conversation out, and mistakes that end nothing."""

from __future__ import annotations

import builtins
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from superlink.cli import chat as command
from superlink.cli.main import app
from superlink.link import RegionConfig
from superlink.testing.backbones import Script
from superlink.testing.models import toy_model


@pytest.fixture(scope="module")
def model():
    return toy_model(regions=RegionConfig(image_size=32, dims=16))


@pytest.fixture(autouse=True)
def loaded(model, monkeypatch, tmp_path):
    """The command works in an empty folder and gets the toy model, whatever folder it names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("superlink.build.load", lambda *_, **__: model)
    pixels = np.random.default_rng(0).integers(0, 255, (60, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("a dog.png")
    Image.new("RGB", (20, 80)).save("b.png")
    Image.new("L", (40, 60), 255).save("mask.png")


@pytest.fixture
def chat(model):
    """Say these lines; the model writes one text to all questions."""

    def run(lines, *arguments, written="<p>dog</p>[BOX], ok", exit_code=0):
        encoded = lines if isinstance(lines, bytes) else "\n".join(lines).encode()
        with Script(model.backbone, [written]):
            result = CliRunner().invoke(app, ["chat", "model", *arguments], input=encoded)
        assert result.exit_code == exit_code, result.output
        return result

    return run


@pytest.fixture
def events(chat):
    def run(lines, *arguments, **options):
        result = chat(lines, "--json", *arguments, **options)
        assert result.stderr == ""
        return [json.loads(line) for line in result.stdout.splitlines()]

    return run


def kinds(events):
    return [event["event"] for event in events]


def one(events, kind):
    (found,) = (event for event in events if event["event"] == kind)
    return found


def test_conversation_reads_as_it_was_held(chat):
    result = chat(["/image a dog.png", "Find: dog", "", "and again"])
    lines = result.stdout.splitlines()
    assert lines[:6] == [
        "> /image a dog.png",
        "image of 40 x 60 pixels",
        "> Find: dog",
        "dog[BOX], ok",
        "[BOX] dog: 1 found, 1.00",
        "picture chat/001.png",
    ]
    assert lines[6:8] == ["> and again", "dog[BOX], ok"] and lines[-1] == "picture chat/002.png"
    assert result.stderr == ""


def test_pictures_go_on_from_the_numbers_that_are_there(chat, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "007.png").write_bytes(b"mine")
    chat(["Find: dog", "again"], "--image", "b.png", "--output", "out")
    assert (tmp_path / "out" / "007.png").read_bytes() == b"mine"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"007.png", "008.png", "009.png"}


def test_text_alone_leaves_no_picture(chat, tmp_path):
    assert chat(["hello"], written="hi").stdout == "> hello\nhi\n"
    assert not (tmp_path / "chat").exists()


def test_machines_get_an_event_a_line(events):
    found = events(["/image b.png", "Find: dog", "/undo", "/clear", "/help", "/quit", "never"])
    assert kinds(found)[:3] == ["line", "image", "line"]
    assert "".join(e["text"] for e in found if e["event"] == "text") == "dog, ok"
    assert one(found, "route") == {
        "event": "route",
        "token": "[BOX]",
        "phrase": "dog",
        "span": [0, 3],
    }
    assert one(found, "result")["decoder"] == "toy.box"
    assert one(found, "result")["instances"][0]["phrase"] == "dog"
    assert one(found, "reply")["text"] == "dog, ok"
    assert one(found, "picture")["file"].endswith("001.png")
    assert kinds(found)[-6:] == ["undone", "line", "cleared", "line", "help", "line"]
    assert found[-1]["text"] == "/quit"


def test_mistakes_are_told_and_the_chat_goes_on(events, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    wrong = {
        "/image": "Expected a file, as /image photo.jpg",
        "/image none.png": "No such image file",
        "/image broken.png": "cannot be read as an image",
        "/image .": "Received a folder",
        "/region point:1,1": "Show one first",
        "/undo": "no question to take back",
        "/save": "Expected a file, as /save talk.json",
        "/save talk.txt": r"saved as a .json",
        "/save a\0.json": "cannot be written",
        "/foo": "No such command: /foo. There are /image, /region",
        "/": "No such command",
        "dog " * 1100: "reads 1024 tokens at most",
    }
    found = events([*wrong, "hello"], written="hi")
    reasons = [event["reason"] for event in found if event["event"] == "error"]
    assert len(reasons) == len(wrong)
    for reason, expected in zip(reasons, wrong.values(), strict=True):
        assert expected in reason
    assert one(found, "reply")["text"] == "hi"


def test_mistakes_with_regions_are_told_and_the_chat_goes_on(events):
    lines = [
        "/region blob:1",
        "/region point:900,1",
        "/region mask:none.png",
        "/region mask:b.png",
        "/region point:5,5",
        "<region> and <region>",
        "what is <region>?",
    ]
    found = events(lines, "--image", "a dog.png", written="a dog")
    reasons = [event["reason"] for event in found if event["event"] == "error"]
    for reason, expected in zip(
        reasons,
        ["A region is point", "inside of its image", "No such image", "no light", "one <region>"],
        strict=True,
    ):
        assert expected in reason
    assert kinds(found)[-1] == "reply"


def test_error_is_one_line_beside_the_transcript(chat):
    result = chat(["/foo", "hello"])
    assert result.stderr.startswith("error: No such command: /foo.")
    assert result.stderr.count("\n") == 1
    assert result.stdout.splitlines()[:2] == ["> /foo", "> hello"]


def test_bytes_that_are_no_text_are_told(chat):
    result = chat(b"\xef\xbb\xbfbad \xff\r\nhello\r\n", written="hi")
    assert "UTF-8 can write" in result.stderr
    assert result.stdout == "> bad ?\n> hello\nhi\n"


def test_other_languages_come_through(chat):
    asked = "找到苹果 أين التفاحة؟ 🍎 e\u0301"
    assert chat([asked], written=f"{asked}!").stdout == f"> {asked}\n{asked}!\n"


def test_options_of_decoders_are_checked_before_the_chat_begins(chat):
    result = chat(["hello"], "--option", "seed=1", exit_code=2)
    assert "takes no options" in result.stderr
    assert result.stdout == ""


def test_regions_are_taken_by_the_marks_in_their_order(chat, model, monkeypatch):
    seen = []
    stream = model.stream_sample
    monkeypatch.setattr(
        model, "stream_sample", lambda sample, **o: seen.append(sample) or stream(sample, **o)
    )
    lines = ["/region box:1,1,9,9", "/region mask:mask.png", "what is <region>?", "no mark"]
    lines += ["/image b.png", "/region point:5,70", "<region> or <region>?"]
    result = chat(lines, "--image", "a dog.png", written="a dog")
    assert result.stderr == ""
    assert "region of 64 pixels, for the next <region>" in result.stdout
    assert [len(sample.regions) for sample in seen] == [1, 1, 3]
    assert [region.kind for region in seen[-1].regions] == ["box", "mask", "point"]
    assert [region.image for region in seen[-1].regions] == [0, 0, 1]


def test_mark_without_a_region_is_text(chat):
    result = chat(["what is <region>, [BOX] and <p>?"], "--image", "b.png", written="hi")
    assert result.stdout == "> what is <region>, [BOX] and <p>?\nhi\n"
    assert result.stderr == "<region> is text here, as no /region was given.\n"


def test_question_that_begins_with_a_slash_has_a_blank_before_it(events):
    assert one(events([" /image or not?"], written="hi"), "reply")["text"] == "hi"


def test_undo_takes_back_first_what_waits(events):
    found = events(["hello", "/image b.png", "/region point:5,5", *["/undo"] * 4])
    taken = [event["what"] for event in found if event["event"] == "undone"]
    assert taken == ["region", "image", "question"]
    assert kinds(found)[-1] == "error"


def test_conversation_is_saved_and_goes_on(events, chat, tmp_path):
    events(["/image b.png", "Find: dog", '/save "my talk.json"'], "--system", "Be kind.")
    saved = json.loads((tmp_path / "my talk.json").read_text())
    assert [message["role"] for message in saved["messages"]] == ["system", "user", "assistant"]
    result = chat(["again"], "--load", "my talk.json")
    assert "picture chat/002.png" in result.stdout


def test_load_with_a_system_message_is_refused(chat):
    result = chat([], "--load", "talk.json", "--system", "Be kind.", exit_code=2)
    assert "Leave --system out" in " ".join(result.stderr.split())


@pytest.mark.parametrize("arguments", [("--image", "none.png"), ("--load", "none.json")])
def test_file_that_is_missing_ends_the_command_before_it_begins(chat, arguments):
    result = chat(["hello"], *arguments, exit_code=2)
    assert "InputError" in result.stderr and result.stdout == ""


def test_picture_that_cannot_be_written_leaves_the_answer(events, tmp_path):
    (tmp_path / "chat").write_bytes(b"a file")
    found = events(["Find: dog", "/undo"], "--image", "b.png")
    assert "cannot be written" in one(found, "error")["reason"]
    assert kinds(found).index("reply") < kinds(found).index("error")
    assert one(found, "undone")["what"] == "question"


def test_answer_that_is_interrupted_leaves_the_chat(chat, model, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "_serve", interrupted)
    result = chat(["hello", "/undo"], written="hi")
    assert "stopped, and nothing of it is kept" in result.stderr
    assert "no question to take back" in result.stderr
    assert result.stdout.splitlines() == ["> hello", "hi", "> /undo"]


def test_typed_lines_end_with_the_input_and_outlive_an_interrupt(monkeypatch, capsys):
    said = iter(["hello", KeyboardInterrupt(), "again", EOFError()])

    def typed(prompt):
        assert prompt == "> "
        line = next(said)
        if isinstance(line, BaseException):
            raise line
        return line

    monkeypatch.setattr(builtins, "input", typed)
    monkeypatch.setitem(sys.modules, "readline", SimpleNamespace())
    assert list(command._typed_lines("> ")) == ["hello", "again"]
