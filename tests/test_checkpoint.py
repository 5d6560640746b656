"""Save and load: the same replies, all or nothing, and an error for whatever is no checkpoint."""

from __future__ import annotations

import json
import pickle
import shutil

import pytest
import torch
from PIL import Image

from superlink import attach, build_model, checkpoint, load, save
from superlink.backbones.transformers import TransformersBackbone
from superlink.errors import CheckpointError
from superlink.interfaces import Backbone, Region
from superlink.linked import Origin
from superlink.registry import Registry
from superlink.testing.backbones import Script, tiny_backbone
from superlink.testing.models import toy_model, toy_registry

ARCHITECTURES = ["llava", "qwen2_5_vl"]
TINY = {
    "name": "tiny_llava",
    "config": {
        "hidden_size": 64,
        "num_layers": 2,
        "num_heads": 4,
        "image_size": 64,
        "encoder": "conv",
        "words": ["zebra"],
    },
}


@pytest.fixture(scope="module")
def registry():
    return toy_registry()


@pytest.fixture(scope="module")
def saved(registry, tmp_path_factory):
    """A checkpoint that nobody changes."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    backbone = tiny_backbone("llava")
    return save(attach(backbone, decoders=["toy.box"], registry=registry), folder)


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of it to spoil."""
    return shutil.copytree(saved, tmp_path / "model")


def replies(model):
    image = Image.radial_gradient("L").convert("RGB").resize((40, 60))
    with Script(model.backbone, ["<p>dog</p>[BOX] and [SPOT]"]):
        generated = model.predict("Find: dog", image)
    with torch.no_grad():
        free = model.predict("Find: dog", image, max_new_tokens=4)
    return generated.to_json(), free.to_json()


def exactly_equal(one, other):
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def edit_config(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_built_model_predicts_the_same_after_load(registry, tmp_path):
    config = {"backbone": TINY, "decoders": [{"name": "toy.box"}, {"name": "toy.spot"}]}
    model = build_model(config, registry).eval()
    again = load(save(model, tmp_path / "model"), registry)
    assert exactly_equal(model, again)
    assert replies(model) == replies(again)
    assert again.backbone.tokenize("zebra") == model.backbone.tokenize("zebra")
    assert again.vocabulary.ids == model.vocabulary.ids


def test_region_encoder_comes_back_from_a_checkpoint(registry, tmp_path):
    config = {"backbone": TINY, "decoders": [{"name": "toy.box"}], "regions": {"dims": 16}}
    model = build_model(config, registry).eval()
    again = load(save(model, tmp_path / "model"), registry)
    assert exactly_equal(model, again)
    assert again.processor.regions == model.processor.regions
    asked = {"prompt": "what is <region>?", "image": Image.new("RGB", (48, 32), "red")}
    asked |= {"regions": [Region.box(3, 3, 20, 20)], "max_new_tokens": 4}
    assert again.predict(**asked).text == model.predict(**asked).text


def test_half_the_disk_holds_matrices_in_16_bits_and_computes_in_32(registry, tmp_path):
    model = build_model({"backbone": TINY, "decoders": [{"name": "toy.box"}]}, registry).eval()
    whole, half = (save(model, tmp_path / name, half=name == "half") for name in ("whole", "half"))
    weights = "backbone/model.safetensors"
    assert (half / weights).stat().st_size < 0.52 * (whole / weights).stat().st_size
    again = load(half, registry)
    expected = {k: v.half().float() if v.dim() > 1 else v for k, v in model.state_dict().items()}
    assert expected.keys() == again.state_dict().keys()
    for name, weight in again.state_dict().items():
        assert torch.equal(weight, expected[name])
        assert weight.dtype == expected[name].dtype
    assert exactly_equal(again, load(save(again, tmp_path / "again", half=True), registry))


def test_half_refuses_weights_that_16_bits_do_not_hold(registry, saved, tmp_path):
    model = load(saved, registry)
    with torch.no_grad():
        next(p for p in model.decoders.parameters() if p.dim() > 1)[0, 0] = 1e6
    with pytest.raises(CheckpointError, match="1e\\+06"):
        save(model, tmp_path / "model", half=True)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_attached_model_predicts_the_same_after_load(registry, tmp_path, architecture):
    bare = tiny_backbone(architecture)
    choice = {"name": "toy.spot", "tokens": ["[SPOT]"], "num_queries": 5, "loss_weight": 0.5}
    decoders = [{"name": "toy.box", "config": {"cond_size": 8}}, choice]
    model = attach(bare.model, bare.processor, decoders, registry=registry, max_length=99).eval()
    again = load(save(model, tmp_path / "model"), registry)
    assert type(again.backbone.model) is type(bare.model)
    assert exactly_equal(model, again)
    assert replies(model) == replies(again)
    assert again.processor.max_length == 99
    assert (again.bound["toy.spot"].num_queries, again.bound["toy.spot"].loss_weight) == (5, 0.5)


def test_loaded_model_saved_over_its_own_folder_still_loads(registry, folder):
    model = load(folder, registry)
    with torch.no_grad():
        model.queries.tokens.add_(1)
    save(model, folder)
    assert exactly_equal(load(folder, registry), model)


def test_loaded_model_saved_elsewhere_does_not_need_the_first_folder(registry, folder, tmp_path):
    model = load(folder, registry)
    save(model, tmp_path / "second")
    shutil.rmtree(folder)
    assert exactly_equal(load(tmp_path / "second", registry), model)


def test_backbone_with_a_source_is_written_only_when_it_was_trained(registry, tmp_path):
    tiny_backbone().save(tmp_path)
    config = {
        "backbone": {"name": "transformers", "config": {"source": str(tmp_path)}},
        "decoders": [{"name": "toy.box"}],
    }
    model = build_model(config, registry).eval()
    untrained = save(model, tmp_path / "untrained")
    assert not (untrained / "backbone").exists()
    assert exactly_equal(load(untrained, registry), model)
    with torch.no_grad():
        next(model.backbone.parameters())[0, 0] += 1e-3
    trained = save(model, tmp_path / "trained")
    again = load(trained, registry)
    assert exactly_equal(again, model)
    # the weights in the folder are not those of the source, so they must be written again
    assert (save(again, tmp_path / "again") / "backbone" / "model.safetensors").is_file()


def test_changed_source_of_the_backbone_is_refused(registry, tmp_path):
    backbone = tiny_backbone()
    backbone.save(tmp_path)
    config = {
        "backbone": {"name": "transformers", "config": {"source": str(tmp_path)}},
        "decoders": [{"name": "toy.box"}],
    }
    save(build_model(config, registry), tmp_path / "model")
    rows = backbone.model.get_input_embeddings().weight.data
    rows[[3, 4]] = rows[[4, 3]]  # the sum of the weights stays
    backbone.save(tmp_path)
    with pytest.raises(CheckpointError, match="other weights than the one that the links"):
        load(tmp_path / "model", registry)


def test_handed_in_backbone_of_another_kind_cannot_be_saved(tmp_path):
    model = toy_model()
    model.origin = None
    with pytest.raises(CheckpointError, match="names the backbone that `load` shall build"):
        save(model, tmp_path / "model")
    assert not any(tmp_path.iterdir())


def test_save_that_fails_half_way_leaves_the_old_folder_whole(registry, folder, monkeypatch):
    before, model = files(folder), load(folder, registry)

    def fail(self, target):
        (target / "half").write_text("written")
        raise OSError("disk full")

    monkeypatch.setattr(TransformersBackbone, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        save(model, folder)
    assert files(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_swap_killed_between_its_two_renames_is_repaired(registry, folder):
    before = files(folder)
    folder.rename(folder.with_name(".model.old"))
    folder.with_name(".model.new").mkdir()
    load(folder, registry)
    assert files(folder) == before
    assert not folder.with_name(".model.old").exists()


def test_swap_killed_before_the_old_folder_was_removed_is_finished(registry, folder):
    shutil.copytree(folder, folder.with_name(".model.old"))
    shutil.copytree(folder, folder.with_name(".model.new"))
    save(load(folder, registry), folder)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_folder_with_other_files_is_not_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(CheckpointError, match="holds other files"):
        save(toy_model(), tmp_path)
    assert (tmp_path / "thesis.txt").is_file()


def test_file_in_the_place_of_the_folder_is_not_replaced(tmp_path):
    (tmp_path / "model").write_text("a file")
    with pytest.raises(CheckpointError, match="Received: the file"):
        save(toy_model(), tmp_path / "model")


def test_folder_in_the_working_directory_may_be_named_by_a_dot(registry, folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert load(".", registry).vocabulary.bindings.keys() == {"[BOX]"}


@pytest.mark.parametrize("missing", ["", "nowhere"])
def test_folder_that_is_no_checkpoint_is_refused(tmp_path, missing):
    with pytest.raises(CheckpointError, match=r"Expected a checkpoint folder with config\.json"):
        load(tmp_path / missing)


def test_folder_of_pickles_is_refused(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({}))
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin\. superlink reads no pickles"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["links.safetensors", "decoders/toy.box/model.safetensors"])
def test_pickle_in_the_place_of_safetensors_is_refused(registry, folder, name):
    torch.save({}, folder / name)
    with pytest.raises(CheckpointError, match=r"Expected safetensors in .*no pickles"):
        load(folder, registry)


@pytest.mark.parametrize("name", ["links.safetensors", "decoders/toy.box/model.safetensors"])
def test_missing_weights_are_refused(registry, folder, name):
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match="It is missing: copy the whole folder"):
        load(folder, registry)


def test_backbone_as_a_pickle_is_refused(registry, folder):
    weights = folder / "backbone" / "model.safetensors"
    torch.save({}, weights.with_name("pytorch_model.bin"))
    weights.unlink()
    with pytest.raises(CheckpointError, match="backbone cannot be loaded"):
        load(folder, registry)


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_damaged_backbone_is_refused(registry, folder, damage):
    weights = folder / "backbone" / "model.safetensors"
    if damage == "missing":
        shutil.rmtree(folder / "backbone")
    else:
        weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"The backbone in .* cannot be loaded"):
        load(folder, registry)


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"format_version": 1}', "\x00\xff"])
def test_corrupt_config_is_refused(folder, text):
    (folder / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(CheckpointError, match="is not the config of a superlink checkpoint"):
        load(folder)


def test_config_with_a_damaged_entry_is_refused(folder):
    edit_config(folder, decoders=[{"name": "toy.box"}])
    with pytest.raises(CheckpointError, match=r"decoders\.0\.distribution"):
        load(folder)


def test_newer_format_is_refused(folder):
    edit_config(folder, format_version=checkpoint.FORMAT_VERSION + 1, decoders="unknown shape")
    with pytest.raises(CheckpointError, match="Upgrade superlink"):
        load(folder)


def test_decoder_that_is_not_installed_is_named_with_its_distribution(folder):
    entries = json.loads((folder / "config.json").read_text())["decoders"]
    edit_config(
        folder, decoders=[{**entries[0], "distribution": "superlink-toy", "version": "2.1"}]
    )
    with pytest.raises(CheckpointError, match=r"'toy.box'.*pip install superlink-toy==2.1"):
        load(folder, Registry.discover([]))


def test_weights_of_another_shape_are_refused(registry, folder):
    entries = json.loads((folder / "config.json").read_text())["decoders"]
    edit_config(folder, decoders=[{**entries[0], "config": {"cond_size": 8}}])
    with pytest.raises(CheckpointError, match="does not fit"):
        load(folder, registry)


def test_other_ids_of_the_control_tokens_are_refused(registry, folder):
    edit_config(folder, token_ids={"[BOX]": 3})
    with pytest.raises(CheckpointError, match="other ids to the control tokens"):
        load(folder, registry)


def test_config_names_no_import_path(saved):
    text = (saved / "config.json").read_text()
    assert "superlink.testing" not in text
    assert json.loads(text)["backbone"]["class"] == "LlavaForConditionalGeneration"
    assert "toy.box" in (saved / "README.md").read_text()


def test_fingerprint_tells_weights_apart():
    backbone: Backbone = tiny_backbone()
    first = checkpoint.fingerprint(backbone.state_dict())
    assert checkpoint.fingerprint(tiny_backbone().state_dict()) == first
    assert checkpoint.fingerprint(tiny_backbone(seed=1).state_dict()) != first
    assert checkpoint.fingerprint(backbone.bfloat16().state_dict()) != first
    assert Origin("x", {}, first).fingerprint == first
