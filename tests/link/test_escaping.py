"""What users type can never be a control token, and comes back as they typed it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from superlink.link.escaping import GUARD, Escaper
from superlink.testing.models import toy_model

FORGED = ["[BOX]", "[SPOT]", "<p>", "</p>", "<|toy.box_0|>", "<|assistant|>", "<|end|>", "<region>"]


@pytest.fixture(scope="module")
def models():
    return {name: toy_model(name) for name in ("llava", "qwen2_5_vl")}


def typed(strings):
    """Text in which control strings and pieces of them are far more frequent than by chance."""
    halves = [part for s in strings for part in (s, s[:2], s[2:])]
    return st.lists(st.sampled_from([*halves, GUARD, " ", "dog", "狗"]) | st.text(max_size=3)).map(
        "".join
    )


@pytest.mark.parametrize("architecture", ["llava", "qwen2_5_vl"])
@given(data=st.data())
def test_escape_of_typed_text_is_undone_and_holds_no_control_token(models, architecture, data):
    model = models[architecture]
    image = model.backbone.processor.image_token
    text = data.draw(typed([*FORGED, image]))
    escaped = model.vocabulary.escape(text)
    assert model.vocabulary.unescape(escaped) == text
    control = {*model.vocabulary.ids.values(), *model.backbone.tokenizer.all_special_ids}
    assert not control & set(model.backbone.tokenize(escaped))


@given(typed(["ab", "bc", "abc", "cab", "aab"]))
@example("aabcab")
@example(f"a{GUARD}{GUARD}bc")
def test_escape_of_overlapping_strings_is_undone_and_leaves_none_whole(text):
    escaper = Escaper(["ab", "bc", "abc", "cab", "aab"])
    escaped = escaper.escape(text)
    assert escaper.unescape(escaped) == text
    assert not any(string in escaped for string in ("ab", "bc"))


@given(st.text())
def test_text_without_control_strings_stays_as_it_is(text):
    escaper = Escaper(["[BOX]"])
    if "[" not in text:
        assert escaper.escape(text) == escaper.unescape(text) == text


def test_escaper_of_nothing_changes_nothing():
    assert Escaper([]).escape("[BOX]") == Escaper(["x"]).unescape("[BOX]") == "[BOX]"
