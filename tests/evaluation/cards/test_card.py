"""Result cards: JSON that comes back as it was, and a page with every metric."""

from __future__ import annotations

import json

import pytest

from superlink.errors import InputError
from superlink.evaluation import ResultCard

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
