"""What object queries know of their own place, where image and routes tell them nothing."""

import pytest
import torch


def states(detector, places):
    """The states of the last layer of queries that differ in nothing but their boxes; the image
    says nothing."""
    for layer in detector.decoder.layers:
        torch.nn.init.zeros_(layer.cross_attn.value_proj.bias)
    num, width = places.shape[1], detector.embed_dims
    shapes = torch.tensor([[4, 4], [2, 2], [1, 1]])
    found, _ = detector.decoder(
        query=torch.zeros(1, num, width),
        value=torch.zeros(1, 21, width),
        key_padding_mask=None,
        self_attn_mask=None,
        reference_points=places,
        spatial_shapes=shapes,
        level_start_index=torch.tensor([0, 16, 20]),
        valid_ratios=torch.ones(1, 3, 2),
        reg_branches=detector.bbox_head.reg_branches,
        memory_text=torch.ones(1, 1, width),
        text_attention_mask=torch.zeros(1, 1, dtype=torch.bool),
    )
    return found[-1, 0]


@pytest.mark.parametrize("placed", [True, False])
def test_with_one_route_the_place_is_known_where_queries_keep_it(decoder, placed):
    detector = decoder(placed_queries=placed).detector
    left_and_right = torch.tensor([[[0.2, 0.5, 0.1, 0.1], [0.8, 0.5, 0.1, 0.1]]])
    with torch.no_grad():
        left, right = states(detector, left_and_right)
    assert torch.allclose(left, right, atol=1e-5) is not placed


def test_state_keys_are_those_without_it(decoder):
    keys = [decoder(placed_queries=placed).state_dict().keys() for placed in (True, False)]
    assert keys[0] == keys[1]
