"""Scores of captions are those of the COCO caption server, by formula and by its own tokenizer."""

from __future__ import annotations

import math
import random
import shutil
import sys
from collections import Counter

import numpy as np
import pytest

from superlink.errors import InputError, MissingDependencyError
from superlink.evaluation.metrics import caption_metrics, captions

WORDS = "a the red small man dog wave boat rides sits on under two of big beach and".split()


@pytest.fixture
def scorers():
    for package in ("pycocoevalcap", "nltk"):
        pytest.importorskip(package)


@pytest.fixture
def java(scorers):
    if shutil.which("java") is None:
        pytest.skip("there is no Java")


def _sentences(seed, count=12):
    rng = random.Random(seed)

    def sentence(low):
        return " ".join(rng.choices(WORDS, k=rng.randint(low, 10)))

    candidates = [sentence(1) for _ in range(count)]
    return candidates, [[sentence(2) for _ in range(rng.randint(1, 5))] for _ in range(count)]


def _grams(text, n):
    words = text.split()
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def _cider_d(candidates, references):
    """CIDEr-D as its paper has it (arXiv 1411.5726, section 5): clipped tf-idf, a length penalty.
    The server counts bigrams for the length."""
    images = len(candidates)

    def idf(gram, n):
        seen = sum(any(gram in _grams(text, n) for text in texts) for texts in references)
        return math.log(images) - math.log(max(1, seen))

    def similarity(candidate, reference, n):
        ours, theirs = (
            {gram: count * idf(gram, n) for gram, count in _grams(text, n).items()}
            for text in (candidate, reference)
        )
        norm = math.hypot(*ours.values()) * math.hypot(*theirs.values())
        product = sum(min(w, theirs.get(g, 0.0)) * theirs.get(g, 0.0) for g, w in ours.items())
        longer = sum(_grams(candidate, 2).values()) - sum(_grams(reference, 2).values())
        return (product / norm if norm else 0.0) * math.exp(-(longer**2) / (2 * 6.0**2))

    return np.mean(
        [
            10 * np.mean([similarity(text, truth, n) for n in (1, 2, 3, 4) for truth in truths])
            for text, truths in zip(candidates, references, strict=True)
        ]
    )


@pytest.mark.parametrize("seed", range(3))
def test_cider_is_that_of_its_formula(scorers, seed):
    candidates, references = _sentences(seed)
    found = caption_metrics(candidates, references)
    assert found["CIDEr"] == pytest.approx(_cider_d(candidates, references), abs=1e-6)
    assert found["CIDEr"] > 0.05


def test_golden_values(scorers):
    # by hand: n-gram precisions 4/5, 3/4, 2/3, 1/2 and no penalty; LCS 4 of 5 and 5
    found = caption_metrics(["one red dog sits here"], [["one red dog sits there"]])
    assert found["BLEU_4"] == pytest.approx((4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25, abs=1e-6)
    assert found["ROUGE_L"] == pytest.approx(0.8, abs=1e-6)
    # by hand: every n-gram weighs log 2 and is found; three words have no 4-gram
    assert found["CIDEr"] == 0.0  # of a single image, whose words tell nothing
    same = ["a b c d", "e f g"]
    found = caption_metrics(same, [[text] for text in same])
    assert found["CIDEr"] == pytest.approx((10 + 7.5) / 2, abs=1e-6)


def test_recall_weighs_more_in_rouge(scorers):
    # by hand: LCS 2, precision 1, recall 1/2, beta 1.2
    found = caption_metrics(["red dog"], [["one red dog sits"]])
    assert found["ROUGE_L"] == pytest.approx((1 + 1.44) * 0.5 / (0.5 + 1.44), abs=1e-6)


def test_case_punctuation_and_lines_do_not_count(scorers):
    plain = caption_metrics(["a man's dog", "two cats"], [["a man's big dog"], ["two cats sit"]])
    loud = caption_metrics(
        ["A man's\ndog.", "Two cats!"], [['"A man\'s big dog"'], ["two cats; sit ..."]]
    )
    assert loud == plain
    assert all(type(value) is float for value in plain.values())


def test_an_empty_answer_scores_nothing_and_harms_no_other(scorers):
    truths = [["a red dog"], ["two cats"], ["a small boat"]]
    found = caption_metrics(["", "two cats", "a boat"], truths)
    whole = caption_metrics(["a red dog", "two cats", "a boat"], truths)
    assert 0 < found["CIDEr"] < whole["CIDEr"]


@pytest.mark.slow
def test_java_gives_what_the_server_gives(java):
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    candidates, references = _sentences(3)
    results, truths = (
        PTBTokenizer().tokenize({i: [{"caption": t} for t in row] for i, row in enumerate(rows)})
        for rows in ([[text] for text in candidates], references)
    )
    meteor = Meteor()
    wanted = {
        "CIDEr": Cider().compute_score(truths, results)[0],
        "ROUGE_L": Rouge().compute_score(truths, results)[0],
        "BLEU_4": Bleu(4).compute_score(truths, results, verbose=0)[0][3],
        "METEOR": meteor.compute_score(truths, results)[0],
    }
    meteor.meteor_p.kill()
    meteor.meteor_p.communicate()
    assert caption_metrics(candidates, references, java=True) == pytest.approx(wanted, abs=1e-6)
    without = caption_metrics(candidates, references)
    assert without == pytest.approx({k: v for k, v in wanted.items() if k != "METEOR"}, abs=1e-6)


def test_the_tokenizer_without_java_cuts_captions_as_stanfords_does(java):
    texts = [
        "A man riding a wave on top of a surfboard.",
        "Two dogs -- one brown, one black-and-white -- don't move.",
        'The sign reads "STOP" & it\'s 5:30 p.m.; (really)',
        "a 3-year-old's toy, $5.00, 50% off!",
        "I can't, won't, gonna, cannot; we'll, they've, I'd, you're ...",
        "the man's dog 'Rex' barks at the boys' ball",
        "A semi-truck / bus on St. Mark's street?",
    ]
    assert captions._cut([texts]) == captions._cut_by_java([texts])


@pytest.mark.parametrize(
    ("candidates", "references", "said"),
    [
        ([], [], "0 candidates, 0 lists"),
        (["a"], [["a"], ["b"]], "1 candidates, 2 lists"),
        (["a", "b"], [["a"], []], r"references\[1\]=\[\]"),
        (["a"], [["?", ""]], r"references\[0\]=\['\?', ''\]"),
    ],
)
def test_what_cannot_be_compared_is_refused(scorers, candidates, references, said):
    with pytest.raises(InputError, match=said):
        caption_metrics(candidates, references)


def test_missing_java_says_what_to_install(scorers, monkeypatch):
    monkeypatch.setattr(captions.shutil, "which", lambda name: None)
    with pytest.raises(MissingDependencyError, match="apt-get install default-jre-headless"):
        caption_metrics(["a"], [["a"]], java=True)


@pytest.mark.parametrize("module", ["pycocoevalcap.cider.cider", "nltk.tokenize"])
def test_missing_package_says_what_to_install(request, monkeypatch, module):
    if module.startswith("nltk"):
        request.getfixturevalue("scorers")
    captions._scorers.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'superlink\[captions\]'"):
        caption_metrics(["a"], [["a"]])
