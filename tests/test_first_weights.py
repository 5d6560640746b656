"""A decoder that starts from a file of weights: what fits is taken, all else is told."""

from __future__ import annotations

import json
import logging
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from superlink import attach, load, save
from superlink.checkpoint import load_first_weights
from superlink.errors import CheckpointError
from superlink.testing import ToyBoxConfig, ToyBoxDecoder
from superlink.testing.backbones import tiny_backbone
from superlink.testing.models import toy_registry


@pytest.fixture(scope="module")
def registry():
    return toy_registry()


@pytest.fixture
def weights(tmp_path):
    """A file for a toy decoder: `weights(left_out="head.bias", extra=...)`."""

    def write(left_out="", **extra):
        torch.manual_seed(7)
        tensors = ToyBoxDecoder(ToyBoxConfig()).state_dict() | extra
        tensors.pop(left_out, None)
        save_file(tensors, tmp_path / "first.safetensors")
        return tmp_path / "first.safetensors"

    return write


def test_decoder_starts_from_the_file_and_the_saved_model_does_not_need_it(
    registry, weights, tmp_path, monkeypatch, caplog
):
    path = weights()
    monkeypatch.chdir(path.parent)
    choice = {"name": "toy.box", "weights": path.name}
    with caplog.at_level(logging.INFO, "superlink"):
        model = attach(tiny_backbone(), decoders=[choice], registry=registry)
    expected = load_file(path)
    state = model.bound["toy.box"].decoder.state_dict()
    assert all(torch.equal(state[name], value) for name, value in expected.items())
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "4 of 4 tensors loaded" in caplog.text
    folder = save(model, tmp_path / "model")
    path.unlink()
    assert "weights" not in json.loads((folder / "config.json").read_text())["decoders"][0]
    again = load(folder, registry).bound["toy.box"].decoder.state_dict()
    assert all(torch.equal(again[name], value) for name, value in expected.items())


def test_what_does_not_fit_is_told_and_left_as_it_was(weights, caplog):
    extra = {"head.weight": torch.ones(4, 3), "neck.conv.weight": torch.ones(2), "neck.b": 0}
    extra["neck.b"] = torch.ones(1)
    decoder = ToyBoxDecoder(ToyBoxConfig())
    before = {name: value.clone() for name, value in decoder.state_dict().items()}
    with caplog.at_level(logging.INFO, "superlink"):
        found = load_first_weights(decoder, weights("head.bias", **extra), "toy.box")
    assert found.loaded == ("image_encoder.0.bias", "image_encoder.0.weight")
    assert found.missing == ("head.bias",)
    assert found.unexpected == ("neck.b", "neck.conv.weight")
    assert str(found).splitlines() == [
        "2 of 4 tensors loaded",
        "missing: 1 (head.bias 1)",
        "unexpected: 2 (neck.b 1, neck.conv 1)",
        "another shape: head.weight: (4, 3) in the file, (4, 1024) in the model",
    ]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    for name in ("head.weight", "head.bias"):
        assert torch.equal(decoder.state_dict()[name], before[name])


def test_weights_stored_in_16_bits_become_float32(weights, tmp_path):
    path = weights()
    save_file({name: value.half() for name, value in load_file(path).items()}, path)
    decoder = ToyBoxDecoder(ToyBoxConfig())
    load_first_weights(decoder, path, "toy.box")
    assert decoder.head.weight.dtype == torch.float32


class Code:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code ran')",))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.safetensors", None, "does not exist"),
        ("x.pth", pickle.dumps(Code()), "reads no pickles"),
        ("x.safetensors", pickle.dumps(Code()), "reads no pickles"),
        ("x.safetensors", b"", "Expected safetensors"),
    ],
)
def test_file_that_is_none_is_refused(registry, tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    choice = {"name": "toy.box", "weights": tmp_path / name}
    with pytest.raises(CheckpointError, match=message):
        attach(tiny_backbone(), decoders=[choice], registry=registry)


def test_folder_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="which is a folder"):
        load_first_weights(ToyBoxDecoder(ToyBoxConfig()), tmp_path, "toy.box")


def test_truncated_file_is_refused(weights):
    path = weights()
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match="Expected safetensors"):
        load_first_weights(ToyBoxDecoder(ToyBoxConfig()), path, "toy.box")


@pytest.mark.parametrize("name", ["backbone.weight", "head.bias"])
def test_file_in_which_nothing_fits_is_refused(tmp_path, name):
    save_file({name: torch.ones(3)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=r"Nothing in .* fits the decoder 'toy.box'"):
        load_first_weights(ToyBoxDecoder(ToyBoxConfig()), tmp_path / "x.safetensors", "toy.box")
