"""A head of mmpose that tells where keypoints are by bins of x and y, for any keypoints.

Its last convolution, with one kernel for each of a fixed number of keypoints, gives way to kernels
that are made of the states of those that are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from superlink.errors import ConfigError

from .conditioning import KeypointFilter
from .library import MODELS, BaseModule, KLDiscretLoss, SimCCLabel
from .top_down_config import TopDownConfig

__all__ = ["CropNetwork"]


class CropNetwork(BaseModule):  # type: ignore[misc]
    """Backbone and head over crops.

    Args:
        config: Which of mmpose's they are, and their sizes.

    Raises:
        ConfigError: The head has no such convolution, or something in it counts keypoints.
    """

    def __init__(self, config: TopDownConfig) -> None:
        super().__init__()
        self.in_channels = config.in_channels
        self.backbone: nn.Module = _built("backbone", dict(config.backbone))
        self.head: Any = _built("head", _head_settings(config))
        _check_head(self.head, config)
        self.init_weights()
        self.head.final_layer = KeypointFilter(
            config.in_channels, config.embed_dims, config.final_layer_kernel_size
        )
        self.peaks = _peaks(self.head)

    def _dump_init_info(self) -> None:
        """mmengine would log a line for each parameter."""

    def maps(self, crops: Tensor) -> Tensor:
        """The last map (M, C, h, w) of crops (M, 3, H, W)."""
        found: Tensor = self.backbone(crops)[-1]
        cells = tuple(reversed(self.head.in_featuremap_size))
        if found.shape[1:] != (self.in_channels, *cells):
            raise ConfigError(
                "The last map of the backbone must have in_channels channels and crop_size / "
                f"stride cells: {(self.in_channels, *cells)}. Received: {tuple(found.shape[1:])}. "
                "Change its out_indices, or these numbers"
            )
        return found

    def encode(self, points: Tensor, visible: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the bins should say.

        Args:
            points: (M, K, 2) in pixels of the crops.
            visible: (M, K) which of them are labelled.

        Returns:
            Labels of x (M, K, bins) and of y (M, K, bins), and the weight (M, K) of each point: 0
            where it is not labelled, or far outside of the crop.
        """
        labels = self.head.decoder.encode(points.numpy(), visible.float().numpy())
        names = ("keypoint_x_labels", "keypoint_y_labels", "keypoint_weights")
        x, y, weights = (torch.from_numpy(labels[name]).float() for name in names)
        return x, y, weights

    def loss(self, maps: Tensor, points: Tensor, labels: Sequence[Tensor]) -> Tensor:
        """The sum over all points of mmpose's loss.

        Args:
            maps: (M, C, h, w).
            points: (M, K, E), zeros where there is none.
            labels: As `encode` gives them.
        """
        x, y, weights = labels
        loss: Tensor = self.head.loss_module(self.head(((maps, points),)), (x, y), weights)
        return loss * points.shape[1]  # mmpose has divided by K

    def decode(self, maps: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Where the keypoints (M, K, 2) are, in pixels of the crops, and how sure that is (M, K).

        The score is the height of the distribution over the bins at its highest, relative to that
        of a perfect prediction, of x or of y, whichever is lower: 1 is perfect, and the more places
        are likely, the nearer to 0 it comes.
        """
        beta = self.head.loss_module.beta
        logits = self.head(((maps, points),))
        # mmpose takes a maximum that is not above 0 for no keypoint at all: logits would not do.
        shares = tuple(
            (one * beta).softmax(-1) / peak for one, peak in zip(logits, self.peaks, strict=True)
        )
        found = self.head.decode(shares)
        keypoints, scores = (
            torch.cat([torch.as_tensor(one[name]) for one in found])
            for name in ("keypoints", "keypoint_scores")
        )
        return keypoints.to(points), scores.to(points).clamp(max=1)


def _built(what: str, settings: dict[str, Any]) -> nn.Module:
    try:
        made: nn.Module = MODELS.build(settings)
    except (KeyError, TypeError) as error:
        raise ConfigError(
            f"mmpose must be able to build the {what} of these settings. Received: {settings}. "
            f"mmpose says: {error}"
        ) from error
    return made


def _head_settings(config: TopDownConfig) -> dict[str, Any]:
    height, width = config.crop_size
    sigmas = ((width / 8) ** 0.5, (height / 8) ** 0.5)
    codec = {"sigma": sigmas, "normalize": False, **config.codec, "input_size": (width, height)}
    codec = {"type": "SimCCLabel", "simcc_split_ratio": 2.0, **codec}
    return {
        **config.head,
        "in_channels": config.in_channels,
        "out_channels": 1,
        "input_size": (width, height),
        "in_featuremap_size": (width // config.stride, height // config.stride),
        "simcc_split_ratio": codec["simcc_split_ratio"],
        "decoder": codec,
    }


def _check_head(head: Any, config: TopDownConfig) -> None:
    """Only a head that treats keypoints alike can be asked for any of them."""
    gau = config.head.get("gau_cfg", {})
    loss = getattr(head, "loss_module", None)
    fit = {
        "a final_layer on the map itself": isinstance(
            getattr(head, "final_layer", None), nn.Conv2d
        ),
        "loss KLDiscretLoss with use_target_weight and without mask": isinstance(
            loss, KLDiscretLoss
        )
        and loss.use_target_weight
        and loss.mask is None,
        "codec SimCCLabel without decode_visibility": isinstance(head.decoder, SimCCLabel)
        and not head.decoder.decode_visibility,
        "gau_cfg without use_rel_bias and pos_enc": not (
            gau.get("use_rel_bias", False) or gau.get("pos_enc", False)
        ),
    }
    if lacking := [what for what, holds in fit.items() if not holds]:
        raise ConfigError(
            "The head must be RTMCCHead, or SimCCHead with deconv_out_channels=None, and know "
            f"nothing of the number or order of keypoints. Received: head={config.head}, "
            f"codec={config.codec}. It needs {'; '.join(lacking)}"
        )


def _peaks(head: Any) -> tuple[float, float]:
    """How high the distributions over x and y are for a perfect prediction of the middle."""
    middle = torch.tensor(head.decoder.input_size).view(1, 1, 2) / 2
    labels = head.decoder.encode(middle.numpy())
    loss, peaks = head.loss_module, []
    for name in ("keypoint_x_labels", "keypoint_y_labels"):
        label = torch.as_tensor(labels[name]).flatten()
        wanted = (label * loss.label_beta).softmax(0) if loss.label_softmax else label / label.sum()
        peaks.append(float(wanted.max()))
    return peaks[0], peaks[1]
