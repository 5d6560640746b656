"""Words to classes: what is understood, and what is never guessed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superlink.errors import ConfigError, InputError
from superlink.evaluation.metrics import CategoryMatcher, Match, load_synonyms, normalize_phrase

NAMES = ("person", "traffic light", "Hot-Dog", "bus", "glass", "sports_ball", "scissors")
SYNONYMS = {"person": ["people", "man"], "bus": ("coach",), "tram": ("streetcar",)}


@pytest.mark.parametrize(
    ("phrase", "category", "how"),
    [
        ("person", "person", "exact"),
        ("Hot-Dog", "Hot-Dog", "exact"),
        ("  Person ", "person", "normalized"),
        ("hot dog", "Hot-Dog", "normalized"),
        ("HOT_DOGS", "Hot-Dog", "normalized"),
        ("the traffic  lights", "traffic light", "normalized"),
        ("a sports ball", "sports_ball", "normalized"),
        ("an bus", "bus", "normalized"),
        ("buses", "bus", "normalized"),
        ("glasses", "glass", "normalized"),
        ("scissors", "scissors", "exact"),
        ("people", "person", "synonym"),
        ("the Coach", "bus", "synonym"),
        ("coaches", "bus", "synonym"),
        ("scissor", None, "unknown"),
        ("streetcar", None, "unknown"),
        ("persona", None, "unknown"),
        ("light", None, "unknown"),
        ("", None, "unknown"),
        ("the", None, "unknown"),
    ],
)
def test_match(phrase, category, how):
    assert CategoryMatcher(NAMES, SYNONYMS).match(phrase) == Match(category, how)


def test_what_two_classes_may_mean_is_unknown():
    matcher = CategoryMatcher(("Cat", "cat", "ax", "axe", "wood-saw", "wood saw"))
    assert matcher.match("cat") == Match("cat", "exact")
    assert matcher.match("wood saw") == Match("wood saw", "exact")
    for phrase in ("CAT", "axes", "wood_saw"):
        assert matcher.match(phrase) == Match(None, "unknown")


def test_an_ambiguous_phrase_is_not_saved_by_a_synonym():
    assert CategoryMatcher(("Cat", "cat"), {"Cat": ["CAT"]}).match("CAT").how == "unknown"


def test_a_synonym_of_two_classes_is_unknown():
    matcher = CategoryMatcher(("car", "truck"), {"car": ["vehicle"], "truck": ["vehicle", "lorry"]})
    assert matcher.match("vehicle").category is None
    assert matcher.match("lorry").category == "truck"


def test_a_class_goes_before_a_synonym_and_a_class_in_full_before_its_plural():
    matcher = CategoryMatcher(("glass", "glasses", "cup"), {"cup": ["glass", "glasse"]})
    assert matcher.match("the glass") == Match("glass", "normalized")
    assert matcher.match("Glasses") == Match("glasses", "normalized")


def test_matching_twice_is_matching_once():
    matcher = CategoryMatcher(NAMES, SYNONYMS)
    assert [matcher.match("Buses") for _ in range(3)] == [Match("bus", "normalized")] * 3


def test_synonyms_name_their_class_in_any_form():
    assert CategoryMatcher(("Hot-Dog",), {"hot dog": ["frank"]}).match("frank").how == "synonym"


@given(st.text())
def test_normal_forms_are_stable(phrase):
    form = normalize_phrase(phrase)
    assert normalize_phrase(form) == form
    assert form == form.strip()


@given(st.lists(st.text(min_size=1), unique=True), st.text())
def test_a_match_is_one_of_the_classes(names, phrase):
    matcher = CategoryMatcher(names)
    assert matcher.match(phrase).category in {None, *names}
    assert all(matcher.match(name) == Match(name, "exact") for name in names)


@pytest.mark.parametrize("form", ["synonyms.json", "synonyms.yaml"])
def test_synonyms_come_from_a_file(tmp_path, form):
    path = tmp_path / form
    words = {"person": ["people", "man"]}
    path.write_text(json.dumps(words) if "json" in form else "person:\n- people\n- man\n")
    wanted = {"person": ("people", "man")}
    assert load_synonyms(str(path)) == load_synonyms(path) == load_synonyms(words) == wanted
    assert load_synonyms(None) == {}


@pytest.mark.parametrize("text", ["[a, b]", "person: people", "person: [1]", "yes: [no]", "just"])
def test_synonyms_of_another_form_are_refused(tmp_path, text):
    path = tmp_path / "words.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"mapping of names to lists of words.*words\.yaml"):
        load_synonyms(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match=r"missing\.yaml cannot be read"):
        load_synonyms(tmp_path / "missing.yaml")
    (tmp_path / "odd.yaml").write_text("a: [b")
    with pytest.raises(InputError, match=r"odd\.yaml cannot be read"):
        load_synonyms(tmp_path / "odd.yaml")


def test_a_synonym_comes_before_a_plural():
    matcher = CategoryMatcher(("step", "stairs"), {"stairs": ["steps"]})
    assert matcher.match("steps").category == "stairs"
    assert matcher.match("step").category == "step"


def test_synonyms_of_one_of_two_classes_that_differ_by_case_are_its_own():
    matcher = CategoryMatcher(("Polo", "polo"), {"polo": ["game"], "POLO": ["any"]})
    assert matcher.match("game") == Match("polo", "synonym")
    assert matcher.match("any") == Match(None, "unknown")
