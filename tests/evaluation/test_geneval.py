"""Folders of pictures that GenEval's scorer reads."""

from __future__ import annotations

import json
import re

import pytest
from PIL import Image
from typer.testing import CliRunner

from superlink.cli.main import app
from superlink.errors import InputError
from superlink.evaluation import draw_prompts, read_prompts

from .drawing import Drawing

PROMPTS = [
    {
        "tag": "single_object",
        "include": [{"class": "bench", "count": 1}],
        "prompt": "a photo of a bench",
    },
    {
        "tag": "counting",
        "include": [{"class": "clock", "count": 2}],
        "exclude": [{"class": "clock", "count": 3}],
        "prompt": "a photo of two clocks",
    },
]


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "evaluation_metadata.jsonl"
    path.write_text("".join(json.dumps(prompt) + "\n" for prompt in PROMPTS))
    return path


def _as_the_scorer_reads(folder):
    """What `evaluation/evaluate_images.py` of GenEval takes from a folder."""
    found = {}
    for sub in sorted(path for path in folder.iterdir() if path.is_dir() and path.name.isdigit()):
        metadata = json.loads((sub / "metadata.jsonl").read_text())
        names = sorted(p.name for p in (sub / "samples").iterdir() if p.is_file())
        pictures = [name for name in names if re.match(r"\d+\.png", name)]
        found[sub.name] = metadata, [Image.open(sub / "samples" / p).tobytes() for p in pictures]
    return found


def test_every_prompt_has_its_folder_and_different_pictures(prompts, tmp_path):
    assert draw_prompts(Drawing(), read_prompts(prompts), tmp_path / "out", num_images=3) == 0
    found = _as_the_scorer_reads(tmp_path / "out")
    assert list(found) == ["00000", "00001"]
    assert [metadata for metadata, _ in found.values()] == PROMPTS
    assert [len(pictures) for _, pictures in found.values()] == [3, 3]
    assert len({picture for _, pictures in found.values() for picture in pictures}) == 6
    assert sorted(p.name for p in (tmp_path / "out" / "00000" / "samples").iterdir()) == [
        *("0000.png", "0001.png", "0002.png")
    ]


def test_pictures_follow_from_the_seed(prompts, tmp_path):
    found = []
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        draw_prompts(Drawing(), read_prompts(prompts), tmp_path / name, seed=seed)
        found.append(_as_the_scorer_reads(tmp_path / name))
    assert found[0] == found[1] != found[2]


def test_answer_without_a_picture_is_missing(prompts, tmp_path):
    model = Drawing(silent=("clocks",))
    assert draw_prompts(model, read_prompts(prompts), tmp_path / "out", num_images=2) == 2
    found = _as_the_scorer_reads(tmp_path / "out")
    assert [len(pictures) for _, pictures in found.values()] == [2, 0]


def test_what_is_drawn_is_left_as_it_is_and_another_run_is_refused(prompts, tmp_path):
    asked, out = read_prompts(prompts), tmp_path / "out"
    draw_prompts(Drawing(), asked, out, num_images=2)
    (out / "00001" / "samples" / "0001.png").unlink()
    model = Drawing()
    draw_prompts(model, asked, out, num_images=2)
    assert [key for key, *_ in model.asked] == ["geneval/0/00001/0000", "geneval/0/00001/0001"]
    for changed in ({"seed": 1}, {"num_images": 3}, {"identity": {"model": "another"}}):
        with pytest.raises(InputError, match="holds something else"):
            draw_prompts(model, asked, out, **{"num_images": 2, **changed})
    with pytest.raises(InputError, match="holds something else"):
        draw_prompts(model, asked, prompts.parent)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty file"),
        ("{", "Expected a JSON object at"),
        ('{"tag": "counting"}', "with a `prompt` at"),
        ("[1]", "with a `prompt` at"),
    ],
)
def test_file_that_holds_no_prompts_is_refused(tmp_path, text, message):
    path = tmp_path / "prompts.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_prompts(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_prompts(tmp_path / "nowhere")


def test_command_draws_and_says_how_many(prompts, tmp_path, monkeypatch):
    model = Drawing(silent=("clocks",))
    monkeypatch.setattr("superlink.build.load", lambda *_, **__: model)
    (tmp_path / "model").mkdir()
    arguments = ["geneval", tmp_path / "model", prompts, "--output", tmp_path / "out"]
    arguments += ["--images", "2", "--routing", "forced", "--decoder", "num_inference_steps=5"]
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == 0, result.output
    assert "2 pictures in" in result.stdout and "2 answers had no picture" in result.stdout
    asked = {
        (routing, options["toy"]["num_inference_steps"]) for _, routing, options in model.asked
    }
    assert asked == {("forced", 5)}
    assert list(_as_the_scorer_reads(tmp_path / "out")) == ["00000", "00001"]
