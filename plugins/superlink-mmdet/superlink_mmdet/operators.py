"""Pure PyTorch versions of the operators that mmcv compiles, on any device, under mmcv's own
signatures."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "ms_deform_attn_backward",
    "ms_deform_attn_forward",
    "nms",
    "sigmoid_focal_loss_backward",
    "sigmoid_focal_loss_forward",
]


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """Greedy non-maximum suppression.

    Args:
        boxes: (N, 4) x1, y1, x2, y2 in pixels.
        scores: (N,).
        iou_threshold: Overlap above which the weaker box is dropped.
        offset: What is added to widths and heights; 1 where corners are pixel indices.

    Returns:
        The indices that stay, best first.
    """
    order = scores.argsort(descending=True, stable=True)
    # One copy to the host: the loop below would otherwise wait for the device at every box.
    overlaps = (_pairwise_iou(boxes[order], offset) > iou_threshold).cpu()  # (N, N)
    keep = torch.ones(len(order), dtype=torch.bool)
    for index in range(len(order)):
        if keep[index]:
            keep[index + 1 :] &= ~overlaps[index, index + 1 :]
    return order[keep.to(order.device)]


def _pairwise_iou(boxes: Tensor, offset: int) -> Tensor:
    """Intersection over union of all pairs of `boxes` (N, 4), as (N, N)."""
    top_left = torch.maximum(boxes[:, None, :2], boxes[:, :2])
    bottom_right = torch.minimum(boxes[:, None, 2:], boxes[:, 2:])
    shared = (bottom_right - top_left + offset).clamp(min=0).prod(-1)
    areas = (boxes[:, 2:] - boxes[:, :2] + offset).prod(-1)
    return shared / (areas[:, None] + areas - shared)


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Write the focal loss (arXiv 1708.02002, equation 5) of each logit into `output` (N, C).

    Args:
        input: (N, C) logits.
        target: (N,) classes; C means background.
        weight: (C,) a factor for each target class, or empty.
        output: (N, C), overwritten.
        gamma: The focusing exponent.
        alpha: The weight of positives; negatives have 1 - alpha.
    """
    output.copy_(_focal_loss(input, target, weight, gamma, alpha))


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Write the derivative of each focal loss by its logit into `grad_input` (N, C)."""
    with torch.enable_grad():
        logits = input.detach().requires_grad_()
        loss = _focal_loss(logits, target, weight, gamma, alpha).sum()
    grad_input.copy_(torch.autograd.grad(loss, logits)[0])


def _focal_loss(
    logits: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float
) -> Tensor:
    """The focal loss of each logit, as (N, C)."""
    classes = functional.one_hot(target, logits.shape[1] + 1)[:, :-1].to(logits.dtype)
    chance = logits.sigmoid()
    miss = torch.where(classes > 0, 1 - chance, chance)
    entropy = functional.binary_cross_entropy_with_logits(logits, classes, reduction="none")
    loss = torch.where(classes > 0, alpha, 1 - alpha) * miss**gamma * entropy
    if weight.numel():
        loss = loss * functional.pad(weight, (0, 1), value=1.0)[target][:, None]
    return loss


def ms_deform_attn_forward(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Multi-scale deformable attention (arXiv 2010.04159, equation 3).

    Args:
        value: (B, K, heads, C) features of all levels, one after the other.
        spatial_shapes: (levels, 2) height and width of each level.
        level_start_index: (levels,); follows from the shapes.
        sampling_locations: (B, Q, heads, levels, points, 2) x, y between 0 and 1.
        attention_weights: (B, Q, heads, levels, points).
        im2col_step: A block size of the compiled version; of no meaning here.

    Returns:
        (B, Q, heads * C).
    """
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    return multi_scale_deformable_attn_pytorch(
        value, spatial_shapes, sampling_locations, attention_weights
    )


def ms_deform_attn_backward(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Write the gradients by `value`, `sampling_locations` and `attention_weights` into the three
    `grad_` tensors of their shapes."""
    with torch.enable_grad():
        inputs = [
            t.detach().requires_grad_() for t in (value, sampling_locations, attention_weights)
        ]
        output = ms_deform_attn_forward(
            inputs[0], spatial_shapes, level_start_index, inputs[1], inputs[2], im2col_step
        )
    gradients = torch.autograd.grad(output, inputs, grad_output)
    for place, gradient in zip(
        (grad_value, grad_sampling_loc, grad_attn_weight), gradients, strict=True
    ):
        place.copy_(gradient)
