"""`superlink finetune`: a COCO file and its images in, a checkpoint and a result card out."""

from __future__ import annotations

import json
import shutil

import pytest
from typer.testing import CliRunner

from superlink.build import build_model
from superlink.checkpoint import save
from superlink.cli.main import app
from superlink.data import export_coco, read_coco, read_scenes
from superlink.evaluation import ResultCard
from superlink.training import load_recipe

TINY = ("--set", "stages.0.steps=1", "--steps", "2", "--set", "stages.1.batch_size=2")
RARE = "Zwölfkant-Mutter M8"
"""A name of which the word list of the built-in model knows nothing."""


@pytest.fixture(scope="module")
def own_data(tmp_path_factory):
    """The folder of a COCO file of six pictures, with a class of a strange name."""
    folder = tmp_path_factory.mktemp("own") / "data"
    path = export_coco(read_scenes(split="val", num_scenes=6), folder, progress=False)
    content = json.loads(path.read_text())
    most = max(content["categories"], key=lambda one: count(content, one["id"]))
    most["name"] = RARE
    path.write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The checkpoint of a tiny model that has learnt nothing."""
    detector = {
        **{"embed_dims": 32, "encoder_layers": 1, "decoder_layers": 1, "num_object_queries": 10},
        **{"num_points": 2, "num_levels": 3, "num_heads": 4, "feedforward_dims": 32},
        **{"num_denoising_queries": 5, "max_routes": 40, "fusion": False, "text_layers": False},
        **{"shared_features": True, "in_channels": [16, 24, 32], "image_size": [64, 64]},
    }
    llm = {"hidden_size": 32, "num_layers": 1, "num_heads": 4, "image_size": 64, "encoder": "conv"}
    choice = {"name": "mmdet.grounding_dino", "tokens": ["[DET]"], "config": detector}
    built = build_model({"backbone": {"name": "tiny_llava", "config": llm}, "decoders": [choice]})
    return save(built, tmp_path_factory.mktemp("model") / "model")


def count(content, category):
    return sum(entry["category_id"] == category for entry in content["annotations"])


@pytest.fixture
def change(own_data, tmp_path):
    """Copy the data with a change of its file: `change(lambda content: ...)` gives the path."""

    def write(edit):
        content = json.loads((own_data / "instances.json").read_text())
        edit(content)
        path = tmp_path / "changed.json"
        path.write_text(json.dumps(content))
        return path

    return write


def call(model, own_data, *arguments, annotations=None, exit_code=0):
    line = ["finetune", str(model), "--images", str(own_data / "images"), *arguments]
    line += ["--annotations", str(annotations or own_data / "instances.json")]
    result = CliRunner().invoke(app, line)
    assert result.exit_code == exit_code, result.output
    return result


@pytest.fixture
def run(model, own_data, tmp_path, monkeypatch):
    """Run the command on the data in the test's folder: `run("--dry-run")`."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, model=model, **others):
        return call(model, own_data, *arguments, **others)

    return run


@pytest.fixture(scope="module")
def finished(model, own_data, tmp_path_factory):
    """The folder of a run, the arguments that made it, and what they printed."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    line = (*TINY, "--output", str(folder), "--json")
    return folder, line, json.loads(call(model, own_data, *line).stdout)


def keys(path):
    return {image["key"] for image in json.loads(path.read_text())["images"]}


def test_data_are_dealt_out(finished, own_data):
    folder, _, outcome = finished
    assert outcome["images"] == {"training": 5, "held_out": 1}
    train, held_out = (keys(folder / "data" / f"{part}.json") for part in ("train", "val"))
    assert not train & held_out
    assert train | held_out == keys(own_data / "instances.json")


def test_recipe_says_what_was_trained(finished):
    folder, _, outcome = finished
    recipe = load_recipe(folder / "recipe.yaml")
    assert outcome["recipe"] == str(folder / "recipe.yaml")
    assert (recipe.name, recipe.stages[1].steps, recipe.stages[1].batch_size) == ("mine", 2, 2)
    assert RARE in recipe.data["names"].options["names"]


def test_card_has_before_and_after(finished):
    folder, _, outcome = finished
    card = ResultCard.read(folder / "card.json")
    for name in ("detection/box_AP50/forced", "detection/box_AP50/generated"):
        assert {name, f"{name}/before", f"{name}/training_images"} <= card.metrics.keys()
    assert card.metrics == outcome["metrics"]
    assert card.cpu_minutes == outcome["cpu_minutes"] > 0
    assert all((folder / file).is_file() for file in card.pictures.values())
    assert any(title.startswith("before") for title in card.pictures)


def test_same_command_takes_what_is_there(run, finished):
    folder, line, outcome = finished
    weights = folder / "model" / "links.safetensors"
    trained = weights.read_bytes()
    assert json.loads(run(*line).stdout) == outcome
    assert weights.read_bytes() == trained


def test_another_command_is_refused(run, finished):
    refused = run(*finished[1], "--seed", "1", exit_code=2)
    assert "seed was 0 and is 1" in " ".join(
        line.strip("│ ") for line in refused.stderr.split("\n")
    )


def panel(result):
    return " ".join(" ".join(line.strip("│ ") for line in result.stderr.splitlines()).split())


def test_dry_run_binds_nothing(run, change, tmp_path):
    run("--dry-run", "--output", "mine", "--steps", "40")
    spoilt = change(lambda content: content["annotations"][0].update(category_id=999))
    again = run("--dry-run", "--output", "mine", "--classes", RARE, annotations=spoilt)
    assert "left out 1 x it names an unknown category" in " ".join(again.stderr.split())
    recipe = load_recipe(tmp_path / "mine" / "recipe.yaml")
    assert recipe.data["names"].options["names"] == [RARE] and recipe.stages[1].steps == 500


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--val-share", "1.5"), "lies between 0 and 1"), (("--minutes", "0"), "--minutes is more")],
)
def test_arguments_are_checked_before_they_are_compared(run, finished, arguments, said):
    line = [one for one in finished[1] if one not in ("--steps", "2")]
    refused = panel(run(*line, *arguments, exit_code=2))
    assert said in refused and "another fine-tuning" not in refused


def test_masks_of_a_file_without_any_are_refused_before_training(run, change, tmp_path):
    def drop(content):
        for entry in content["annotations"]:
            del entry["segmentation"]

    assert run("--dry-run", "--masks", "--output", "whole").exit_code == 0
    told = panel(
        run("--dry-run", "--masks", "--output", "m", annotations=change(drop), exit_code=2)
    )
    assert "--masks learns the outline of every object" in told
    assert "Leave --masks out" in told and "masks=false" not in told
    assert not (tmp_path / "m" / "recipe.yaml").exists()


def test_all_unknown_categories_are_counted(run, change):
    def number_anew(content):
        for category in content["categories"]:
            category["id"] += 1000

    path = change(number_anew)
    number = len(json.loads(path.read_text())["annotations"])
    told = panel(run("--dry-run", "--output", "m", annotations=path, exit_code=2))
    assert f"What was left out: {number} x it names an unknown category." in told


def test_boxes_as_corners_are_a_warning(run, change):
    def write_corners(content):
        for entry in content["annotations"]:
            x, y, width, height = entry["bbox"]
            entry["bbox"] = [x, y, x + width, y + height]

    path = change(write_corners)
    told = " ".join(run("--dry-run", "--output", "m", annotations=path).stderr.split())
    assert "warning" in told and "x1, y1, x2, y2" in told
    outcome = run("--dry-run", "--json", "--output", "m", annotations=path)
    assert "x1, y1, x2, y2" in json.loads(outcome.stdout)["warnings"][0]


def test_dry_run_shows_what_will_be_done_and_stops(run, tmp_path):
    result = run("--dry-run", "--output", "mine", "--steps", "40")
    shown = " ".join(result.stderr.split())
    assert "5 to train on, 1 held out, seed 0" in shown
    assert "40 steps of 8 samples, about 48 passes" in shown  # three quarters of the samples
    assert RARE in shown
    assert result.stdout == ""
    assert (tmp_path / "mine" / "recipe.yaml").is_file()
    assert not (tmp_path / "mine" / "stages").exists()


def test_minutes_become_steps_of_the_recipe(run, tmp_path):
    run("--dry-run", "--output", "mine", "--minutes", "0.5", "--set", "stages.1.batch_size=2")
    stage = load_recipe(tmp_path / "mine" / "recipe.yaml").stages[1]
    assert 1 <= stage.steps != 500
    assert stage.batch_size == 2


def test_split_is_a_draw_of_the_seed(run, tmp_path):
    parts = {}
    for name, seed in (("a", "3"), ("b", "3"), ("c", "5")):
        run("--dry-run", "--output", name, "--seed", seed, "--val-share", "0.5")
        parts[name] = keys(tmp_path / name / "data" / "val.json")
    assert len(parts["a"]) == 3
    assert parts["a"] == parts["b"] != parts["c"]


def test_what_is_broken_is_told_and_left_out(run, change, own_data, tmp_path):
    def spoil(content):
        content["annotations"][0]["category_id"] = 999
        content["images"].append({"id": 77, "file_name": "gone.png", "width": 9, "height": 9})

    result = run("--dry-run", "--output", "mine", annotations=change(spoil))
    told = " ".join(result.stderr.split())
    assert "left out 1 x it names an unknown category" in told
    assert "1 x its image is not in the folder" in told
    parts = [tmp_path / "mine" / "data" / f"{part}.json" for part in ("train", "val")]
    assert sum(len(read_coco(path, own_data / "images", broken="skip")) for path in parts) == 6


def test_a_picture_that_cannot_be_read_is_left_out(run, own_data, tmp_path):
    images = tmp_path / "images"
    shutil.copytree(own_data / "images", images)
    first = sorted(images.iterdir())[0]
    first.write_bytes(first.read_bytes()[:100])
    result = run("--dry-run", "--json", "--output", "mine", "--images", str(images))
    outcome = json.loads(result.stdout)
    assert sum(outcome["images"].values()) == 5
    assert sum(outcome["left_out"].values()) == 1


def test_chosen_classes_alone_are_trained(run, tmp_path):
    run("--dry-run", "--output", "mine", "--classes", f"{RARE}")
    recipe = load_recipe(tmp_path / "mine" / "recipe.yaml")
    assert recipe.data["names"].options["names"] == [RARE]


def test_second_file_is_measured_whole(run, own_data, tmp_path):
    file = str(own_data / "instances.json")
    outcome = json.loads(
        run("--dry-run", "--output", "mine", "--json", "--val-annotations", file).stdout
    )
    assert outcome["images"] == {"training": 6, "held_out": 6}


def drop_annotations(content):
    content["annotations"] = []


def drop_categories(content):
    content["categories"] = []


def lose_images(content):
    for image in content["images"]:
        image["file_name"] = "no/" + image["file_name"]


def keep_one_image(content):
    (first, *_) = content["images"]
    content["images"] = [first]
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] == first["id"]]


def add_class_of_missing_image(content):
    content["categories"].append({"id": 500, "name": "ghost"})
    content["images"].append({"id": 77, "file_name": "gone.png", "width": 9, "height": 9})
    entry = {**content["annotations"][0], "id": 10_000, "image_id": 77, "category_id": 500}
    content["annotations"].append(entry)


@pytest.mark.parametrize(
    ("edit", "arguments", "said"),
    [
        (drop_annotations, (), "No image to train on shows an object"),
        (drop_categories, (), "names no category"),
        (lose_images, (), "not in the folder"),
        (keep_one_image, (), "two are needed at least. Received: 1"),
        (add_class_of_missing_image, ("--classes", "ghost"), "shows an object of ghost"),
        (len, ("--classes", "Zwölfkant-Mutter"), f"Did you mean '{RARE}'?"),
        (len, ("--val-share", "1.5"), "lies between 0 and 1"),
        (len, ("--steps", "5", "--minutes", "1"), "Give one of them"),
        (len, ("--set", "stages.1.step=4"), "step"),
    ],
)
def test_bad_input_is_told_with_its_cure(edit, arguments, said, run, change, tmp_path):
    path = change(edit)
    result = run("--output", "mine", *arguments, annotations=path, exit_code=2)
    lines = (line.strip("│ ") for line in result.stderr.splitlines())
    assert said.replace(" ", "") in "".join(lines).replace(" ", "")
    assert not (tmp_path / "mine" / "stages").exists()


def test_missing_file_is_told(run):
    result = run("--output", "mine", annotations="nowhere.json", exit_code=2)
    said = "".join(line.strip("│ ") for line in result.stderr.splitlines())
    assert "nowhere.json" in said


def test_model_without_a_detector_is_refused(run, model, tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    config = json.loads((model / "config.json").read_text())
    config["decoders"][0]["tokens"] = ["[SEG]"]
    (folder / "config.json").write_text(json.dumps(config))
    result = run("--output", "mine", model=folder, exit_code=2)
    said = " ".join(line.strip("│ ") for line in result.stderr.splitlines())
    assert "answers to [DET]" in said and "answer to [SEG]" in said


def test_folder_of_another_run_is_left_alone(run, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "recipe.json").write_text("{}")
    result = run("--output", "other", exit_code=2)
    assert "no run of `superlink finetune`" in " ".join(result.stderr.split())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_photographs_are_learnt(coco_mini, tmp_path):
    line = ["finetune", "--annotations", str(coco_mini / "instances_train.json")]
    line += ["--val-annotations", str(coco_mini / "instances_val.json"), "--steps", "200"]
    line += ["--set", "stages.0.steps=60"]
    line += ["--images", str(coco_mini / "images"), "--classes", "person,toilet,bird"]
    result = CliRunner().invoke(app, [*line, "--output", str(tmp_path / "photos"), "--json"])
    assert result.exit_code == 0, result.output
    metrics = json.loads(result.stdout)["metrics"]
    learnt = metrics["detection/box_AP50/forced/training_images"]
    assert learnt > metrics["detection/box_AP50/forced/before"] + 0.2
