"""Runs of recipes: what they learn, log and leave behind, and how they go on after a kill."""

from __future__ import annotations

import json
import logging
import shutil
from datetime import date

import pytest
import torch
from safetensors.torch import load_file

import superlink
from superlink.build import build_model
from superlink.errors import (
    CheckpointError,
    ConfigError,
    InputError,
    MissingDependencyError,
    TrainingError,
)
from superlink.link import RegionConfig
from superlink.training import Recipe, saving, stages, train
from superlink.training.arguments import forward_size
from superlink.training.lock import RunLock

TEXT = {"data": "lists", "run_decoders": False, "link_loss": 0.5}


class Killed(BaseException):
    """Ends a run as a signal would: nothing in the library handles it."""


@pytest.fixture
def run(registry, tmp_path):
    """Train a recipe in a folder below the test's: `run(recipe, "name")`."""

    def run(recipe, name="run"):
        return train(recipe, tmp_path / name, registry=registry, progress=False)

    return run


@pytest.fixture
def kill(monkeypatch):
    """Make runs end in the step `at` of their stage, with `kill(at)`; `kill(None)` lets them be."""
    original = stages.SuperLinkTrainer

    def kill(at, stage="joint"):
        class Mortal(original):
            def training_step(self, *args, **kwargs):
                if self.stage.name == stage and self.state.global_step + 1 == at:
                    raise Killed
                return super().training_step(*args, **kwargs)

        monkeypatch.setattr(stages, "SuperLinkTrainer", Mortal)

    return kill


def weights(folder):
    """Every tensor below a folder, by file and name; the time that it took left out."""
    return {
        (str(path.relative_to(folder)), name): tensor
        for path in sorted(folder.rglob("*.safetensors"))
        for name, tensor in load_file(path).items()
        if name != "cpu_seconds"
    }


def assert_same_weights(first, second):
    one, two = weights(first), weights(second)
    assert one.keys() == two.keys()
    assert [key for key in one if not one[key].equal(two[key])] == []


def difference(first, second):
    """How far the weights of two folders are apart, against their size."""
    one, two = weights(first), weights(second)
    assert one.keys() == two.keys()
    apart = sum((one[key] - two[key]).double().square().sum() for key in one)
    return float((apart / sum(value.double().square().sum() for value in one.values())).sqrt())


def means(history, key):
    values = [entry[key] for entry in history if key in entry]
    return sum(values[:5]) / 5, sum(values[-5:]) / 5


def test_training_on_scenes_learns(run, recipe):
    result = run(recipe())
    assert [entry["step"] for entry in result.history if "loss" in entry] == list(range(1, 21))
    for key in ("loss", "loss/lm", "loss/toy.detection/l1"):
        first, last = means(result.history, key)
        assert last < 0.8 * first, key
    assert result.cpu_minutes > 0


def test_run_leaves_a_model_that_loads(run, recipe, registry):
    result = run(recipe(steps=2))
    loaded = superlink.load(result.folder, registry).state_dict()
    trained = result.model.state_dict()
    assert trained.keys() == loaded.keys()
    assert [name for name in trained if not trained[name].equal(loaded[name])] == []


def test_checkpoints_are_whole_models(run, recipe, registry):
    result = run(recipe(steps=6, save_steps=2, ema=0.9))
    stage = result.folder.parent / "stages" / "0-joint"
    assert sorted(p.name for p in stage.glob("checkpoint-*")) == ["checkpoint-4", "checkpoint-6"]
    superlink.load(stage / "checkpoint-4", registry)
    assert not list(stage.rglob("*.bin"))
    # The stage hands on its average, not its last weights.
    last = load_file(stage / "checkpoint-6" / "links.safetensors")
    handed_on = load_file(stage / "model" / "links.safetensors")
    average = load_file(stage / "checkpoint-6" / "stage.safetensors")
    name = "queries.banks.toy-detection"
    assert not handed_on[name].equal(last[name])
    assert handed_on[name].equal(average[f"average.{name}"])


def test_run_starts_from_the_weights_of_a_checkpoint(run, recipe):
    first = run(recipe(steps=2), "first")
    more = recipe(steps=1)
    barely = more.stages[0].model_copy(update={"learning_rate": 1e-12, "weight_decay": 0.0})
    model = more.model.model_copy(update={"regions": RegionConfig(image_size=32, dims=16)})
    update = {"start": first.folder, "model": model, "stages": (barely,)}
    second = run(more.model_copy(update=update), "second")
    trained, fresh = second.model.state_dict(), first.model.state_dict()
    assert {name for name in trained if name not in fresh} == {
        name for name in trained if name.startswith("regions.")
    }
    for name, weight in fresh.items():
        torch.testing.assert_close(trained[name], weight)


def test_parts_of_a_model_of_another_size_may_start_from_a_checkpoint(run, recipe):
    first = run(recipe(steps=1), "first")
    other = recipe(steps=1).model_dump(mode="json") | {"start": str(first.folder)}
    other["model"]["backbone"]["config"]["hidden_size"] = 32
    other["stages"][0] |= {"learning_rate": 1e-12, "weight_decay": 0.0}
    with pytest.raises(CheckpointError, match="built otherwise"):
        run(Recipe(**other), "second")
    with pytest.raises(ConfigError, match="'decoder', and no weight"):
        run(Recipe(**other | {"start_parts": ["decoder"]}), "third")
    parts = ["decoders", "backbone.model.model.vision_tower"]
    model = run(Recipe(**other | {"start_parts": parts}), "fourth").model
    theirs = first.model.state_dict()
    same = [name for name in theirs if name.startswith(tuple(f"{part}." for part in parts))]
    assert len(same) > 10
    for name in same:
        torch.testing.assert_close(model.state_dict()[name], theirs[name])


def test_a_start_that_is_no_checkpoint_leaves_no_run_behind(run, recipe, tmp_path):
    raw = recipe(steps=1).model_dump(mode="json") | {"start": str(tmp_path)}
    with pytest.raises(CheckpointError, match="Expected a checkpoint"):
        run(Recipe(**raw))
    assert not (tmp_path / "run").exists()


def test_parts_without_a_checkpoint_to_take_them_from_say_so(recipe):
    raw = recipe(steps=1).model_dump(mode="json") | {"start_parts": ["decoders"]}
    with pytest.raises(ValueError, match="give start as well"):
        Recipe(**raw)


def test_run_killed_again_and_again_goes_on_bit_for_bit(run, recipe, kill, tmp_path):
    settings = {"steps": 12, "save_steps": 4, "ema": 0.9, "link_loss": 0.5, "batch_size": 2}
    straight = run(recipe(**settings), "straight")
    for at in (6, 9, 12):
        kill(at)
        with pytest.raises(Killed):
            run(recipe(**settings), "killed")
    kill(None)
    resumed = run(recipe(**settings), "killed")
    assert_same_weights(tmp_path / "straight", tmp_path / "killed")
    losses = [[e["loss"] for e in r.history if "loss" in e] for r in (straight, resumed)]
    assert losses[0] == losses[1]


def test_accumulating_run_that_was_killed_goes_on_bit_for_bit(run, recipe, kill, tmp_path, sharing):
    settings = {"steps": 3, "save_steps": 1, "batch_size": 2, "micro_batch_size": 1}
    run(recipe(**settings, model=sharing), "straight")
    kill(3)
    with pytest.raises(Killed):
        run(recipe(**settings, model=sharing), "killed")
    kill(None)
    run(recipe(**settings, model=sharing), "killed")
    assert_same_weights(tmp_path / "straight", tmp_path / "killed")


def test_stage_killed_before_its_first_checkpoint_begins_again(run, recipe, kill, tmp_path):
    two = recipe(
        {"name": "warm_up", "steps": 2, **TEXT}, {"name": "joint", "steps": 3, "link_loss": 0.1}
    )
    run(two, "straight")
    kill(2)
    with pytest.raises(Killed):
        run(two, "killed")
    kill(None)
    run(two, "killed")
    assert_same_weights(tmp_path / "straight", tmp_path / "killed")


def test_half_written_checkpoint_is_skipped(run, recipe, kill, tmp_path):
    settings = {"steps": 6, "save_steps": 2, "batch_size": 2}
    run(recipe(**settings), "straight")
    state = tmp_path / "killed" / "stages" / "0-joint" / "checkpoint-4" / "trainer_state.json"
    for spoil in (lambda: state.write_text(state.read_text()[:99]), state.unlink):
        kill(5)
        with pytest.raises(Killed):
            run(recipe(**settings), "killed")
        spoil()
    kill(None)
    run(recipe(**settings), "killed")
    assert_same_weights(tmp_path / "straight" / "model", tmp_path / "killed" / "model")


def test_finished_stage_is_not_run_again(run, recipe, kill, tmp_path):
    first = run(recipe(steps=2))
    kill(1)
    second = run(recipe(steps=2))
    assert first.history == second.history
    assert first.cpu_minutes == second.cpu_minutes
    assert_same_weights(first.folder, tmp_path / "run" / "stages" / "0-joint" / "model")


def test_interrupted_run_counts_the_time_before(run, recipe, kill, tmp_path):
    kill(5)
    with pytest.raises(Killed):
        run(recipe(steps=6, save_steps=4, batch_size=2))
    saved = tmp_path / "run" / "stages" / "0-joint" / "checkpoint-4" / "stage.safetensors"
    before = float(load_file(saved)["cpu_seconds"])
    kill(None)
    assert run(recipe(steps=6, save_steps=4, batch_size=2)).cpu_minutes * 60 > before > 0


def test_other_recipe_in_the_same_folder_is_refused(run, recipe):
    run(recipe(steps=1))
    with pytest.raises(InputError, match=r"stages\.0\.steps was 1 and is 2.*--set start=\S*model$"):
        run(recipe(steps=2))


def test_run_that_another_process_trains_is_refused(run, recipe, tmp_path, monkeypatch):
    """Also where the other one was first while this one read its data."""
    other = RunLock(tmp_path / "run")

    def slow(*arguments):
        (tmp_path / "run").mkdir()
        assert other.take()
        return build_model(*arguments)

    monkeypatch.setattr(stages, "build_model", slow)
    with pytest.raises(TrainingError, match=r"Another process trains in .*run\. Wait for it"):
        run(recipe(steps=1))
    monkeypatch.setattr(stages, "build_model", pytest.fail)
    with pytest.raises(TrainingError, match="Another process trains"):
        run(recipe(steps=1))
    other.free()
    monkeypatch.setattr(stages, "build_model", build_model)
    run(recipe(steps=1))
    assert not other.is_taken()


def test_wrong_option_of_a_later_stage_leaves_the_folder_to_the_corrected_recipe(
    run, recipe, tmp_path, monkeypatch
):
    wrong = {"task": "detection", "format": "scenes", "options": {"num_scene": 4}}
    monkeypatch.setattr(stages, "build_model", pytest.fail)
    with pytest.raises(ConfigError, match="Did you mean 'num_scenes'"):
        run(recipe({"name": "a"}, {"name": "b", "data": "more"}, datasets={"more": wrong}))
    assert not (tmp_path / "run").exists()


def test_output_that_is_a_file_is_refused(run, recipe, tmp_path):
    (tmp_path / "run").write_text("not a folder")
    with pytest.raises(InputError, match="Expected a folder that can be written to"):
        run(recipe(steps=1))


def test_training_without_accelerate_names_the_cure(run, recipe, monkeypatch):
    monkeypatch.setattr(stages, "is_accelerate_available", lambda: False)
    with pytest.raises(MissingDependencyError, match=r"pip install 'superlink\[train\]'"):
        run(recipe(steps=1))


def test_stage_of_several_data_sets_mixes_them_in_a_batch(run, recipe, monkeypatch):
    options = {"num_scenes": 4, "size": 64, "seed": 7}
    more = {"task": "detection", "format": "scenes", "options": options}
    mixed = recipe(steps=3, datasets={"more": more}, data={"scenes": 1, "more": 2})
    seen = []
    monkeypatch.setattr(
        stages.SuperLinkTrainer,
        "_collate",
        lambda self, samples: seen.extend(samples) or {**self.collator(samples)},
    )
    run(mixed)
    # The seed of a data set of scenes is the high part of the number in its keys.
    numbers = [int(sample.key.split("#")[0].rsplit("/", 1)[1]) for sample in seen]
    assert {number >> 32 for number in numbers} == {0, 7}
    with pytest.raises(ConfigError, match="positive weight"):
        recipe(data={"scenes": 0})
    with pytest.raises(ConfigError, match="wants the data 'scene'"):
        recipe(data={"scene": 1})


def test_workers_that_read_ahead_change_nothing(run, recipe, tmp_path):
    run(recipe(steps=6), "alone")
    run(recipe(steps=6, num_workers=2), "ahead")
    assert_same_weights(tmp_path / "alone" / "model", tmp_path / "ahead" / "model")


def test_same_seed_gives_the_same_weights_and_another_seed_others(run, recipe, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(recipe(steps=2, seed=seed), name)
    assert_same_weights(tmp_path / "a" / "model", tmp_path / "b" / "model")
    with pytest.raises(AssertionError):
        assert_same_weights(tmp_path / "a" / "model", tmp_path / "c" / "model")


def moved(run, recipe, registry):
    """The parameters that a run of one stage changes."""
    torch.manual_seed(recipe.seed)
    start = dict(build_model(recipe.model, registry).named_parameters())
    end = run(recipe).model.named_parameters()
    return {name for name, parameter in end if not parameter.equal(start[name])}


def test_stage_without_decoders_trains_llm_and_links_alone(run, recipe, registry):
    text = recipe(steps=2, learning_rates={"decoders": 1e-3}, **TEXT)
    parts = {name.split(".")[0] for name in moved(run, text, registry)}
    assert parts == {"backbone", "queries", "connectors"}


def test_stage_without_decoders_logs_no_decoder_loss(run, recipe):
    history = run(recipe(steps=2, **TEXT)).history
    parts = {key for entry in history for key in entry if key.startswith("loss/")}
    assert parts == {"loss/lm", "loss/link"}


@pytest.mark.parametrize("stop", [True, False])
def test_stopped_gradient_keeps_decoders_from_queries_and_llm(run, recipe, registry, stop):
    settings = {"lm_weight": 0.0, "weight_decay": 0, "learning_rate": 1e-2, "steps": 2}
    parts = {
        name.split(".")[0] for name in moved(run, recipe(stop_gradient=stop, **settings), registry)
    }
    linked = {"connectors", "decoders"}
    assert parts == (linked if stop else linked | {"queries", "backbone"})


def test_rates_of_a_stage_say_what_moves(run, recipe, registry):
    rates = {"backbone": 0, "backbone.model.model.language_model.layers.1": 1e-3}
    changed = moved(run, recipe(steps=2, learning_rate=0, learning_rates=rates), registry)
    assert changed
    assert all(name.startswith("backbone.model.model.language_model.layers.1.") for name in changed)


def test_stage_hands_on_a_model_without_its_switches(run, recipe):
    model = run(recipe(steps=1, stop_gradient=True, lm_weight=0.5)).model
    assert (model.stop_gradient, model.lm_weight, model.training) == (False, 1.0, False)


def test_accumulated_step_is_one_large_step(run, recipe):
    """Scenes hold different numbers of words and targets; every loss divides by those of all."""
    settings = {"steps": 3, "batch_size": 8, "link_loss": 0.5, "warmup_steps": 0}
    large = run(recipe(**settings), "large")
    small = run(recipe(**settings, micro_batch_size=1), "small")
    logs = [[e for e in r.history if "loss" in e] for r in (large, small)]
    assert len(logs[0]) == 3
    for one, other in zip(*logs, strict=True):
        names = [name for name in one if name.startswith(("loss", "grad_norm"))]
        assert {n: one[n] for n in names} == pytest.approx({n: other[n] for n in names}, rel=1e-4)
    assert difference(large.folder, small.folder) < 1e-5


def test_forwards_of_a_step_are_dealt_evenly(recipe):
    stage = recipe(batch_size=24, micro_batch_size=5).stages[0]
    assert [forward_size(stage, n) for n in (1, 2, 4, 8)] == [4, 4, 3, 3]
    with pytest.raises(ConfigError, match="Set it to 20 or 25"):
        forward_size(stage, 5)
    blocks = recipe(batch_size=24, block_size=4).stages[0]
    with pytest.raises(ConfigError, match="some would mix"):
        forward_size(blocks, 4)
    assert forward_size(blocks, 6) == 4


def test_samples_that_are_too_long_are_counted(run, recipe):
    scenes = {"options": {"num_scenes": 8, "size": 64, "max_objects": 3}}
    data = {"scenes": {"task": "detection", "format": "scenes", **scenes}}
    result = run(recipe(steps=4, batch_size=8, model={"max_length": 50}, datasets=data))
    log = json.loads((result.folder.parent / "stages" / "0-joint" / "log.json").read_text())
    assert 0 < log["dropped"] < 32
    counted = [entry["dropped_samples"] for entry in log["history"] if "dropped_samples" in entry]
    assert counted[-1] == log["dropped"]
    assert counted == sorted(counted)


def test_unknown_learning_rate_path_ends_the_run_with_a_hint(run, recipe):
    with pytest.raises(ConfigError, match=r"names 'decoder'.*decoders.toy-detection"):
        run(recipe(learning_rates={"decoder": 0}))


def test_run_folder_can_be_moved(run, recipe, tmp_path, registry):
    run(recipe(steps=1))
    shutil.move(tmp_path / "run", tmp_path / "moved")
    superlink.load(tmp_path / "moved" / "model", registry)


def test_full_disk_costs_a_checkpoint_and_not_the_run(run, recipe, monkeypatch, caplog, tmp_path):
    settings = {"steps": 6, "save_steps": 2, "batch_size": 2}
    straight = run(recipe(**settings), "straight")
    written = saving.write_tensors

    def full(tensors, path):
        if "checkpoint-4" in str(path):
            raise OSError(28, "No space left on device")
        written(tensors, path)

    monkeypatch.setattr(saving, "write_tensors", full)
    with caplog.at_level(logging.WARNING):
        result = run(recipe(**settings), "full")
    assert "The checkpoint of step 4 could not be written" in caplog.text
    assert "No space left on device" in caplog.text
    found = (tmp_path / "full" / "stages" / "0-joint").glob("*checkpoint-*")
    assert sorted(path.name for path in found) == ["checkpoint-2", "checkpoint-6"]
    assert_same_weights(straight.folder, result.folder)


def test_full_disk_at_the_end_of_a_stage_is_a_typed_error(run, recipe, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stages.RunFolder, "write_log", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        run(recipe(steps=1))


@pytest.mark.parametrize(
    "options", [{"names": ["a"], "day": date(2024, 5, 1)}, {1: "x"}, {"some": {"a", "b"}}]
)
def test_recipe_that_json_writes_otherwise_is_the_same_recipe(recipe, tmp_path, options):
    data = {"task": "class_list", "format": "names", "options": {"more": options}}
    made = recipe(datasets={"lists": data})
    stages.RunFolder(tmp_path, made).claim()
    stages.RunFolder(tmp_path, made)
    with pytest.raises(InputError, match="another recipe"):
        stages.RunFolder(tmp_path, recipe(datasets={"lists": data}, seed=1))


def test_order_of_data_sets_is_part_of_a_recipe(recipe, tmp_path):
    stages.RunFolder(tmp_path, recipe(data={"scenes": 1, "lists": 2})).claim()
    with pytest.raises(InputError, match="its data sets were in another order"):
        stages.RunFolder(tmp_path, recipe(data={"lists": 2, "scenes": 1}))


def test_damaged_log_of_a_finished_stage_says_what_to_do(run, recipe, tmp_path):
    run(recipe(steps=1))
    (tmp_path / "run" / "stages" / "0-joint" / "log.json").write_text("{")
    with pytest.raises(CheckpointError, match="and run again"):
        run(recipe(steps=1))
