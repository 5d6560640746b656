"""The paper's figures stand beside measured ones with every known difference of protocol."""

from __future__ import annotations

import pytest

from superlink.errors import ConfigError
from superlink.evaluation.cards.paper import benchmark_names, check_benchmark, compare

METRICS = {
    "detection/box_AP/forced": 0.5,
    "detection/box_AP/generated": 0.4,
    "detection/box_AR100/forced": 0.6,
}


def test_same_protocol_has_no_difference():
    figures = compare("coco_val2017", METRICS, num_samples=5000, absent_classes="all")
    forced, generated = figures
    assert (forced.metric, forced.paper, forced.measured) == ("detection/box_AP/forced", 0.567, 0.5)
    assert forced.differences == ()
    assert generated.differences == ("the LLM wrote the answer, the paper gives it",)


def test_fewer_samples_and_classes_are_named():
    figure, *_ = compare("coco_val2017", METRICS, num_samples=50, absent_classes=3)
    assert figure.differences == (
        "50 of the set's 5,000 samples",
        "3 absent classes were asked for, the paper asks for all",
    )


def test_samples_left_out_and_sets_of_unknown_size_are_named():
    metrics = {"salient_object/S/forced": 0.9, "grounding/gIoU/forced": 0.5}
    (figure,) = compare("ecssd", metrics, num_samples=600, num_left_out=400)
    assert figure.differences == (
        "600 of the set's 1,000 samples",
        "400 samples could not be read",
    )
    (figure,) = compare("reason_seg_val", metrics, num_samples=5)
    assert "is not known here" in figure.differences[0]
    assert "in the paper 0.510 (5 samples" in figure.sentence()


def test_metrics_of_another_task_are_left_out():
    assert compare("ade20k_val", METRICS, num_samples=2000) == ()


def test_unknown_set_names_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'coco_val2017'"):
        check_benchmark("coco_val_2017")


def test_every_set_has_figures_that_are_shares():
    for name in benchmark_names():
        task = {"detection", "grounding", "semantic_segmentation", "salient_object"}
        metrics = {f"{t}/x/forced": 0.0 for t in task}
        assert compare(name, metrics, num_samples=1) == ()
