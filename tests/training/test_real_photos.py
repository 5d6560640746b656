"""A few real, annotated photographs: the whole path from a COCO file to boxes learns, in pixels."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from PIL import Image

from superlink.data import read_coco
from superlink.interfaces import CallInput, Geometry
from superlink.registry import validate_config
from superlink.tasks.detection import detection_conversation
from superlink.training import Recipe, train

COCO = Path(__file__).parents[3] / "shared" / "data" / "coco_mini"
pytestmark = pytest.mark.skipif(not COCO.is_dir(), reason="the photographs are not here")

DETECTOR = {
    "embed_dims": 64,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "num_object_queries": 20,
    "num_points": 2,
    "num_levels": 3,
    "num_heads": 4,
    "feedforward_dims": 64,
    "num_denoising_queries": 10,
    "max_routes": 40,
    "fusion": False,
    "text_layers": False,
    "shared_features": True,
    "in_channels": [16, 24, 32],
    "image_size": [96, 96],
}
LLM = {"hidden_size": 64, "num_layers": 2, "num_heads": 4, "image_size": 96, "encoder": "conv"}


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    recipe = {
        "name": "photos",
        "model": {
            "backbone": {"name": "tiny_llava", "config": LLM},
            "decoders": [{"name": "mmdet.grounding_dino", "tokens": ["[DET]"], "config": DETECTOR}],
        },
        "data": {
            "photos": {
                "task": "detection",
                "format": "coco",
                "options": {
                    "annotations": str(COCO / "instances_train.json"),
                    "images": str(COCO / "images"),
                },
            }
        },
        "stages": [
            {
                "name": "joint",
                "data": "photos",
                "steps": 20,
                "batch_size": 4,
                "learning_rate": 2e-3,
                "warmup_steps": 2,
            }
        ],
    }
    run = tmp_path_factory.mktemp("photos")
    return train(validate_config(Recipe, recipe, "a test"), run, progress=False)


def test_losses_on_photographs_fall(result):
    steps = [entry for entry in result.history if "loss" in entry]
    assert len(steps) == 20
    for name in ("loss", "loss/lm", "loss/mmdet.grounding_dino/loss_cls"):
        first, last = (sum(e[name] for e in part) / 5 for part in (steps[:5], steps[-5:]))
        assert last < first, name


def test_predictions_are_in_pixels_of_the_photographs(result):
    records = read_coco(COCO / "instances_val.json", COCO / "images")[:3]
    samples = [detection_conversation(record, random.Random(0), False) for record in records]
    for sample, reply in zip(samples, result.model.answer(samples, "forced"), strict=True):
        width, height = sample.images[0].size
        (prediction,) = reply.predictions
        assert len(prediction.bboxes)
        assert (prediction.bboxes >= 0).all()
        assert (prediction.bboxes <= torch.tensor([width, height] * 2)).all()
        assert prediction.bboxes[:, 2:].amax() > 96  # the stream has 96 pixels a side


def test_targets_of_photographs_survive_the_way_to_the_stream_and_back(result):
    (bound,) = result.model.bound.values()
    for record in read_coco(COCO / "instances_train.json", COCO / "images")[:5]:
        sample = detection_conversation(record, random.Random(0), False)
        (image,), (target,) = sample.images, sample.targets
        names = target["names"]
        whole = Geometry.identity((image.height, image.width))
        call = CallInput(image, whole, target, ("[DET]",) * len(names), names)
        item = bound.decoder.prepare(call, training=True)
        assert (item["bboxes"] <= 96).all()
        back = item["geometry"].boxes_to_original(item["bboxes"])
        torch.testing.assert_close(back, target["bboxes"], atol=1e-2, rtol=0)


def test_photographs_are_larger_than_the_stream():
    with Image.open(next((COCO / "images").iterdir())) as image:
        assert min(image.size) > 96
