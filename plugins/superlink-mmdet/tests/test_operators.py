import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from superlink_mmdet import library, operators  # noqa: F401  (library puts the stand-ins in place)

mmcv_ops = pytest.importorskip("mmcv.ops")


def brute_force_nms(boxes, scores, threshold, offset):
    def iou(a, b):
        width = min(a[2], b[2]) - max(a[0], b[0]) + offset
        height = min(a[3], b[3]) - max(a[1], b[1]) + offset
        shared = max(width, 0) * max(height, 0)
        areas = [(c[2] - c[0] + offset) * (c[3] - c[1] + offset) for c in (a, b)]
        return shared / (sum(areas) - shared)

    kept = []
    for index in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(iou(boxes[index], boxes[other]) <= threshold for other in kept):
            kept.append(index)
    return kept


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(0, 9)] * 2, *[st.integers(1, 9)] * 2), max_size=8),
    st.sampled_from([0.1, 0.35, 0.7]),
    st.sampled_from([0, 1]),
)
def test_nms_equals_brute_force(places, threshold, offset):
    boxes = [(x, y, x + w, y + h) for x, y, w, h in places]
    scores = [1 / (index + 2) for index in range(len(boxes))][::-1]
    kept = operators.nms(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(scores),
        threshold,
        offset,
    )
    assert kept.tolist() == brute_force_nms(boxes, scores, threshold, offset)


def test_nms_through_mmcv_returns_boxes_with_scores():
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
    _, kept = mmcv_ops.nms(boxes, torch.tensor([0.5, 0.9, 0.7]), 0.5)
    assert kept.tolist() == [1, 2]


def test_focal_loss_equals_mmdet():
    from mmdet.models.losses.focal_loss import py_sigmoid_focal_loss

    logits, target = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 4, 4])
    one_hot = torch.nn.functional.one_hot(target, 5)[:, :4]
    expected = py_sigmoid_focal_loss(logits, one_hot, gamma=2.0, alpha=0.25, reduction="none")
    made = mmcv_ops.sigmoid_focal_loss(logits, target, 2.0, 0.25, None, "none")
    torch.testing.assert_close(made, expected)


def test_focal_loss_weighs_by_target_class():
    logits, target, weight = torch.randn(3, 2), torch.tensor([0, 1, 2]), torch.tensor([2.0, 3.0])
    plain = mmcv_ops.sigmoid_focal_loss(logits, target, 2.0, 0.25, None, "none")
    weighed = mmcv_ops.sigmoid_focal_loss(logits, target, 2.0, 0.25, weight, "none")
    torch.testing.assert_close(weighed, plain * torch.tensor([[2.0], [3.0], [1.0]]))


def test_focal_loss_gradient_is_right():
    logits = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([0, 2, 3, 1])
    assert torch.autograd.gradcheck(
        lambda x: mmcv_ops.sigmoid_focal_loss(x, target, 2.0, 0.25, None, "sum"), logits
    )


def attention_inputs():
    torch.manual_seed(0)
    shapes = torch.tensor([[3, 4], [2, 2]])
    value = torch.randn(2, 16, 2, 4, dtype=torch.float64, requires_grad=True)
    places = torch.rand(2, 5, 2, 2, 3, 2, dtype=torch.float64).mul(1.2).sub(0.1).requires_grad_()
    weights = torch.rand(2, 5, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    return value, shapes, places, weights


def test_deformable_attention_equals_mmcv_with_gradients():
    from mmcv.ops.multi_scale_deform_attn import (
        MultiScaleDeformableAttnFunction,
        multi_scale_deformable_attn_pytorch,
    )

    value, shapes, places, weights = attention_inputs()
    inputs = (value, places, weights)
    starts = torch.tensor([0, 12])
    made = MultiScaleDeformableAttnFunction.apply(value, shapes, starts, places, weights, 64)
    expected = multi_scale_deformable_attn_pytorch(value, shapes, places, weights)
    torch.testing.assert_close(made, expected)
    direction = torch.randn_like(expected)
    for ours, theirs in zip(
        torch.autograd.grad(made, inputs, direction),
        torch.autograd.grad(expected, inputs, direction),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)
