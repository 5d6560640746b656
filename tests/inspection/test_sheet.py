"""The sheet: everything has its place, and text stays in its column."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from superlink.errors import InputError
from superlink.inspection.sheet import _MAX_LINES, _font, _wrapped, draw_sheet
from superlink.inspection.views import CELL, View


def view(color="red", height=100, note="note", title="annotated"):
    return View(title, Image.new("RGB", (CELL, height), color), note)


def area(sheet, color):
    return (np.asarray(sheet) == color).all(-1).sum()


def test_every_picture_is_there_whole():
    rows = [("0: a", [view("red"), view("blue", 300)]), ("1: b", [view("red", 50), view("lime")])]
    sheet = draw_sheet(rows)
    assert area(sheet, (255, 0, 0)) == CELL * 150
    assert area(sheet, (0, 0, 255)) == CELL * 300
    assert area(sheet, (0, 255, 0)) == CELL * 100


def test_samples_of_one_view_stand_side_by_side():
    one, five = draw_sheet([("0", [view()])]), draw_sheet([(str(i), [view()]) for i in range(5)])
    assert five.width > 3.9 * CELL > one.width
    assert area(five, (255, 0, 0)) == 5 * CELL * 100


def test_row_may_lack_views_and_pictures():
    rows = [("0: broken", [View("annotated", None, "cannot be made")]), ("1", [view(), view()])]
    assert area(draw_sheet(rows), (255, 0, 0)) == 2 * CELL * 100


def test_sheet_of_nothing_is_refused():
    with pytest.raises(InputError, match="at least one sample"):
        draw_sheet([])


@pytest.mark.parametrize("text", ["word " * 400, "x" * 900, "short", ""])
def test_text_stays_in_its_column(text):
    lines = _wrapped(text, CELL)
    assert 1 <= len(lines) <= _MAX_LINES
    assert all(_font(15).getlength(line) <= CELL for line in lines)
