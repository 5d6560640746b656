"""Result cards: JSON that comes back as it was, and a page with every metric."""

from __future__ import annotations

import json

import pytest

from superlink.errors import InputError
from superlink.evaluation import ResultCard
from superlink.evaluation.cards.paper import PaperFigure

METRICS = {"detection/box_AP50/forced": 0.51, "routing/list_exact": 0.8125}


@pytest.fixture
def card():
    return ResultCard("boxes", "superlink eval m", 3, 1.5, METRICS, ("Seen drawings.",))


def test_card_comes_back_from_json(card, tmp_path):
    path = card.write(tmp_path)
    assert ResultCard.read(path) == card


def test_json_holds_what_a_reader_needs(card, tmp_path):
    content = json.loads(card.write(tmp_path).read_text())
    needed = {"name", "command", "seed", "versions", "hardware", "cpu_minutes", "metrics"}
    assert needed <= content.keys()
    assert content["metrics"] == METRICS
    assert {"python", "torch", "superlink", "superlink-mmdet"} <= content["versions"].keys()


def test_page_has_every_metric_note_and_the_command(card, tmp_path):
    card.write(tmp_path)
    page = (tmp_path / "card.md").read_text()
    for part in ("# boxes\n", "`superlink eval m`, seed 3, 1.5 CPU-minutes", "- Seen drawings."):
        assert part in page
    for name, value in METRICS.items():
        assert f"| `{name}` | {value:.3f} |" in page


def test_page_without_notes_has_no_gap():
    page = ResultCard("boxes", "make", 0, 0.0, METRICS).to_markdown()
    assert "\n\n\n" not in page


@pytest.mark.parametrize("text", ["", "[]", '{"name": "x", "notes": []}', '{"notes": [], "o": 1}'])
def test_file_that_is_no_card(tmp_path, text):
    path = tmp_path / "card.json"
    path.write_text(text)
    with pytest.raises(InputError, match="is no result card"):
        ResultCard.read(path)


def test_whole_card_comes_back(tmp_path):
    card = ResultCard(
        *("boxes", "make", 0, None, METRICS),
        data={"samples": 3, "options": {"split": "val"}},
        prompts=(("Find: cat", "<p>cat</p>[DET]"),),
        paper=(PaperFigure("detection/box_AP50/forced", 0.7, 0.5, ("3 of 5 samples",)),),
        pictures={"best replies": "best.jpg"},
    )
    assert ResultCard.read(card.write(tmp_path)) == card
    page = (tmp_path / "card.md").read_text()
    assert "| `detection/box_AP50/forced` | 0.700 | 0.500 | 3 of 5 samples |" in page
    assert "expected: <p>cat</p>[DET]" in page
    assert "![best replies](best.jpg)" in page
    assert "CPU-minutes" not in page


def test_interrupted_write_leaves_the_old_card(card, tmp_path, monkeypatch):
    path = card.write(tmp_path)
    before = path.read_text()
    monkeypatch.setattr(type(path), "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        ResultCard("other", "make", 0, None, {}).write(tmp_path)
    assert path.read_text() == before
