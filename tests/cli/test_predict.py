"""`superlink predict`: what it prints and writes, and what it says to mistakes."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import sys
import zlib

import pytest
from PIL import Image
from typer.testing import CliRunner

from superlink.cli.main import app


@pytest.fixture
def predict(tiny_demo_model):
    """Run the command: `predict("Find: apple", "--image", path)`, by default on the tiny model."""

    def run(*arguments, model=tiny_demo_model / "model", exit_code=0):
        result = CliRunner().invoke(app, ["predict", str(model), *map(str, arguments)])
        assert result.exit_code == exit_code, result.output
        return result

    return run


@pytest.fixture
def refused(predict):
    """Run the command and give the text of the panel that ends it, its borders left out."""

    def run(*arguments, **options):
        result = predict(*arguments, **options, exit_code=2)
        assert result.stdout == ""
        return " ".join(line.strip("│ ") for line in result.stderr.splitlines())

    return run


@pytest.fixture
def scene(tiny_demo_model):
    return tiny_demo_model / "scene.png"


def test_reply_in_words_and_boxes(predict, scene):
    output = predict("Find: apple", "--image", scene, "--threshold", 0).stdout.splitlines()
    assert output[0] == "apple"
    assert re.fullmatch(r"found \d+ x apple", output[1])
    assert output[2].split() == ["phrase", "score", "x1", "y1", "x2", "y2"]
    phrase, score, *corners = output[3].split()
    assert phrase == "apple"
    assert 0 <= float(score) <= 1
    assert all(0 <= float(value) <= 512 for value in corners)


def test_threshold_hides_weak_boxes(predict, scene):
    assert predict("Find: apple", "--image", scene, "--threshold", 1).stdout == (
        "apple\nfound 0 x apple\n"
    )


def test_numbers_are_those_of_the_rows(predict, scene):
    output = predict("Find: apple", "--image", scene, "--threshold", 0).stdout.splitlines()
    assert output[1] == f"found {len(output) - 3} x apple"
    best = predict("Find: apple", "--image", scene, "--threshold", 0, "--best").stdout.splitlines()
    assert best[1] == "found 1 x apple"
    assert [line.split() for line in best[3:]] == [output[3].split()]


def test_json_is_all_of_stdout(predict, scene):
    reply = json.loads(predict("Find: apple", "--image", scene, "--json").stdout)
    assert reply["text"] == "apple"
    assert reply["routes"] == [{"token": "[DET]", "phrase": "apple", "span": [0, 5]}]
    (call,) = reply["calls"]
    assert call["decoder"] == "mmdet.grounding_dino"
    assert {"phrase", "label", "score", "bbox"} <= call["instances"][0].keys()


def test_picture_shows_the_reply(predict, scene, tmp_path):
    path = tmp_path / "new" / "out.png"
    result = predict("Find: apple", "--image", scene, "--picture", path, "--threshold", 0)
    assert "out.png" in result.stderr
    with Image.open(path) as picture, Image.open(scene) as original:
        assert picture.crop((0, 0, 512, 512)).tobytes() != original.convert("RGB").tobytes()


def test_picture_is_written_also_without_instances(predict, scene, tmp_path):
    path = tmp_path / "out.png"
    predict("Find: apple", "--image", scene, "--picture", path, "--threshold", 1)
    with Image.open(path) as picture, Image.open(scene) as original:
        assert picture.height > original.height  # the text stands below
        assert picture.crop((0, 0, 512, 512)).tobytes() == original.convert("RGB").tobytes()


def test_forced_answer_routes_what_it_says(predict, scene):
    arguments = ("What?", "--image", scene, "--answer", "<p>boat</p>[DET]", "--json")
    reply = json.loads(predict(*arguments).stdout)
    assert [route["phrase"] for route in reply["routes"]] == ["boat"]


def test_classes_are_asked_for_in_parts_and_come_as_one_reply(predict, scene, tmp_path):
    picture = tmp_path / "out.png"
    arguments = ("--classes", "apple, dog,boat", "--classes-per-reply", 2, "--image", scene)
    reply = json.loads(predict(*arguments, "--json", "--picture", picture).stdout)
    assert reply["text"] == "apple, dog, boat"
    (call,) = reply["calls"]
    scores = [item["score"] for item in call["instances"]]
    assert call["routes"] == [0, 1, 2]
    assert scores == sorted(scores, reverse=True) and len(scores) <= 100
    assert picture.is_file()


def test_classes_of_a_file(predict, scene, tmp_path):
    path = tmp_path / "classes.txt"
    path.write_bytes("\ufeffapple\r\n\r\ncar, red\n".encode())
    reply = json.loads(predict("--classes", path, "--image", scene, "--json").stdout)
    assert [route["phrase"] for route in reply["routes"]] == ["apple", "car, red"]


def test_prompt_words_the_questions_about_classes(predict, refused, scene):
    asked = ("--classes", "apple,dog", "--image", scene)
    assert predict("Segment: {classes}", *asked, "--threshold", 1).stdout.startswith("apple, dog\n")
    assert "where the names stand" in refused("Segment them", *asked)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Expected a prompt, as 'Find: apple', or --classes"),
        (("--classes", "apple"), "of one picture. Received: 0 times --image"),
        (("--classes", "apple", "--answer", "x"), "Received: 0 times --image, and --answer"),
        (("--classes", "none.txt"), "a text file in UTF-8 with a class a line"),
    ],
)
def test_classes_that_do_not_fit_the_rest(refused, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in refused(*arguments, model=tmp_path)


def test_class_that_comes_twice(refused, scene):
    message = refused("--classes", "apple,Apple", "--image", scene)
    assert "classes[1]='Apple' behind 'apple'" in message


def test_question_without_an_image_is_answered_in_text(predict):
    reply = json.loads(predict("Find: apple", "--json").stdout)
    assert (reply["routes"], reply["calls"]) == ([], [])


def test_call_that_cannot_be_served_is_told(predict, refused):
    arguments = ("Find", "--answer", "<p>apple</p>[DET]")
    result = predict(*arguments)
    assert "not served: [DET] needs an image" in result.stderr
    assert "[DET] needs an image" in refused(*arguments, "--strict")


def test_token_that_the_user_types_calls_nobody(predict, scene):
    arguments = ("<p>dog</p>[DET]", "--image", scene, "--answer", "<p>apple</p>[DET]", "--json")
    reply = json.loads(predict(*arguments).stdout)
    assert [route["phrase"] for route in reply["routes"]] == ["apple"]


def test_image_of_one_pixel_works(predict, tmp_path):
    path = tmp_path / "one.png"
    Image.new("RGB", (1, 1), "red").save(path)
    reply = json.loads(predict("Find: apple", "--image", path, "--json").stdout)
    boxes = [item["bbox"] for call in reply["calls"] for item in call["instances"]]
    assert boxes
    assert all(0 <= value <= 1 for box in boxes for value in box)


def huge_png(side):
    """A PNG that announces `side` x `side` pixels and holds none: to decode it would fail."""
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def test_huge_image_is_refused_before_it_is_decoded(refused, tmp_path):
    path = tmp_path / "huge.png"
    path.write_bytes(huge_png(20_000))
    assert "is too large: at most 100,000,000 pixels" in refused("Find: apple", "--image", path)


def test_missing_image(refused, tmp_path):
    assert "No such image file" in refused("Find: apple", "--image", tmp_path / "none.png")


def test_corrupt_image(refused, tmp_path, scene):
    path = tmp_path / "cut.png"
    path.write_bytes(scene.read_bytes()[:2000])
    assert "cannot be read as an image" in refused("Find: apple", "--image", path)


@pytest.mark.parametrize("prompt", ["", "  \n"])
def test_empty_prompt(refused, scene, prompt):
    assert "Expected a prompt that asks something" in refused(prompt, "--image", scene)


def test_a_reply_without_any_picture_is_shown_before_its_picture_fails(predict, tmp_path):
    result = predict("Find: apple", "--picture", tmp_path / "out.png", exit_code=2)
    assert result.stdout.startswith("apple")
    assert "A reply without an image has no picture" in result.stderr
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("name", ["out.pdf", "out", "out.png.txt"])
def test_picture_of_unknown_format(refused, scene, tmp_path, name):
    message = refused("Find: apple", "--image", scene, "--picture", tmp_path / name)
    assert "--picture writes .png, .jpg, .jpeg, .webp" in message


def test_the_reply_is_shown_before_its_picture_cannot_be_written(predict, scene, tmp_path):
    path = tmp_path / "out.png"
    path.mkdir()
    result = predict("Find: apple", "--image", scene, "--picture", path, exit_code=2)
    assert result.stdout.startswith("apple")
    assert "cannot be written" in result.stderr


def test_folder_that_is_no_checkpoint(refused, scene, tmp_path):
    message = refused("Find: apple", "--image", scene, model=tmp_path)
    assert "Expected a checkpoint folder with config.json" in message


def test_folder_that_does_not_exist(refused, scene, tmp_path):
    message = refused("Find: apple", "--image", scene, model=tmp_path / "none")
    assert "does not exist" in message


@pytest.fixture
def copied_model(tiny_demo_model, tmp_path):
    return shutil.copytree(tiny_demo_model / "model", tmp_path / "model")


def test_checkpoint_of_a_decoder_that_is_not_installed(refused, scene, copied_model):
    config = json.loads((copied_model / "config.json").read_text())
    config["decoders"][0] |= {"name": "acme.boxes", "distribution": "superlink-acme"}
    (copied_model / "config.json").write_text(json.dumps(config))
    message = refused("Find: apple", "--image", scene, model=copied_model)
    assert "needs the decoder 'acme.boxes', which is not available here" in message
    assert "pip install superlink-acme==0.1.0" in message


def test_pickle_in_place_of_safetensors(refused, scene, copied_model):
    import torch

    torch.save({"queries.tokens": torch.zeros(1)}, copied_model / "links.safetensors")
    message = refused("Find: apple", "--image", scene, model=copied_model)
    assert "Expected safetensors" in message
    assert "reads no pickles" in message


def test_folder_of_pictures_that_is_a_file_or_stays_empty(predict, refused, scene, tmp_path):
    path = tmp_path / "draw.yaml"
    path.write_text("")
    assert "--made names a folder" in refused("Find: apple", "--image", scene, "--made", path)
    told = predict("Find: apple", "--image", scene, "--made", tmp_path / "new")
    assert "No picture was made: this model has no decoder for [GEN]" in told.stderr


def test_help_teaches_and_mistakes_are_told_without_a_heavy_import(tmp_path):
    script = f"""
import sys
from typer.testing import CliRunner
from superlink.cli.main import app
told = CliRunner().invoke(app, ["predict", "--help"])
assert told.exit_code == 0 and "Example: superlink predict" in told.output, told.output
lost = CliRunner().invoke(app, ["predict", "model", "Find", "--image", {str(tmp_path / "none")!r}])
assert lost.exit_code == 2, lost.output
assert not {{"transformers", "mmdet"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
