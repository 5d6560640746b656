"""What is picked out of the instances of a reply."""

from __future__ import annotations

import torch

from superlink.interfaces import InstancePrediction, Reply


def prediction(scores, labels, phrases=("left", "right")):
    number = len(scores)
    return InstancePrediction(
        torch.arange(4.0 * number).view(number, 4),
        torch.tensor(scores),
        torch.tensor(labels, dtype=torch.long),
        phrases,
        masks=torch.eye(max(number, 1))[:number, :, None] > 0,
    )


def test_best_is_the_surest_instance_of_each_route():
    best = prediction([0.2, 0.9, 0.5, 0.9], [0, 1, 0, 1]).best()
    assert best.labels.tolist() == [1, 0]
    assert best.bboxes[:, 0].tolist() == [4.0, 8.0]
    assert best.masks[:, :, 0].nonzero()[:, 1].tolist() == [1, 2]
    assert best.phrases == ("left", "right")


def test_best_of_nothing_is_nothing():
    assert len(prediction([], []).best().bboxes) == 0


def test_best_of_a_reply_leaves_the_rest_as_it_is():
    found = prediction([0.2, 0.9], [0, 0])
    reply = Reply("left", "<p>left</p>[GRD]", predictions=(found,)).best()
    assert reply.text == "left"
    assert reply.predictions[0].scores.tolist() == [found.scores[1].item()]


def test_score_that_is_no_number_beats_nothing():
    best = prediction([float("nan"), 0.9, 0.2], [0, 0, 1]).best()
    assert best.scores.tolist() == prediction([0.9, 0.2], [0, 1]).scores.tolist()
