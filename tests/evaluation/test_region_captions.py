"""Descriptions of regions against those that people wrote."""

from __future__ import annotations

import sys

import pytest

from superlink.errors import InputError, MissingDependencyError
from superlink.evaluation import RegionCaptionEvaluator, evaluate, region_captions
from superlink.evaluation.metrics import captions
from superlink.interfaces import Message, Reply, Sample


def _row(answer, *references):
    sample = Sample((Message("user", "?"),), targets=({"references": references},))
    return RegionCaptionEvaluator().measure(sample, Reply(answer, answer))


ROWS = [_row("A dog.", "a dog", "a brown dog"), _row("a red cup", "the cup on the table")]


def test_answers_and_references_go_to_the_metrics(monkeypatch):
    told = []

    def metrics(candidates, references, *, java):
        told.append((candidates, references, java))
        return {"CIDEr": 2.0}

    monkeypatch.setattr(region_captions, "caption_metrics", metrics)
    assert RegionCaptionEvaluator().summarize(ROWS) == {"CIDEr": 2.0, "exact": 0.5}
    assert told == [
        (["A dog.", "a red cup"], [["a dog", "a brown dog"], ["the cup on the table"]], False)
    ]
    RegionCaptionEvaluator(java=True).summarize(ROWS)
    assert told[1][2] is True


def test_quality_takes_the_nearest_description():
    row = _row("a brown cat", "a dog", "one brown cat")
    assert RegionCaptionEvaluator().quality(row) == pytest.approx(2 / 3)


def test_captions_by_the_field_own_scorers():
    pytest.importorskip("pycocoevalcap")
    pytest.importorskip("nltk")
    rows = [_row(f"a {word} dog", f"a {word} dog") for word in ("red", "small", "wet")]
    assert RegionCaptionEvaluator().summarize(rows)["exact"] == 1.0


@pytest.mark.parametrize("module", ["pycocoevalcap.cider.cider", "nltk.tokenize"])
def test_missing_package_is_told_before_anything_is_asked(monkeypatch, module):
    if module.startswith("nltk"):
        pytest.importorskip("pycocoevalcap")

    class Silent:
        def answer(self, samples, routing="generated", *, max_new_tokens=128):
            raise AssertionError("asked")

    captions._scorers.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    sample = Sample((Message("user", "?"), Message("assistant", "!")))
    with pytest.raises(MissingDependencyError, match=r"superlink\[captions\]"):
        evaluate(Silent(), [sample], RegionCaptionEvaluator(), "generated", progress=False)


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(InputError, match="at least one answer"):
        RegionCaptionEvaluator().summarize([])
    with pytest.raises(InputError, match="'references'"):
        RegionCaptionEvaluator().measure(Sample((Message("user", "?"),)), Reply("", ""))
