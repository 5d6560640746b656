"""Names of regions: right, alike in words, alike in meaning."""

from __future__ import annotations

import numpy as np
import pytest

from superlink.data import read_scenes
from superlink.errors import InputError, PluginError
from superlink.evaluation import RecognitionEvaluator, TaskSamples, evaluate, question
from superlink.interfaces import Message, Reply, Sample
from superlink.link import RegionConfig
from superlink.tasks.recognition import recognition_conversation
from superlink.testing.models import toy_model


def _row(answer, expected, prompt="point"):
    target = {"names": (expected,), "prompts": (prompt,)}
    sample = Sample((Message("user", "?"), Message("assistant", "!")), targets=(target,))
    return RecognitionEvaluator().measure(sample, Reply(answer, answer))


def _metrics(*rows, **options):
    return RecognitionEvaluator(**options).summarize([_row(*row) for row in rows])


@pytest.mark.parametrize(
    "answer", ["fire truck", "Fire truck.", "A fire-truck", " the Fire Truck. "]
)
def test_case_article_and_full_stop_do_not_matter(answer):
    assert _metrics((answer, "fire truck")) == {"accuracy": 1.0, "S-IoU": 1.0}


def test_another_name_is_wrong_and_may_share_words():
    metrics = _metrics(("red fire truck", "fire truck"), ("dog", "cat"))
    assert metrics == {"accuracy": 0.0, "S-IoU": pytest.approx(1 / 3)}
    assert _metrics(("apples", "apple"))["accuracy"] == 0.0
    assert _metrics(("", "apple")) == {"accuracy": 0.0, "S-IoU": 0.0}


def test_kinds_are_measured_apart_where_there_are_several():
    metrics = _metrics(("dog", "dog", "point"), ("cat", "dog", "box"))
    assert metrics["accuracy"] == 0.5
    assert (metrics["accuracy/point"], metrics["accuracy/box"]) == (1.0, 0.0)


def letters(texts):
    """Counts of letters."""
    return [[text.count(letter) for letter in "abcdefgopt"] for text in texts]


def test_meaning_is_measured_by_an_encoder():
    metrics = _metrics(("dog", "god"), ("cat", "dog"), encoder=letters)
    assert metrics["semantic_similarity"] == pytest.approx(0.5)
    path = f"{letters.__module__}:letters"
    assert _metrics(("dog", "dog"), encoder=path)["semantic_similarity"] == pytest.approx(1.0)
    with pytest.raises(PluginError, match="option encoder"):
        RecognitionEvaluator(encoder="nowhere_at_all:encoder")


def test_remark_lists_mistakes():
    rows = [_row("pear", "apple"), _row("pear", "apple"), _row("dog", "dog")]
    (remark,) = RecognitionEvaluator().remarks(rows)
    assert remark == "Most frequent mistakes: 'apple' as 'pear' (2)."
    assert RecognitionEvaluator().remarks(rows[2:]) == ()
    assert [RecognitionEvaluator().quality(row) for row in rows] == [0.0, 0.0, 1.0]


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(InputError, match="at least one answer"):
        RecognitionEvaluator().summarize([])
    with pytest.raises(InputError, match="Region recognition is measured against"):
        RecognitionEvaluator().measure(Sample((Message("user", "?"),)), Reply("", ""))


def test_a_model_is_asked_with_its_regions_and_without_the_answer():
    samples = TaskSamples(read_scenes(split="val", num_scenes=2), recognition_conversation)
    asked = question(samples[0])
    assert len(asked.messages) == len(asked.regions) == 1
    model = toy_model(regions=RegionConfig(image_size=32, dims=16))
    found = evaluate(
        model, samples, RecognitionEvaluator(), "generated", max_new_tokens=4, progress=False
    )
    assert set(found.metrics) >= {"accuracy", "S-IoU"} and len(found.measured) == 2
    assert "mAP" not in found.metrics
    assert np.isfinite([*found.metrics.values()]).all()


def test_forced_routing_ranks_the_names_of_the_record_by_their_likelihoods():
    samples = TaskSamples(read_scenes(split="val", num_scenes=2), recognition_conversation)
    model = toy_model(regions=RegionConfig(image_size=32, dims=16))
    forced = evaluate(model, samples, RecognitionEvaluator(), "forced", progress=False)
    assert 0 < forced.metrics["mAP"] <= 1 and forced.metrics["accuracy"] in (0, 0.5, 1)
    for row, sample in zip(forced.rows, samples, strict=True):
        names = samples.records[0].categories
        assert [*row["likelihoods"]] == sorted(names)
        again = model.likelihoods(question(sample), sorted(names))
        assert [*row["likelihoods"].values()] == pytest.approx(again)
        chosen = max(row["likelihoods"], key=row["likelihoods"].get)
        right = RecognitionEvaluator().summarize([row])["accuracy"]
        assert right == float(chosen == sample.targets[0]["names"][0])


def test_a_model_that_tells_no_likelihoods_is_given_the_answer():
    samples = TaskSamples(read_scenes(split="val", num_scenes=2), recognition_conversation)

    class Echo:
        def answer(self, some, routing="generated", *, max_new_tokens=128):
            return [Reply(s.messages[-1].text, "") for s in some]

    metrics = evaluate(Echo(), samples, RecognitionEvaluator(), "forced", progress=False).metrics
    assert metrics["accuracy"] == 1.0 and "mAP" not in metrics


def _weighed(expected, **likelihoods):
    return {**_row("given", expected), "likelihoods": likelihoods}


def test_regions_are_ranked_by_the_share_of_each_name():
    """Names by hand: `cat` is right at ranks 1 and 3 of 3, `dog` at rank 1."""
    rows = [
        _weighed("cat", cat=-1.0, dog=-9.0),
        _weighed("dog", cat=-22.0, dog=-21.0),  # unlikely as a whole, and the share counts
        _weighed("cat", cat=-5.0, dog=-3.0),
    ]
    evaluator = RecognitionEvaluator()
    metrics = evaluator.summarize(rows)
    assert metrics["accuracy"] == pytest.approx(2 / 3)
    assert metrics["mAP"] == pytest.approx(((1 + 2 / 3) / 2 + 1 / 2) / 2)
    assert [evaluator.quality(row) for row in rows] == [1.0, 1.0, 0.0]
    choice, mistakes = evaluator.remarks(rows)
    assert "the likeliest of 2 names" in choice and "'cat' as 'dog' (1)" in mistakes


def test_a_name_is_ranked_among_the_regions_that_it_was_a_candidate_for():
    rows = [_weighed("cat", cat=-2.0, dog=-1.0), _weighed("dog", dog=-1.0, fox=-4.0)]
    assert RecognitionEvaluator().summarize(rows)["mAP"] == pytest.approx(1.0)
