"""What a stage does beside learning: stop in time, pass over, weigh, count, save memory."""

from __future__ import annotations

import json
import logging

import pytest
import torch
from PIL import Image

from superlink.build import build_model
from superlink.errors import InputError, TrainingError
from superlink.linked import to_device
from superlink.testing.toy_decoder import ToyBoxDecoder
from superlink.training import stages, train
from superlink.training.collation import Collator
from superlink.training.dataset import open_data
from superlink.training.losses import LossLog, summed
from superlink.training.mixture import stage_samples
from superlink.training.recipe import ChatGuard


@pytest.fixture
def run(registry, tmp_path):
    """Train a recipe in a folder below the test's: `run(recipe, "name")`."""

    def run(recipe, name="run", **options):
        return train(recipe, tmp_path / name, registry=registry, progress=False, **options)

    return run


def losses(result):
    return [entry["loss"] for entry in result.history if "loss" in entry]


def spoil(monkeypatch, change):
    """Let `change(step, losses, keys)` act on the losses of each forward of a training."""
    original, batches = stages.SuperLinkTrainer, Collator._batch

    class Spoilt(original):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            forward = self.linked.forward

            def spoilt(*args, keys=(), **batch):
                out = forward(*args, **batch)
                change(self.state.global_step, out.losses, keys)
                return out

            self.linked.forward = spoilt

    def with_keys(self, samples):
        return {**batches(self, samples), "keys": [sample.key for sample in samples]}

    monkeypatch.setattr(stages, "SuperLinkTrainer", Spoilt)
    monkeypatch.setattr(Collator, "_batch", with_keys)


def test_loss_that_is_no_number_stops_and_names_task_and_sample(run, recipe, monkeypatch, tmp_path):
    guilty = "#0-9"  # the tenth sample of the data set

    def change(step, losses, keys):
        if any(key.endswith(guilty) for key in keys):
            total, count = losses["toy.detection/l1"]
            losses["toy.detection/l1"] = total * float("nan"), count

    spoil(monkeypatch, change)
    words = rf"after step 2.*toy\.detection/l1; samples '[^' ]*{guilty}'"
    with pytest.raises(TrainingError, match=words):
        run(recipe(steps=5))
    folder = tmp_path / "run" / "stages" / "0-joint" / "stopped"
    assert json.loads((folder / "reason.json").read_text())["step"] == 2
    assert (folder / "config.json").is_file()


@pytest.mark.parametrize("forward", [4, 2])
def test_decoder_that_fails_on_what_is_no_number_ends_as_any_other_loss(
    run, recipe, monkeypatch, tmp_path, forward
):
    """Libraries raise errors of their own, as a matcher that finds no numbers."""
    loss = ToyBoxDecoder.loss

    def strict(self, links, inputs):
        terms = loss(self, links, inputs)
        if not all(value.isfinite() for value, _ in terms.values()):
            raise ValueError("matrix contains invalid numeric entries")
        return terms

    monkeypatch.setattr(ToyBoxDecoder, "loss", strict)
    diverging = {"learning_rate": 0, "learning_rates": {"decoders": 1e30}, "warmup_steps": 0}
    words = r"after step 1.*toy\.detection/output of .*; samples '"
    with pytest.raises(TrainingError, match=words):
        run(recipe(steps=3, micro_batch_size=forward, **diverging))
    assert (tmp_path / "run" / "stages" / "0-joint" / "stopped" / "config.json").is_file()


def test_defect_of_a_decoder_is_told_as_it_is(run, recipe, monkeypatch):
    def broken(self, links, inputs):
        raise ZeroDivisionError

    monkeypatch.setattr(ToyBoxDecoder, "loss", broken)
    with pytest.raises(ZeroDivisionError):
        run(recipe(steps=1))


def test_gradient_that_is_no_number_stops_and_names_the_part(run, recipe, monkeypatch):
    def change(step, losses, keys):
        if step == 1:
            losses["lm"][0].register_hook(lambda gradient: gradient * float("inf"))

    spoil(monkeypatch, change)
    with pytest.raises(TrainingError, match=r"the gradient of .*queries.* is not"):
        run(recipe(steps=3))


def broken_file(tmp_path):
    """A COCO file with three images, of which one cannot be read."""
    boxes = []
    for number in range(3):
        Image.new("RGB", (64, 64)).save(tmp_path / f"{number}.png")
        box = {"id": number, "image_id": number, "category_id": 1, "bbox": [8, 8, 30, 30]}
        boxes.append({**box, "area": 900, "iscrowd": 0})
    (tmp_path / "1.png").write_bytes(b"no picture")
    images = [{"id": n, "file_name": f"{n}.png", "width": 64, "height": 64} for n in range(3)]
    categories = [{"id": 1, "name": "apple"}]
    made = {"images": images, "annotations": boxes, "categories": categories}
    (tmp_path / "instances.json").write_text(json.dumps(made))
    options = {"annotations": str(tmp_path / "instances.json"), "images": str(tmp_path)}
    return {"scenes": {"task": "detection", "format": "coco", "options": options}}


def test_bad_samples_are_told_of_and_end_a_stage_beyond_their_ceiling(
    run, recipe, tmp_path, caplog
):
    data = broken_file(tmp_path)
    with pytest.raises(InputError, match=r"Record 1 .*1\.png"):
        run(recipe(steps=3, datasets=data), "fatal")
    with caplog.at_level(logging.WARNING):
        result = run(recipe(steps=3, batch_size=3, max_bad_samples=3, datasets=data), "some")
    assert sum("A sample is passed over" in message for message in caplog.messages) == 3
    assert [e["bad_samples"] for e in result.history if "bad_samples" in e][-1] == 3
    with pytest.raises(InputError, match=r"passes over 1 bad samples at most. Received: 2"):
        run(recipe(steps=3, batch_size=3, max_bad_samples=1, datasets=data), "many")


def guarded(recipe, **settings):
    return recipe.model_copy(update={"chat_guard": ChatGuard(data="lists", **settings)})


def test_chat_guard_tells_what_training_does_to_text(run, recipe):
    made = guarded(recipe({"name": "a", "steps": 2}, {"name": "b", "steps": 2}), samples=4)
    result = run(made)
    assert [*result.chat_losses] == ["before", "a", "b"]
    assert all(value > 0 for value in result.chat_losses.values())
    assert len({*result.chat_losses.values()}) == 3
    assert run(made).chat_losses == result.chat_losses  # of a run that is finished


def test_text_that_is_forgotten_is_a_warning(run, recipe, caplog):
    made = guarded(recipe(steps=6, lm_weight=0.0, learning_rate=0.5), samples=8, max_rise=0.01)
    with caplog.at_level(logging.WARNING):
        before, after = run(made).chat_losses.values()
    assert after > before + 0.01
    assert any("The LLM forgets how to talk" in message for message in caplog.messages)


@pytest.mark.parametrize("kind", ["uncertainty", "gradnorm"])
def test_weighed_losses_are_logged_and_go_on_exactly(run, recipe, kind, monkeypatch, tmp_path):
    settings = {"steps": 6, "save_steps": 3, "loss_weighting": kind, "batch_size": 2}
    straight = run(recipe(**settings), "straight")
    logged = [e["loss_weight/toy.detection"] for e in straight.history if "loss" in e]
    assert logged[0] == pytest.approx(1, abs=0.1)
    assert logged[-1] != 1
    original = stages.SuperLinkTrainer

    class Mortal(original):
        def training_step(self, *args, **kwargs):
            if self.state.global_step == 4:
                raise KeyboardInterrupt
            return super().training_step(*args, **kwargs)

    monkeypatch.setattr(stages, "SuperLinkTrainer", Mortal)
    with pytest.raises(KeyboardInterrupt):
        run(recipe(**settings), "killed")
    monkeypatch.setattr(stages, "SuperLinkTrainer", original)
    assert losses(run(recipe(**settings), "killed")) == losses(straight)


def test_accumulated_step_weighs_as_one_large_step(run, recipe):
    settings = {"steps": 4, "batch_size": 4, "loss_weighting": "gradnorm", "warmup_steps": 0}
    large = run(recipe(**settings), "large")
    small = run(recipe(**settings, micro_batch_size=2), "small")
    assert losses(large) == pytest.approx(losses(small), rel=1e-4)


def test_accumulation_changes_neither_the_first_loss_nor_a_statistic(run, recipe, sharing):
    settings = {"steps": 1, "batch_size": 4, "model": sharing}
    large = run(recipe(**settings), "large")
    small = run(recipe(**settings, micro_batch_size=2), "small")
    assert losses(large) == pytest.approx(losses(small), rel=1e-5)
    buffers = [dict(result.model.named_buffers()) for result in (large, small)]
    assert len(buffers[0]) > 100
    assert [name for name in buffers[0] if not buffers[0][name].equal(buffers[1][name])] == []


def test_activations_that_are_computed_anew_change_nothing(run, recipe):
    plain = run(recipe(steps=3), "plain")
    anew = run(recipe(steps=3, gradient_checkpointing=True), "anew")
    assert losses(plain) == pytest.approx(losses(anew), rel=1e-5)
    assert not anew.model.backbone.model.is_activation_checkpointing


def test_bfloat16_is_near_to_float32_and_leaves_weights_as_they_are(run, recipe):
    plain = run(recipe(steps=3), "plain")
    half = run(recipe(steps=3, precision="bfloat16"), "half")
    assert losses(plain) == pytest.approx(losses(half), rel=0.05)
    assert losses(plain) != losses(half)
    assert {p.dtype for p in half.model.parameters()} == {torch.float32}


@pytest.fixture
def made_batch(recipe, registry):
    """A model in training, whose image encoder has a BatchNorm that learns, and a batch for it."""
    made = recipe(data={"scenes": 1, "lists": 1}, batch_size=6)
    model = build_model(made.model, registry).train()
    tower = model.backbone.model.model.vision_tower
    tower.stages["stride4"].append(torch.nn.BatchNorm2d(8))
    sources = {name: open_data(made.data[name], registry) for name in made.data}
    samples = stage_samples(sources, made.stages[0], 0, skip_bad=False)
    collator = Collator(model.processor, run_decoders=True, skip_bad=False, always_image=False)
    return model, to_device(dict(collator([samples[i] for i in range(6)])), model.device)


def test_counts_are_those_of_the_losses_and_change_nothing(made_batch, sharing):
    model, batch = made_batch
    state, before = torch.get_rng_state(), {n: b.clone() for n, b in model.named_buffers()}
    modes = {name: module.training for name, module in model.named_modules()}
    counts = model.loss_counts(**batch)
    assert state.equal(torch.get_rng_state())
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert all(before[name].equal(buffer) for name, buffer in model.named_buffers())
    found = model(**batch).losses
    assert not all(before[name].equal(buffer) for name, buffer in model.named_buffers())
    assert counts == {name: float(count) for name, (_, count) in found.items()}
    assert counts["lm"] > 0 < counts["toy.detection/l1"]


def test_losses_are_counted_in_the_modes_of_training(run, recipe, monkeypatch):
    """What a model is made in may be another one, as where a library loads it to predict."""
    build, seen = stages.build_model, []

    def ready_to_predict(*args):
        model = build(*args).eval()
        for name in ("loss_counts", "forward"):
            monkeypatch.setattr(model, name, watched(model, getattr(model, name)))
        return model

    def watched(model, run):
        def spy(*args, **batch):
            seen.append([module.training for module in model.modules()])
            return run(*args, **batch)

        return spy

    monkeypatch.setattr(stages, "build_model", ready_to_predict)
    run(recipe(steps=1, micro_batch_size=2))
    assert len(seen) == 4
    assert all(modes == seen[0] for modes in seen)
    assert any(seen[0])


def test_parts_of_the_loss_are_means_over_the_steps_that_have_them():
    log = LossLog()
    for step, forwards in enumerate([[(2.0, 1), (4.0, 3)], [(6.0, 2)], [(0.0, 0)]]):
        counts = summed({"a/x": float(count)} for _, count in forwards)
        for value, count in forwards:
            log.add(step, {"a/x": (torch.tensor(value), count)}, counts)
    assert log.read() == {"a/x": pytest.approx((6 / 4 + 6 / 2) / 2)}
    assert log.read() == {}
