"""Losses are computed in float32, whatever the LLM computes in."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from superlink import IMAGE, Message, Sample, build_model

from .conftest import TINY

BOXES = torch.tensor([[4.0, 4.0, 20.0, 24.0], [30.0, 8.0, 60.0, 60.0]])
SAMPLE = Sample(
    (Message("user", (IMAGE, "Find: apple")), Message("assistant", "<p>apple</p>[DET]")),
    (Image.linear_gradient("L").resize((64, 64)).convert("RGB"),),
    targets=({"bboxes": BOXES, "labels": torch.tensor([0, 0])},),
    key="one",
)


def linked(name):
    torch.manual_seed(0)
    backbone = {"encoder": "conv", "hidden_size": 32, "num_layers": 2, "num_heads": 2}
    decoder = {"name": name, "config": TINY}
    return build_model(
        {"backbone": {"name": "tiny_llava", "config": backbone}, "decoders": [decoder]}
    )


def losses_of(model, batch, name):
    """The losses of a decoder by name, and the condition that they were computed from."""
    out = model(**batch)
    terms = {key: value for key, (value, _) in out.losses.items() if key.startswith(name)}
    return terms, out.links[name]


@pytest.mark.parametrize("name", ["mmdet.grounding_dino", "mmdet.deformable_detr"])
def test_losses_are_in_float32_where_the_llm_runs_in_bfloat16(name):
    model = linked(name).train()
    batch = model.processor([SAMPLE])
    plain, _ = losses_of(model, batch, name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half, links = losses_of(model, batch, name)
    assert links.states.dtype == torch.bfloat16
    decoder, inputs = model.bound[name].decoder, batch["decoder_inputs"][name]
    assert decoder.full_precision
    exact = decoder(replace(links, states=links.states.float()), inputs)
    assert {key: value.dtype for key, value in half.items()} == dict.fromkeys(plain, torch.float32)
    for key, (value, _) in exact.items():
        assert half[f"{name}/{key}"].item() == value.item()
        assert value.item() == pytest.approx(plain[f"{name}/{key}"].item(), rel=0.05)
