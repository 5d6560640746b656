"""`superlink doctor` says what works, what to install, and what a recipe will take."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from contextlib import ExitStack, contextmanager
from importlib.machinery import EXTENSION_SUFFIXES
from types import SimpleNamespace

import pytest
import torch
import yaml
from typer.testing import CliRunner

from superlink import build_model
from superlink.cli.main import app
from superlink.diagnosis import find_devices, find_packages, folders
from superlink.diagnosis.memory import recipe_memory
from superlink.link import RegionConfig
from superlink.registry import default_registry
from superlink.testing import installed_plugin
from superlink.testing.backbones import tiny_backbone
from superlink.training import load_recipe
from superlink.training.parameters import freeze, parameter_groups

HEADER = """
print("a greeting that belongs on no one's stdout")
from superlink.interfaces import *
from superlink.registry import hookimpl

path = "superlink.testing:ToyBoxDecoder"
config = "superlink.testing:ToyBoxConfig"
"""
TOYS = HEADER + "from superlink.testing.models import superlink_decoders"
NEEDY = (
    HEADER
    + """
both = Requirement("no-such-mmengine", "pip install no-such-mmengine==1")
two_lines = "pip install no-such-addict\\npip install --no-deps no-such-mmpose==1.3.2"
only_there = Requirement("no-such; sys_platform == 'nowhere'", "pip install no-such")

@hookimpl
def superlink_decoders():
    needs = (Requirement("no-such-mmcv>=2 or packaging>=20", "pip install mmcv-lite"), both)
    yield DecoderSpec("acme.boxes", ("[DET]",), 4, path, config, requires=needs)
    more = (both, Requirement("no-such-mmpose>=1.3", two_lines), only_there)
    yield DecoderSpec("acme.pose", ("[POSE]",), 2, path, config, requires=more)
"""
)
COMPILED = (
    HEADER
    + """
@hookimpl
def superlink_decoders():
    needs = (Requirement("packaging or fake-compiled", "pip install packaging"),)
    yield DecoderSpec("acme.boxes", ("[DET]",), 4, path, config, requires=needs)
"""
)
COUNTING = """
from superlink.backbones.tiny_llava import TinyLlavaConfig, build_tiny_llava

def build(config):
    backbone = build_tiny_llava(config)
    float(next(backbone.parameters()).sum().item())  # fails where there are no weights
    return backbone
"""
RECIPE = {
    "name": "tiny",
    "model": {
        "backbone": {
            "name": "tiny_llava",
            "config": {"encoder": "conv", "hidden_size": 32, "num_layers": 1, "num_heads": 2},
        },
        "decoders": [{"name": "toy.box"}],
    },
    "data": {"none": {"task": "class_list", "format": "names"}},
    "stages": [
        {"name": "links", "data": "none", "steps": 1, "learning_rates": {"backbone": 0}},
        {"name": "all", "data": "none", "steps": 1, "ema": 0.9, "save_steps": 1},
        {"name": "words", "data": "none", "steps": 1, "link_loss": 1.0}
        | {"learning_rates": {"backbone": 0, "decoders": 0}},
    ],
}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    default_registry.cache_clear()
    yield
    default_registry.cache_clear()  # a test may have switched plugins off


@pytest.fixture
def install(monkeypatch):
    """`with install(name=source, ...)` leaves only these plugins."""

    @contextmanager
    def _install(**sources):
        names = {module: module.replace("_", "-") for module in sources}
        monkeypatch.setenv("SUPERLINK_PLUGINS", ",".join(names.values()))
        with ExitStack() as stack:
            yield [
                stack.enter_context(installed_plugin(names[module], {module: source}))
                for module, source in sources.items()
            ]

    return _install


@pytest.fixture
def toys(install):
    with install(fake_toy=TOYS):
        yield


def write_recipe(tmp_path, **model):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE | {"model": RECIPE["model"] | model}))
    return path


def run(*arguments, status=0):
    result = CliRunner().invoke(app, ["doctor", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result.stdout


def findings(*arguments, status=0):
    return json.loads(run(*arguments, "--json", status=status))


def test_text_shows_what_works(toys):
    rows = [line.split() for line in run().splitlines()]
    assert ["torch", torch.__version__, ">=2.6", "superlink"] in rows
    assert ["decoder", "toy.box", "fake-toy", "1.0", "ok"] in rows
    assert any(row[:1] == ["cpu"] for row in rows)
    assert rows[-1] == ["No", "problems"]


def test_json_is_all_of_stdout(toys):
    found = findings()
    assert set(found) == (
        {"versions", "packages", "devices", "plugins", "libraries", "folders", "recipe"}
        | {"problems"}
    )
    assert set(found["versions"]) >= {"python", "superlink", "fake-toy"}
    packages = {package["name"]: package for package in found["packages"]}
    assert packages["torch"]["installed"] == torch.__version__
    assert packages["accelerate"]["needed_by"] == "superlink[train]"
    assert found["problems"] == [] and found["recipe"] is None


def test_missing_requirement_shows_its_lines_and_is_no_problem(install):
    with install(fake_needy=NEEDY):
        output, found = run(), findings()
    assert "\n    pip install no-such-mmengine==1\n" in output
    assert "No problems" in output
    states = {library["wanted"]: library for library in found["libraries"]}
    mmcv = "no-such-mmcv>=2 or packaging>=20"
    assert list(states) == [mmcv, "no-such-mmengine", "no-such-mmpose>=1.3"]
    assert states["no-such-mmengine"]["needed_by"] == ["acme.boxes", "acme.pose"]
    assert states["no-such-mmengine"]["installed"] == ""
    assert states[mmcv]["installed"].startswith("packaging ")


def test_print_install_gives_each_line_once_and_nothing_else(install):
    lines = [
        "pip install mmcv-lite",
        "pip install no-such-mmengine==1",
        "pip install no-such-addict",
        "pip install --no-deps no-such-mmpose==1.3.2",
    ]
    with install(fake_needy=NEEDY):
        assert run("--print-install").splitlines() == lines
        assert findings("--print-install") == lines


def test_print_install_of_our_plugins_is_what_they_require(monkeypatch):
    monkeypatch.setenv("SUPERLINK_PLUGINS", "mmdet")
    requires = default_registry().decoder("mmdet.grounding_dino").requires
    lines = (line for requirement in requires for line in requirement.install.splitlines())
    assert run("--print-install").splitlines() == list(dict.fromkeys(lines))


def test_without_plugins_there_is_nothing_to_install(monkeypatch):
    monkeypatch.setenv("SUPERLINK_PLUGINS", "")
    assert run("--print-install").strip() == ""
    assert findings()["libraries"] == []


def test_compiled_library_is_told_from_a_pure_one(install):
    with install(fake_plugin=COMPILED):
        (library,) = findings()["libraries"]
    assert (library["installed"].split()[0], library["compiled"]) == ("packaging", False)
    with install(fake_plugin=COMPILED, fake_compiled="") as (_, folder):
        record = next(folder.glob("*.dist-info")) / "RECORD"
        record.write_text(f"{record.read_text()}fake/_ext{EXTENSION_SUFFIXES[0]},,\n")
        (library,) = findings(status=1)["libraries"]  # it is no plugin
        assert (library["installed"], library["compiled"]) == ("fake-compiled 1.0", True)
        record.unlink()
        (library,) = findings(status=1)["libraries"]
        assert library["compiled"] is False  # packaging again: of the other nothing is known


def test_broken_plugin_is_a_problem_and_hides_no_other(install):
    with install(fake_broken="import no_such_module", fake_toy=TOYS):
        output, found = run(status=1), findings(status=1)
    (problem,) = found["problems"]
    assert problem.startswith("plugin fake-broken: ModuleNotFoundError")
    assert problem.endswith("pip install --upgrade fake-broken")
    assert problem in output
    assert {e["name"]: e["status"] for e in found["plugins"]}["toy.box"] == "ok"


def test_name_claimed_twice_is_a_problem(install):
    with install(fake_one=TOYS, fake_two=TOYS):
        problems = findings(status=1)["problems"]
    assert all("pip uninstall fake-one or pip uninstall fake-two" in text for text in problems)


def test_output_below_a_file_is_a_problem(toys, tmp_path):
    (tmp_path / "file").touch()
    (problem,) = findings("--output", "file/run", status=1)["problems"]
    assert f"{tmp_path / 'file'} cannot be written to" in problem


def test_folder_without_permission_is_a_problem_where_a_run_needs_it(toys, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    cache.mkdir()
    monkeypatch.setattr(folders, "HF_HUB_CACHE", str(cache))
    real = folders.tempfile.TemporaryFile

    def refuse(where):
        def temporary_file(*, dir):
            if dir == where:
                raise PermissionError(13, "Permission denied")
            return real(dir=dir)

        monkeypatch.setattr(folders.tempfile, "TemporaryFile", temporary_file)

    refuse(cache)
    assert "cache cannot be written to: Permission denied" in findings()["folders"][2]["problem"]
    refuse(tmp_path)
    assert len(findings(status=1)["problems"]) == 2  # the working folder, and that of the run


def test_packages_tell_extras_and_what_does_not_fit(tmp_path):
    metadata = """
Provides-Extra: everything
Provides-Extra: small
Requires-Dist: packaging>=20
Requires-Dist: torch<1
Requires-Dist: what is this (>>1)
Requires-Dist: no-such-thing>=2; extra == "everything"
Requires-Dist: no-such-other; extra == "everything"
Requires-Dist: no-such-thing>=2; extra == "small"
Requires-Dist: no-such-windows; sys_platform == "nowhere"
"""
    with installed_plugin("fake-acme", {"fake_acme": ""}) as folder:
        path = next(folder.glob("*.dist-info")) / "METADATA"
        path.write_text(path.read_text().rstrip() + metadata)
        states = {state.name: state for state in find_packages(["fake-acme", "no-such-plugin"])}
    assert list(states) == ["packaging", "torch", "no-such-thing", "no-such-other"]
    assert states["packaging"].install == ""
    assert states["torch"].installed and states["torch"].install == "pip install 'torch<1'"
    assert states["no-such-thing"].install == "pip install 'fake-acme[small]'"
    assert states["no-such-other"].install == "pip install 'fake-acme[everything]'"


def test_devices_have_their_memory(monkeypatch):
    assert find_devices()[0].memory_bytes > 2**20
    properties = SimpleNamespace(name="GPU X", total_memory=80 * 2**30)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)
    assert find_devices()[1].name == "cuda:0"
    assert find_devices()[1].memory_bytes == 80 * 2**30


def test_recipe_tells_each_part_of_each_stage(toys, tmp_path):
    found = findings("--recipe", write_recipe(tmp_path))["recipe"]
    assert not found["weights_loaded"]
    links, whole, words = (
        {part["name"]: part for part in stage["parts"]} for stage in found["stages"]
    )
    assert list(links) == ["backbone", "queries", "connectors", "decoder toy.box"]
    assert links["backbone"]["trained"] == links["backbone"]["gradient_bytes"] == 0
    assert whole["backbone"]["trained"] > 0.9 * whole["backbone"]["parameters"]
    assert whole["backbone"]["average_bytes"] == 4 * whole["backbone"]["trained"]
    assert words["link loss head"]["trained"] > 0
    assert words["decoder toy.box"]["trained"] == 0
    assert found["memory_bytes"] == max(stage["total_bytes"] for stage in found["stages"])
    assert any("Activations" in line for line in found["assumptions"])


@pytest.mark.parametrize("index", [0, 1])
def test_estimate_is_what_training_holds(toys, tmp_path, index):
    recipe = load_recipe(write_recipe(tmp_path))
    told = recipe_memory(recipe, default_registry()).stages[index]
    model = build_model(recipe.model)
    fixed = frozenset(name for name, p in model.named_parameters() if not p.requires_grad)
    freeze(model, recipe.stages[index], fixed)
    optimizer = torch.optim.AdamW(parameter_groups(model, recipe.stages[index]))
    trained = [p for p in model.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    state = [t for values in optimizer.state.values() for k, t in values.items() if k != "step"]
    weights = [*model.parameters(), *(model.backbone.buffers())]
    expected = {
        "weight_bytes": weights,
        "gradient_bytes": [p.grad for p in trained],
        "optimizer_bytes": state,
    }
    for name, tensors in expected.items():
        held = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        assert sum(getattr(part, name) for part in told.parts) == held, name


@pytest.mark.parametrize("regions", [None, {}])
def test_no_weights_are_read_for_an_estimate(toys, tmp_path, regions):
    recipe = load_recipe(write_recipe(tmp_path))
    model = recipe.model.model_copy(update={"regions": regions and RegionConfig()})
    recipe = recipe.model_copy(update={"model": model})
    assert not recipe_memory(recipe, default_registry()).weights_loaded


def test_recipe_as_text_says_what_is_not_estimated(toys, tmp_path):
    output = run("--recipe", write_recipe(tmp_path), "--set", "stages.0.ema=0.5")
    assert "Memory of stage links: " in output
    assert "Activations, " in output and "are not estimated" in output
    assert "The backbone was built without its weights. A run of tiny writes up to " in output
    assert f"{tmp_path / 'runs' / 'tiny'}" in output


def test_frozen_backbone_of_a_known_source_is_not_written(toys, tmp_path):
    tiny_backbone("llava").save(tmp_path / "backbone")
    backbone = {"name": "transformers", "config": {"source": str(tmp_path / "backbone")}}
    backbone["lora"] = {"rank": 4, "targets": ["q_proj"]}
    found = findings("--recipe", write_recipe(tmp_path, backbone=backbone))["recipe"]
    (parts, *_), names = [stage["parts"] for stage in found["stages"]], ["backbone", "adapter"]
    assert [part["name"] for part in parts][:2] == names
    assert parts[0]["trained"] == 0 < parts[0]["weight_bytes"]
    assert found["stages"][0]["checkpoint_bytes"] < parts[0]["weight_bytes"]


def test_backbone_that_was_trained_is_written_by_later_stages(toys, tmp_path):
    tiny_backbone("llava").save(tmp_path / "backbone")
    backbone = {"name": "transformers", "config": {"source": str(tmp_path / "backbone")}}
    first, second, third = findings("--recipe", write_recipe(tmp_path, backbone=backbone))[
        "recipe"
    ]["stages"]
    assert third["checkpoint_bytes"] == second["checkpoint_bytes"] > 2 * first["checkpoint_bytes"]


def test_backbone_that_needs_its_weights_is_loaded(toys, tmp_path, monkeypatch):
    hook = """
@hookimpl
def superlink_backbones():
    settings = "superlink.backbones.tiny_llava:TinyLlavaConfig"
    yield BackboneSpec("acme.vlm", "fake_vlm_parts:build", settings)
"""
    monkeypatch.setenv("SUPERLINK_PLUGINS", "fake-toy,fake-vlm")
    recipe = write_recipe(tmp_path, backbone={**RECIPE["model"]["backbone"], "name": "acme.vlm"})
    with installed_plugin("fake-vlm", {"fake_vlm": HEADER + hook, "fake_vlm_parts": COUNTING}):
        found = findings("--recipe", recipe)
    assert found["recipe"]["weights_loaded"]


def test_recipe_whose_decoder_is_not_there_is_a_problem(toys, tmp_path):
    recipe = write_recipe(tmp_path, decoders=[{"name": "toy.bax"}])
    (problem,) = findings("--recipe", recipe, status=1)["problems"]
    assert "'toy.bax'" in problem and "Did you mean 'toy.box'?" in problem


def test_run_that_does_not_fit_on_the_disk_is_a_problem(toys, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(2**20, 2**20, 1024))
    (problem,) = findings("--recipe", write_recipe(tmp_path), status=1)["problems"]
    assert "room for 1.0 KiB" in problem


def test_recipe_that_cannot_be_read_ends_the_command(toys, tmp_path):
    result = CliRunner().invoke(app, ["doctor", "--recipe", str(tmp_path / "none.yaml")])
    assert result.exit_code == 2
    assert "Expected a recipe file" in result.stderr
