"""Errors of counts."""

from __future__ import annotations

import pytest
import torch
from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError

from superlink.errors import InputError
from superlink.evaluation.metrics import counting_metrics


def test_errors_are_those_of_torchmetrics():
    expected, found = [3, 0, 120, 7], [3, 2, 90, 8]
    metrics = counting_metrics(expected, found)
    pair = torch.tensor(found).float(), torch.tensor(expected).float()
    assert metrics["MAE"] == pytest.approx(float(MeanAbsoluteError()(*pair)))
    assert metrics["RMSE"] == pytest.approx(float(MeanSquaredError(squared=False)(*pair)))
    assert metrics["exact"] == 0.25


def test_without_counts_there_is_nothing_to_measure():
    with pytest.raises(InputError, match="at least one count"):
        counting_metrics([], [])
