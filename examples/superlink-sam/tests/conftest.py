"""Tiny decoders, calls and conditions, made by hand."""

import pytest
import torch
from PIL import Image

import superlink
from superlink import Geometry
from superlink.interfaces import CallInput, LinkedQueries
from superlink_sam.config import SamMaskConfig
from superlink_sam.decoder import SamMaskDecoder
from superlink_sam.library import load_sam

torch.set_num_threads(1)  # tiny models are slower on more

MEMORY_WIDTHS = (
    "memory_attention_hidden_size",
    "memory_attention_feed_forward_hidden_size",
    "memory_encoder_hidden_size",
    "mask_downsampler_embed_dim",
    "memory_fuser_embed_dim",
    "memory_fuser_intermediate_dim",
)


@pytest.fixture
def decoder():
    """Build a tiny decoder with random weights, in eval mode: `decoder(train_vision=True)`."""

    def build(**config):
        torch.manual_seed(0)
        return SamMaskDecoder(SamMaskConfig(**config)).eval()

    return build


@pytest.fixture
def call():
    """Build a call on a random picture: `call(masks, labels, num_routes=2, size=(60, 100))`."""

    def build(masks=None, labels=(), num_routes=2, size=(60, 100), seed=0):
        generator = torch.Generator().manual_seed(seed)
        pixels = torch.randint(0, 255, (*size, 3), dtype=torch.uint8, generator=generator)
        masks = torch.zeros(0, *size, dtype=torch.bool) if masks is None else masks
        return CallInput(
            image=Image.fromarray(pixels.numpy()),
            geometry=Geometry.identity(size),
            target={"masks": masks, "labels": torch.tensor(labels, dtype=torch.long)},
            tokens=("[SEG]",) * num_routes,
            phrases=tuple(f"thing {index}" for index in range(num_routes)),
            key=f"sample {seed}",
        )

    return build


@pytest.fixture
def link():
    """Build a random condition for so many routes per call: `link([2, 1])`."""

    def build(counts, size=32, seed=1):
        total, generator = sum(counts), torch.Generator().manual_seed(seed)
        return LinkedQueries(
            states=torch.randn(total, size, generator=generator).requires_grad_(),
            calls=torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)),
            tokens=("[SEG]",) * total,
            phrases=tuple(f"thing {i}" for count in counts for i in range(count)),
            num_calls=len(counts),
        )

    return build


@pytest.fixture
def linked():
    """Build a random model with the decoder behind a tiny LLM: `linked(sizes={...})`."""

    def build(**config):
        torch.manual_seed(0)

        words = ["Cut out the red blue box"]
        llm = {"hidden_size": 64, "num_layers": 2, "num_heads": 4, "image_size": 64, "words": words}
        backbone = {"name": "tiny_llava", "config": {"encoder": "conv", **llm}}
        decoders = [{"name": "sam.masks", "config": config}]
        return superlink.build_model({"backbone": backbone, "decoders": decoders}).eval()

    return build


@pytest.fixture
def checkpoint(tmp_path):
    """Write a tiny random checkpoint and return its folder: `checkpoint("sam2")`."""
    from transformers import Sam2Config, Sam2Model, Sam2VideoConfig, Sam2VideoModel

    side, width = 64, 32
    image = {"image_size": side, "hidden_size": width}
    hiera = {
        "model_type": "sam2_hiera_det_model",
        "image_size": [side, side],
        "hidden_size": 8,
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 1, 1],
        "window_size_per_stage": [4, 4, 4, 4],
        "window_positional_embedding_background_size": [4, 4],
        "global_attention_blocks": [3],
        "initializer_range": 0.2,
    }
    parts = {
        "vision_config": {
            "backbone_config": hiera,
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[side // stride] * 2 for stride in (4, 8, 16)],
            "fpn_hidden_size": width,
        },
        "prompt_encoder_config": image,
        "mask_decoder_config": {"hidden_size": width, "mlp_dim": 64, "num_attention_heads": 2},
    }

    def write(family):
        torch.manual_seed(0)
        if family == "sam":
            model = load_sam(SamMaskConfig(sizes={"image_size": side}))
        elif family == "sam2":
            model = Sam2Model(Sam2Config(**parts))
        else:
            memory = dict.fromkeys(MEMORY_WIDTHS, width)
            model = Sam2VideoModel(Sam2VideoConfig(**parts, **memory))
        folder = tmp_path / family
        model.save_pretrained(folder)
        return folder

    return write


@pytest.fixture
def part():
    """The condition of one call of a batch: `part(links, 1)`."""

    def cut(links, index):
        mine = links.calls == index
        zeros = torch.zeros(int(mine.sum()), dtype=torch.long)
        tokens = ("[SEG]",) * len(zeros)
        return LinkedQueries(links.states[mine], zeros, tokens, links.phrases_of(index), 1)

    return cut
