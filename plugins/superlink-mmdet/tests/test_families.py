"""What one family has and another has not, and that a recipe may swap them."""

import pytest
import torch

from superlink.registry import Registry
from superlink_mmdet.layers import DeformableEncoder
from superlink_mmdet.library import (
    DeformableDETR,
    DeformableDetrTransformerDecoder,
    DeformableDetrTransformerEncoder,
    GroundingDINO,
)
from superlink_mmdet.places import cell_places, start_boxes

FAMILIES = ["grounding_dino", "deformable_detr"]


def test_names_can_be_swapped_over_one_config(config):
    common = config().model_dump(include={"embed_dims", "num_levels", "num_object_queries"})
    built = [Registry.discover().build("decoder", f"mmdet.{name}", common) for name in FAMILIES]
    assert len({made.cond_size for made in built}) == 1
    assert len({type(made) for made in built}) == 2
    assert isinstance(built[0].detector, GroundingDINO)
    assert not isinstance(built[1].detector, GroundingDINO)


@pytest.mark.parametrize("family", ["deformable_detr"])
def test_transformer_is_that_of_mmdet(fresh):
    detector = fresh().detector
    assert isinstance(detector, DeformableDETR)
    assert isinstance(detector.encoder, DeformableDetrTransformerEncoder)
    assert type(detector.decoder) is DeformableDetrTransformerDecoder


@pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning")
def test_cells_look_where_those_of_mmdet_look():
    shapes, ratios = (
        torch.tensor([[4, 6], [2, 3]]),
        torch.tensor([[[1.0, 0.5]] * 2, [[0.5, 1]] * 2]),
    )
    ours = DeformableEncoder.get_encoder_reference_points(shapes, ratios)
    theirs = DeformableDetrTransformerEncoder.get_encoder_reference_points(shapes, ratios, "cpu")
    torch.testing.assert_close(ours, theirs)


@pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning")
def test_queries_start_where_those_of_mmdet_start(fresh):
    shapes, ratios = torch.tensor([[8, 8], [4, 4], [2, 2]]), torch.ones(1, 3, 2)
    ours, _ = start_boxes(*cell_places(shapes, ratios))
    _, theirs = fresh().detector.gen_encoder_output_proposals(torch.zeros(1, 84, 64), None, shapes)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("family", FAMILIES)
def test_route_changes_the_places_that_queries_start_from(decoder, call, link):
    made = decoder()
    inputs = made.collate([made.prepare(call(), training=False)])
    starts = [
        made._forward(link([1], seed=seed), inputs, with_targets=False)[0]["references"][0]
        for seed in (1, 2)
    ]
    assert not torch.equal(*starts)


@pytest.mark.parametrize("family", ["deformable_detr"])
def test_score_is_the_similarity_of_query_and_link_state(decoder, call, link):
    made, links = decoder(), link([3])
    inputs = made.collate([made.prepare(call(num_routes=3), training=False)])
    found, _ = made._forward(links, inputs, with_targets=False)
    logits, _ = made.detector.bbox_head(**found)
    routes = made.detector.text_feat_map(links.states)
    for layer, branch in enumerate(made.detector.bbox_head.cls_branches[:2]):
        expected = found["hidden_states"][layer] @ routes.mT / 64**0.5 + branch.bias
        torch.testing.assert_close(logits[layer, ..., :3], expected)
