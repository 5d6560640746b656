"""`superlink data`: inspect, validate, convert."""

from __future__ import annotations

import json
import pickle

import pytest
from PIL import Image
from typer.testing import CliRunner

from superlink.cli.choices import choose_data, tasks_reading
from superlink.cli.key_values import parse_option
from superlink.cli.main import app
from superlink.errors import ConfigError
from superlink.interfaces import open_image
from superlink.registry import default_registry

SCENES = ("scenes:val", "--option", "num_scenes=5")


def run(*arguments):
    return CliRunner().invoke(app, ["data", *map(str, arguments)])


def words(result):
    return " ".join(result.output.replace("│", " ").split())


@pytest.fixture
def coco(tmp_path):
    """Writes a COCO set of three images, and returns the arguments that name it."""

    def write(*annotations, missing=False, damaged=False):
        folder = tmp_path / "images"
        folder.mkdir()
        for name in ("a.png", "b.png", "c.png"):
            Image.new("RGB", (40, 30), "white").save(folder / name)
        if missing:
            (folder / "b.png").unlink()
        if damaged:
            (folder / "c.png").write_bytes((folder / "a.png").read_bytes()[:50])
        images = [
            {"id": number, "file_name": name, "width": 40, "height": 30}
            for number, name in enumerate(("a.png", "b.png", "c.png"))
        ]
        content = {
            "images": images,
            "categories": [{"id": 1, "name": "[red]cat"}, {"id": 2, "name": "dog"}],
            "annotations": [
                {"id": number, "image_id": 0, "category_id": 1, "bbox": [2, 2, 9, 9], "area": 81}
                | annotation
                for number, annotation in enumerate(({}, *annotations))
            ],
        }
        file = tmp_path / "notes.json"
        file.write_text(json.dumps(content))
        return f"coco:{file}", "--images", folder, "--task", "detection"

    return write


FLAT = {"bbox": [2, 2, 0, 9]}
BAD_MASK = {"segmentation": {"size": [30, 40], "counts": [3]}}


def test_inspect_counts_and_shows_conversations(coco):
    result = run("inspect", *coco(FLAT, {"category_id": 2}))
    assert result.exit_code == 0, result.output
    text = words(result)
    assert "records 3" in text
    assert "objects 2" in text
    assert "[red]cat 1" in text  # a name is no markup
    assert "<p>[red]cat</p>[DET]" in text
    assert "target 2 boxes: 1 x" in text
    assert "annotation 1 in" in text and "area" in text


def test_inspect_as_json(coco):
    result = run("inspect", *coco(FLAT, damaged=True), "--json", "--seed", 1)
    found = json.loads(result.stdout)
    assert (found["task"], found["format"], found["records"]) == ("detection", "coco", 3)
    assert found["classes"] == {"[red]cat": 1, "dog": 0}
    assert [problem["item"] for problem in found["left_out"]] == ["annotation 1"]
    samples = {one["record"]: one for one in found["samples"]}
    assert samples[0]["targets"] == ["1 box: 1 x [red]cat"]
    assert "c.png" in samples[2]["cannot_be_made"]


def test_inspect_writes_a_sheet(tmp_path):
    sheet = tmp_path / "new" / "sheet.png"
    result = run("inspect", *SCENES, "--samples", 2, "--sheet", sheet)
    assert result.exit_code == 0, result.output
    assert open_image(sheet).width > 2 * 480


def test_inspect_shows_what_a_model_sees(tiny_demo_model, tmp_path):
    sheet = tmp_path / "sheet.png"
    model = tiny_demo_model / "model"
    result = run("inspect", *SCENES, "--samples", 2, "--sheet", sheet, "--model", model)
    assert result.exit_code == 0, result.output
    assert 3 * 480 < open_image(sheet).width < 4 * 480


def test_inspect_of_real_images(coco_mini, tmp_path):
    data = f"coco:{coco_mini / 'instances_val.json'}"
    sheet = tmp_path / "sheet.jpg"
    arguments = (data, "--images", coco_mini / "images", "--option", "masks=true")
    result = run("inspect", *arguments, "--sheet", sheet)
    assert result.exit_code == 0, result.output
    assert "objects with a mask 26" in words(result)
    assert sheet.is_file()


def test_inspect_takes_options_of_the_conversation():
    asked = ("--conversation", "open_questions=1", "--limit", 3, "--json")
    found = json.loads(run("inspect", *SCENES, *asked).stdout)
    assert len(found["samples"]) == 3
    assert all("target" not in one["messages"][0] for one in found["samples"])
    result = run("inspect", *SCENES, "--conversation", "open_question=1")
    assert result.exit_code == 2
    assert "Did you mean 'open_questions'" in words(result)


def test_inspect_says_which_of_several_tasks_reads(coco):
    *data, _, task = coco()
    assert tasks_reading("coco", default_registry())[:1] == [task]
    told = "read for the task detection; --task chooses another"
    assert told in words(run("inspect", *data))
    assert told not in words(run("inspect", *data, "--task", task))


def test_inspect_of_text_alone(tmp_path):
    result = run("inspect", "names", "--sheet", tmp_path / "sheet.png")
    assert result.exit_code == 0, result.output
    assert "records 1" in words(result)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("scense",), "Did you mean 'scenes'"),
        (("scenes", "--option", "num_scenes"), "Expected --option KEY=VALUE"),
        (("scenes:val", "--option", "split=train"), "Received twice: split"),
        (("scenes", "--conversation", "x"), "Expected --conversation KEY=VALUE"),
        (("scenes", "--task", "class_list"), "reads ['described_scenes', 'names']"),
        (("superlink.data:read_scenes",), "needs --task"),
        (("scenes", "--model", "demo"), "add --sheet"),
        (("scenes", "--sheet", "sheet.pdf"), ".png, .jpg"),
        (("scenes", "--sheet", "sheet.png", "--samples", "0"), "at least one"),
    ],
)
def test_inspect_refuses_bad_arguments(arguments, message):
    result = run("inspect", *arguments)
    assert result.exit_code == 2
    assert message in words(result)


def test_validate_of_a_whole_set(coco):
    result = run("validate", *coco())
    assert result.exit_code == 0, result.output
    assert result.stdout == "3 records, 3 whole, 0 broken\n"


def test_validate_of_what_does_no_harm(coco):
    result = run("validate", *coco(FLAT))
    assert result.exit_code == 0, result.output
    assert "annotation 1 in" in result.stdout
    last = result.stdout.splitlines()[-1]
    assert last == "3 records, 3 whole, 0 broken; 1 item left out, 0 of them broken"


CORNERS = {"bbox": [20, 10, 35, 25]}


def test_boxes_as_corners_are_a_warning(coco):
    data = coco(CORNERS)
    result = run("validate", *data)
    assert result.exit_code == 0 and "3 records, 3 whole" in result.stdout
    for command in ("validate", "inspect"):
        told = words(run(command, *data))
        assert "warning: 1 box ends outside of the image, of 2 in" in told
        found = json.loads(run(command, *data, "--json").stdout)
        assert "x1, y1, x2, y2" in found["warnings"][0]


def test_validate_of_no_annotations(coco, tmp_path):
    data = coco()
    content = json.loads((tmp_path / "notes.json").read_text())
    (tmp_path / "notes.json").write_text(json.dumps({**content, "annotations": []}))
    result = run("validate", *data)
    assert result.exit_code == 0
    assert "warning:" in result.stdout and "has no annotations" in result.stdout


def test_validate_finds_all_that_is_broken(coco, tmp_path):
    data = coco(FLAT, BAD_MASK, {"category_id": 7}, missing=True, damaged=True)
    result = run("validate", *data)
    assert result.exit_code == 1
    for name in ("annotation 1", "annotation 2", "annotation 3", "b.png", "c.png", "notes.json"):
        assert name in result.stdout
    last = result.stdout.splitlines()[-1]
    assert last == "2 records, 0 whole, 2 broken; 3 items left out, 2 of them broken"


@pytest.mark.parametrize("damaged", [False, True])
def test_validate_as_json(coco, damaged):
    result = run("validate", *coco(FLAT, damaged=damaged), "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == int(damaged)
    assert (found["records"], found["broken"], found["left_out"]) == (3, int(damaged), 1)
    assert found["harmless"] is not damaged
    assert [problem["item"] for problem in found["problems"]][:1] == ["annotation 1"]


def test_convert_writes_a_coco_folder_with_masks(tmp_path):
    target = tmp_path / "out"
    result = run("convert", *SCENES, "--output", target, "--limit", 2)
    assert result.exit_code == 0, result.output
    content = json.loads((target / "instances.json").read_text())
    assert len(content["images"]) == len(list((target / "images").iterdir())) == 2
    assert all("segmentation" in entry for entry in content["annotations"])
    assert result.stdout.strip() == str(target / "instances.json")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("names",), "COCO's form holds annotated images"),
        (("refs",), "Expected refs:FILE"),
        (("refs:x.p", "--limit", "3"), "takes no options. Received: --limit"),
        (("refs:missing.p",), "missing.p"),
    ],
)
def test_convert_that_fails_leaves_nothing(tmp_path, arguments, message):
    result = run("convert", *arguments, "--output", tmp_path / "out")
    assert result.exit_code == 2
    assert message in words(result)
    assert list(tmp_path.iterdir()) == []


def test_convert_leaves_out_what_cannot_be_read_where_it_is_asked_to(coco, tmp_path):
    arguments = coco(damaged=True)
    result = run("convert", *arguments, "--output", tmp_path / "out")
    assert result.exit_code != 0 and "--option broken=skip" in words(result)
    arguments += ("--option", "broken=skip", "--output", tmp_path / "out")
    result = run("convert", *arguments)
    assert result.exit_code == 0, result.output
    assert "left out: record" in words(result) and "1 item left out" in words(result)
    assert len(json.loads((tmp_path / "out" / "instances.json").read_text())["images"]) == 2


def test_convert_over_something_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    for target in (tmp_path, tmp_path / "mine.txt"):
        result = run("convert", *SCENES, "--output", target)
        assert result.exit_code == 2
        assert "stays as it is" in words(result)
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_convert_of_references(tmp_path):
    sentence = {"sent_id": 1, "sent": "left cat", "raw": "left cat"}
    reference = {"ref_id": 1, "ann_id": 2, "image_id": 3, "category_id": 4, "split": "val"}
    reference |= {"file_name": "a_2.jpg", "sentences": [sentence]}
    (tmp_path / "refs(unc).p").write_bytes(pickle.dumps([reference], protocol=2))
    result = run("convert", f"refs:{tmp_path / 'refs(unc).p'}", "--output", tmp_path / "refs.json")
    assert result.exit_code == 0, result.output
    assert "left cat" in (tmp_path / "refs.json").read_text()


def test_file_without_its_format_is_told_how(tmp_path):
    result = run("validate", tmp_path / "x.json")
    assert result.exit_code == 2 and "Write coco:" in words(result)


def test_group_shows_its_commands():
    result = run()
    assert all(name in result.output for name in ("inspect", "validate", "convert"))
    assert run("--help").exit_code == run("validate", "--help").exit_code == 0
    assert run("valdate").exit_code == 2


def test_file_is_the_annotations_or_the_first_argument():
    registry = default_registry()
    choice = choose_data("coco:a.json", None, (), "detection", registry)
    assert choice.options == {"annotations": "a.json"}
    choice = choose_data("scenes:val", None, ["seed=3"], None, registry)
    assert (choice.task, choice.options) == ("detection", {"seed": 3, "split": "val"})
    choice = choose_data("superlink.data:read_scenes:val", None, (), "detection", registry)
    assert (choice.format, choice.options) == ("superlink.data:read_scenes", {"split": "val"})


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("a=1", ("a", 1)),
        ("a=b=c", ("a", "b=c")),
        ("a=[1, x]", ("a", [1, "x"])),
        ("a=", ("a", None)),
    ],
)
def test_option_is_read_as_yaml(text, pair):
    assert parse_option(text) == pair


@pytest.mark.parametrize("text", ["", "a", "=1", "a=[1"])
def test_option_without_key_or_value_is_refused(text):
    with pytest.raises(ConfigError):
        parse_option(text)
