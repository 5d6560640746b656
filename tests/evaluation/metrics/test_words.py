"""Short answers and how far they are alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superlink.errors import ConfigError, InputError
from superlink.evaluation.metrics import normalize_answer, semantic_similarity, word_iou

WORDS = st.lists(st.sampled_from(["red", "cup", "dog", "tree"]), max_size=4).map(" ".join)


def test_answers_are_normalised():
    assert normalize_answer(" A fire-truck. ") == "fire truck"
    assert normalize_answer("The U.S. flag") == "u.s. flag"


@given(one=WORDS, other=WORDS)
def test_words_in_common_are_symmetric_and_blind_to_order(one, other):
    assert word_iou(one, other) == word_iou(other, one)
    assert word_iou(one, " ".join(reversed(one.split()))) == 1.0
    assert 0 <= word_iou(one, other) <= 1


def test_words_in_common():
    """Two of three words, as Osprey counts them."""
    assert word_iou("black dog", "a big black dog") == pytest.approx(2 / 3)


def test_similarity_is_a_cosine():
    vectors = {"dog": (3, 0), "cat": (0, 2), "pup": (5, 0)}
    found = semantic_similarity(["pup", "cat"], ["dog", "dog"], lambda t: [vectors[x] for x in t])
    assert found == pytest.approx(0.5)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InputError, match="an expected text for each answer"):
        semantic_similarity([], [], lambda texts: texts)
    with pytest.raises(ConfigError, match=r"N=2 texts. Received: shape \(1, 2\)"):
        semantic_similarity(["dog"], ["cat"], lambda texts: [[1.0, 2.0]])
