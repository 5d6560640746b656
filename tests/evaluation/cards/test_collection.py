"""Cards of many runs on one page."""

from __future__ import annotations

import pytest

from superlink.errors import InputError
from superlink.evaluation import ResultCard
from superlink.evaluation.cards import Spread
from superlink.evaluation.cards.collection import cards_page, find_cards


def _card(name, folder, **changes):
    ResultCard(name, "make it", 0, None, {"t/m/forced": 0.25}, **changes).write(folder)


def test_cards_below_folders_are_found_in_order(tmp_path):
    for name in ("b", "a/deep"):
        _card(name, tmp_path / name)
    assert [card.name for card in find_cards([tmp_path]).values()] == ["a/deep", "b"]


def test_page_holds_every_card_and_links_its_pictures(tmp_path):
    _card("one", tmp_path / "runs" / "one", pictures={"best": "best.jpg"})
    _card("two", tmp_path / "runs" / "two")
    page = cards_page(find_cards([tmp_path / "runs"]), tmp_path / "docs", "Ours")
    assert page.startswith("# Ours\n")
    assert "\n## one\n" in page and "\n## two\n" in page
    assert "](../runs/one/best.jpg)" in page
    assert "| t: generated / forced | one | two |" in page
    assert "| `m` | - / 0.250 | - / 0.250 |" in page


def test_experiments_stand_on_the_page_and_not_in_its_comparison(tmp_path):
    _card("one", tmp_path / "one")
    _card("of seeds", tmp_path / "two", spreads={"t/m/forced": Spread.of([0.2, 0.3])})
    page = cards_page(find_cards([tmp_path]), tmp_path)
    assert "| t: generated / forced | one |\n" in page
    assert "| `t/m/forced` | 0.250 ± 0.071 (n = 2) |" in page
    alone = cards_page(find_cards([tmp_path / "two"]), tmp_path)
    assert alone.startswith("# Result cards\n\n## of seeds\n")


def test_folder_without_cards_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"No card\.json"):
        find_cards([tmp_path])
    with pytest.raises(InputError, match="Expected a folder"):
        find_cards([tmp_path / "nowhere"])


def test_broken_card_is_named(tmp_path):
    (tmp_path / "card.json").write_text("{")
    with pytest.raises(InputError, match=r"card\.json is no result card"):
        find_cards([tmp_path])
