"""mmdet's own Grounding DINO and ours, with the weights of one checkpoint: the same boxes."""

import json
import pickle
import zipfile
from functools import partial

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from safetensors.torch import load_file, safe_open
from torch import nn
from typer.testing import CliRunner

from superlink.checkpoint import load_first_weights
from superlink.errors import CheckpointError, ConfigError
from superlink_mmdet.__main__ import app
from superlink_mmdet.checkpoints import convert
from superlink_mmdet.config import GroundingDinoConfig
from superlink_mmdet.decoder import GroundingDinoDecoder
from superlink_mmdet.library import ConfigDict, DetDataSample, GroundingDINO, GroundingDINOHead

# mmdet's layers that encode places know one width.
TEXT = {"text_heads": 4, "text_feedforward_dims": 32, "fusion_dims": 96, "fusion_heads": 4}
SIZES = {"embed_dims": 256, "num_heads": 8, "encoder_layers": 2, "max_routes": 8, **TEXT}
SCALES = {
    "mm_grounding_dino": {"log_scale": "auto", "bias": True},
    "grounding_dino_swin_t": {},
    "grounding_dino_swin_b": {"log_scale": 0.0, "bias": False},
}
ROUTES = 3


class TextEncoder(nn.Module):
    """Stands for BERT: only its width and its weights matter here."""

    def __init__(self):
        super().__init__()
        self.language_backbone = nn.Module()
        self.language_backbone.body = nn.Linear(3, 3)
        self.language_backbone.body.language_dim = 24


def official(config, contrastive):
    """mmdet's detector by its official config, in small sizes, with random weights."""
    ours = partial(dict, embed_dims=256, dropout=0.0)
    feedforward = {"embed_dims": 256, "feedforward_channels": config.feedforward_dims}
    image = ours(num_levels=config.num_levels, num_points=config.num_points)
    settings = {
        "language_model": {"type": TextEncoder},
        "num_queries": config.num_object_queries,
        "num_feature_levels": config.num_levels,
        "with_box_refine": True,
        "as_two_stage": True,
        "backbone": dict(config.backbone),
        "neck": {
            "type": "ChannelMapper",
            "in_channels": list(config.in_channels),
            "kernel_size": 1,
            "out_channels": 256,
            "act_cfg": None,
            "bias": True,
            "norm_cfg": {"type": "GN", "num_groups": 32},
            "num_outs": config.num_levels,
        },
        "encoder": {
            "num_layers": config.encoder_layers,
            "layer_cfg": {"self_attn_cfg": image, "ffn_cfg": feedforward},
            "text_layer_cfg": {
                "self_attn_cfg": ours(num_heads=4),
                "ffn_cfg": feedforward | {"feedforward_channels": 32},
            },
            "fusion_layer_cfg": {"v_dim": 256, "l_dim": 256, "embed_dim": 96, "num_heads": 4},
        },
        "decoder": {
            "num_layers": config.decoder_layers,
            "return_intermediate": True,
            "layer_cfg": {
                "self_attn_cfg": ours(num_heads=8),
                "cross_attn_text_cfg": ours(num_heads=8),
                "cross_attn_cfg": ours(num_heads=8) | image,
                "ffn_cfg": feedforward,
            },
            "post_norm_cfg": None,
        },
        "positional_encoding": {
            "num_feats": 128,
            "normalize": True,
            "offset": 0.0,
            "temperature": 20,
        },
        "bbox_head": {
            "type": GroundingDINOHead,
            "num_classes": 80,
            "sync_cls_avg_factor": True,
            "contrastive_cfg": {"max_text_len": 256, **contrastive},
            "loss_cls": {"type": "FocalLoss", "use_sigmoid": True},
        },
        "dn_cfg": {
            "label_noise_scale": 0.5,
            "box_noise_scale": 1.0,
            "group_cfg": {"dynamic": True, "num_groups": None, "num_dn_queries": 100},
        },
    }
    detector = GroundingDINO(**ConfigDict(settings))
    detector._dump_init_info = lambda: None  # a line for each parameter
    detector.init_weights()
    with torch.no_grad():  # fresh ones predict the same boxes, and fusion hardly counts
        for parameter in detector.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return detector.eval()


def as_mmengine(state, path, **options):
    """Save as mmengine's runner does, with the history of training."""
    history = HistoryBuffer([0.5, 0.25], [1, 1])
    checkpoint = {
        "meta": {
            "epoch": 1,
            "cfg": "model = dict(type='GroundingDINO')",
            "mmengine_version": "0.10.7",
            "dataset_meta": {"CLASSES": ("dog",), "PALETTE": [(1, 2, 3)]},
        },
        "state_dict": state,
        "message_hub": {"log_scalars": {"train/loss": history}, "last": np.float64(0.5)},
    }
    torch.save(checkpoint, path, **options)
    return path


@pytest.fixture
def tiny(config):
    return config(**SIZES)


@pytest.fixture
def theirs(tiny):
    """Build mmdet's detector: `theirs("mm_grounding_dino")`."""

    def build(scale="mm_grounding_dino"):
        torch.manual_seed(0)
        return official(tiny, SCALES[scale])

    return build


@pytest.fixture
def checkpoint(theirs, tmp_path):
    return as_mmengine(theirs().state_dict(), tmp_path / "theirs.pth")


def their_answers(detector, images, embedded, samples):
    """Logits and boxes of mmdet's transformer on given text features.

    Ours differs on purpose where a text has an order, where its words hide from each other, and
    where images are padded. Here every word is the first of its phrase, and all see each other.
    """
    batch, routes, _ = embedded.shape
    text = {
        "embedded": embedded,
        "text_token_mask": torch.ones(batch, routes, dtype=torch.bool),
        "masks": torch.ones(batch, routes, routes, dtype=torch.bool),
        "position_ids": torch.zeros(batch, routes, dtype=torch.long),
    }
    found = detector.forward_transformer(detector.extract_feat(images), text, samples)
    return detector.bbox_head(**found)


def our_answers(detector, images, states, samples):
    features = detector.image_features(list(images))
    mask = torch.ones(states.shape[:2], dtype=torch.bool)
    return detector.bbox_head(**detector.forward_links(features, states, mask, samples))


@pytest.mark.parametrize("scale", SCALES)
@torch.no_grad()
def test_converted_weights_give_the_boxes_and_logits_of_mmdet(theirs, tiny, scale, tmp_path):
    expected = theirs(scale)
    path = as_mmengine(expected.state_dict(), tmp_path / "theirs.pth")
    made = convert(path, tmp_path / "ours.safetensors")
    decoder = GroundingDinoDecoder(tiny).eval()
    found = load_first_weights(decoder, tmp_path / "ours.safetensors", "mmdet.grounding_dino")
    assert found.missing == ("detector.text_feat_map.bias", "detector.text_feat_map.weight")
    assert found.unexpected == found.mismatched == ()
    assert len(made.changed) == {"mm_grounding_dino": 1}.get(scale, 3)

    images, states = torch.randn(2, 3, 64, 64), torch.randn(2, ROUTES, 256)
    shapes = {"img_shape": (64, 64), "batch_input_shape": (64, 64)}
    samples = [DetDataSample(metainfo=shapes) for _ in images]
    embedded = decoder.detector.text_feat_map(states)
    logits, boxes = their_answers(expected, images, embedded, samples)
    our_logits, our_boxes = our_answers(decoder.detector, images, states, samples)
    assert boxes.std(dim=2).min() > 1e-3  # queries differ, so their order counts
    torch.testing.assert_close(our_boxes, boxes, rtol=0, atol=1e-5)
    # Those of earlier layers serve losses alone; mmdet can scale each of them otherwise.
    layers = slice(-1, None) if scale == "grounding_dino_swin_b" else slice(None)
    size = 1 if scale == "mm_grounding_dino" else 16  # logits that no root of the width divides
    torch.testing.assert_close(
        our_logits[layers, ..., :ROUTES] / size,
        logits[layers, ..., :ROUTES] / size,
        rtol=0,
        atol=1e-5,
    )


@pytest.mark.parametrize("zipped", [True, False])
def test_report_tells_what_was_kept_and_why_the_rest_was_dropped(theirs, tmp_path, zipped):
    state = theirs().state_dict() | {"head.fc.weight": torch.ones(2)}
    options = {"_use_new_zipfile_serialization": zipped}  # mmdet publishes the older format
    path = as_mmengine(state, tmp_path / "theirs.pth", **options)
    made = convert(path, tmp_path / "ours.safetensors")
    dropped = {one.group: (one.tensors, one.reason) for one in made.dropped}
    assert set(dropped) == {"dn_query_generator", "head", "language_model", "text_feat_map"}
    assert dropped["language_model"] == (2, "the LLM takes the place of the text encoder")
    assert "no such part" in dropped["head"][1]
    assert sum(made.kept.values()) + sum(number for number, _ in dropped.values()) == len(state)
    tensors = load_file(tmp_path / "ours.safetensors")
    assert len(tensors) == sum(made.kept.values())
    assert torch.equal(tensors["detector.level_embed"], state["level_embed"])
    with safe_open(tmp_path / "ours.safetensors", "pt") as file:
        assert file.metadata()["decoder"] == "mmdet.grounding_dino"
        assert file.metadata()["source"] == "theirs.pth"


def test_reported_config_is_that_of_the_decoder(checkpoint, tiny, tmp_path):
    made = convert(checkpoint, tmp_path / "ours.safetensors")
    other = {"num_points": tiny.num_points, "num_heads": 8, "backbone": tiny.backbone}
    same = GroundingDinoConfig(**made.config, **other, max_routes=8)
    decoder = GroundingDinoDecoder(same)
    found = load_first_weights(decoder, tmp_path / "ours.safetensors", "mmdet.grounding_dino")
    assert found.mismatched == found.unexpected == ()


def test_sizes_that_differ_are_told(checkpoint, config, tmp_path):
    convert(checkpoint, tmp_path / "ours.safetensors")
    decoder = GroundingDinoDecoder(config(**SIZES | {"encoder_layers": 1}, num_object_queries=9))
    found = load_first_weights(decoder, tmp_path / "ours.safetensors", "mmdet.grounding_dino")
    assert len(found.mismatched) == 1
    assert "query_embedding.weight: (12, 256) in the file, (9, 256)" in str(found)
    assert all(name.startswith("detector.encoder.") for name in found.unexpected)


class Code:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_refused_and_does_not_run(tmp_path, zipped):
    trap = tmp_path / "trap"
    content = {"state_dict": {"level_embed": torch.ones(1, 2)}, "meta": Code(trap)}
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"could run code. Received: \w*io\w*\.open"):
        convert(tmp_path / "x.pth", tmp_path / "ours.safetensors")
    assert not trap.exists()
    assert not (tmp_path / "ours.safetensors").exists()


def write_json(path):
    path.write_text("{}")


def write_zip(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.txt", "a")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "no file"),
        (lambda path: path.mkdir(), "no file"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (write_json, "cannot be read"),
        (write_zip, "cannot be read"),
        (lambda path: path.write_bytes(pickle.dumps([1])), "cannot be read|with list"),
        (lambda path: torch.save([1], path), "with list"),
        (lambda path: torch.save({"model": {"a": torch.ones(1)}}, path), r"\['model'\].*IDEA"),
        (lambda path: torch.save({"state_dict": {"a": 1}}, path), "tensors of a model"),
        (lambda path: torch.save({"state_dict": {"fc.weight": torch.ones(1)}}, path), r"\['fc'\]"),
    ],
)
def test_file_of_another_kind_is_refused(tmp_path, write, message):
    path = tmp_path / "x.pth"
    write(path)
    with pytest.raises(CheckpointError, match=message):
        convert(path, tmp_path / "ours.safetensors")


def test_damaged_checkpoint_is_refused(checkpoint, tmp_path):
    whole = checkpoint.read_bytes()
    generator = np.random.default_rng(0)
    for length in generator.integers(1, len(whole), 8):
        checkpoint.write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            convert(checkpoint, tmp_path / "ours.safetensors")


def test_output_must_be_safetensors(checkpoint, tmp_path):
    with pytest.raises(ConfigError, match=r"ends in \.safetensors"):
        convert(checkpoint, tmp_path / "ours.pth")


def test_command_prints_a_report_or_json(checkpoint, tmp_path):
    output = tmp_path / "new" / "ours.safetensors"
    arguments = ["convert", str(checkpoint), str(output)]
    told = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert told.exit_code == 0
    assert "dropped: language_model 2: the LLM takes" in told.stdout
    printed = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert printed["config"]["encoder_layers"] == 2
    assert {one["group"] for one in printed["dropped"]} >= {"language_model", "text_feat_map"}
    broken = CliRunner().invoke(app, ["convert", "nowhere.pth", str(output)])
    assert broken.exit_code == 2
    assert "CheckpointError" in broken.stderr
