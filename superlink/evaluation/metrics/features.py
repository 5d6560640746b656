"""Features of pictures by named networks, and distances between them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ...backbones.lite_vision import LiteVisionConfig, LiteVisionModel, load_imagenet_weights
from ...errors import InputError, MissingDependencyError

__all__ = ["Inception", "efficientnet_features", "frechet_distance", "load_efficientnet"]

_SIDE = 224  # that EfficientNet-Lite0 was trained on
_UNREADABLE = (
    *(RuntimeError, ValueError, OSError, AttributeError, TypeError, KeyError, EOFError),
    UnpicklingError,
)
"""What torch raises where a file holds no weights, or other ones."""


@cache
def load_efficientnet() -> LiteVisionModel:
    """EfficientNet-Lite0 with the ImageNet weights of an installed package.

    Raises:
        MissingDependencyError: A package is not installed.
    """
    with torch.random.fork_rng(devices=[]):
        model = LiteVisionModel(LiteVisionConfig(encoder="efficientnet_lite0"))
    load_imagenet_weights(model)
    model.train(False).requires_grad_(False)
    return model


def efficientnet_features(images: Sequence[Image.Image]) -> Tensor:
    """The last stage of EfficientNet-Lite0, pooled over the picture: (N, 320), of unit length.

    Raises:
        MissingDependencyError: A package is not installed.
    """
    pixels = (_pixels(image, _SIDE).float().sub_(127).div_(128) for image in images)
    model = load_efficientnet()
    with torch.no_grad():
        last = model(torch.stack([*pixels])).hidden_states[-2]
    return nn.functional.normalize(last.mean((2, 3)), dim=-1)


class Inception:
    """The Inception network that FID is defined by, through torchmetrics and torch-fidelity.

    Args:
        weights: torch-fidelity's file `pt_inception-2015-12-05-6726825d.pth`.
        device: Where it runs.

    Raises:
        MissingDependencyError: torchmetrics or torch-fidelity is not installed.
        InputError: There is no such file, or it holds other weights.
    """

    def __init__(self, weights: str | Path, device: str = "cpu") -> None:
        if not Path(weights).is_file():
            raise InputError(
                "FID needs the file pt_inception-2015-12-05-6726825d.pth, which torch-fidelity "
                f"gives on its page of releases. Received: {str(weights)!r}"
            )
        try:
            from torchmetrics.image.fid import NoTrainInceptionV3

            network: Any = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(weights))
        except ImportError as error:
            raise MissingDependencyError(
                "FID is measured by the network of torch-fidelity, through torchmetrics. "
                "Run: pip install 'superlink[fid]'"
            ) from error
        except _UNREADABLE as error:
            raise InputError(f"{weights} holds no weights of Inception: {error}") from error
        self._network = network.to(device)
        self.device = device

    def __call__(self, images: Sequence[Image.Image]) -> Tensor:
        """The features (N, 2048) of pictures."""
        pixels = [_pixels(image)[None].to(self.device) for image in images]
        with torch.no_grad():
            return torch.cat([self._network(one) for one in pixels]).float().cpu()


def frechet_distance(made: Tensor, real: Tensor) -> float:
    """The Fréchet distance of two sets of features (N, C), by which FID is defined (arXiv
    1706.08500, equation 6).

    The trace of the root of a product of two covariances is the sum of the singular values of the
    product of their roots: so no root of a matrix has to be found.

    Raises:
        InputError: A set has fewer than two rows.
    """
    if min(len(made), len(real)) < 2:
        raise InputError(f"A distribution needs two rows. Received: {len(made)} and {len(real)}")
    (mean, root), (other_mean, other_root) = (_moments(rows.double()) for rows in (made, real))
    overlap = torch.linalg.svdvals(root @ other_root.T).sum()
    spread = root.square().sum() + other_root.square().sum()
    return float((mean - other_mean).square().sum() + spread - 2 * overlap)


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (C,) of features (N, C), and a root (K, C) of their covariance: its square
    `root.T @ root` is the covariance, and K is N or C, whichever is less."""
    mean = features.mean(0)
    deviations = (features - mean) / (len(features) - 1) ** 0.5
    return mean, torch.linalg.qr(deviations, mode="r").R


def _pixels(image: Image.Image, side: int | None = None) -> Tensor:
    """Bytes (3, H, W), of a square where its `side` is given."""
    image = image.convert("RGB")
    if side is not None:
        image = image.resize((side, side), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)
