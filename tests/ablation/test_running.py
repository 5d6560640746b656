"""Running: every variant with every seed, on after a stop, and one card."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from superlink.ablation import ablate, runs
from superlink.errors import ConfigError, InputError
from superlink.evaluation.cards import ResultCard, cards_page

METRIC = "boxes/box_AP50/forced"
ALONE = {"variants": {"4": []}, "seeds": [0], "claims": []}


@pytest.fixture
def run(registry, tmp_path):
    """Run an experiment in the test's folder."""

    def run(experiment, **options):
        return ablate(experiment, tmp_path / "out", registry=registry, progress=False, **options)

    return run


class Trained(list):
    """Variant and seed of each training, in their order; the one at `stop_at` is stopped."""

    stop_at = None

    def begin(self, output):
        if self.stop_at == len(self):
            raise KeyboardInterrupt
        self.append(tuple(Path(output).parts[-3:-1]))


@pytest.fixture
def trained(monkeypatch):
    """Watch trainings."""
    done, train = Trained(), runs.train

    def watched(recipe, output, **options):
        done.begin(output)
        return train(recipe, output, **options)

    monkeypatch.setattr(runs, "train", watched)
    return done


@pytest.fixture
def quick(monkeypatch):
    """Watch trainings that train nothing, and measure four queries better than one."""
    done = Trained()

    def train(run, registry):
        runs._write(run.folder / "run.json", run.identity)
        done.begin(run.folder / "training")

    def measure(run, measurings, registry):
        metrics = {
            "boxes/box_AP75/forced": 0.1,
            METRIC: int(run.variant) / 10 + run.recipe.seed / 100,
            "training/CPU_minutes": 1.0,
        }
        content = {"metrics": metrics, "notes": ["boxes, so it is"], "samples": {"boxes": 3}}
        runs._write(run.folder / "result.json", content)

    monkeypatch.setattr(runs.Run, "train", train)
    monkeypatch.setattr(runs.Run, "measure", measure)
    return done


def test_card_of_all_runs(run, experiment, quick, tmp_path):
    card = run(experiment(), command="superlink ablate toy.yaml")
    assert quick == [("1", "seed-0"), ("4", "seed-0"), ("1", "seed-1"), ("4", "seed-1")]
    assert ResultCard.read(tmp_path / "out" / "card.json") == card
    assert list(card.metrics) == [
        *("boxes/box_AP50/1/forced", "boxes/box_AP50/4/forced"),
        *("training/CPU_minutes/1", "training/CPU_minutes/4"),
    ]
    spread = card.spreads["boxes/box_AP50/4/forced"]
    assert spread.values == pytest.approx((0.4, 0.41))
    assert spread.std == pytest.approx(0.01 / 2**0.5)
    assert (card.cpu_minutes, card.data["runs"]) == (4.0, "4 of 4")
    assert [claim.verdict for claim in card.claims] == ["agrees", "not tested"]
    assert "boxes, so it is" in card.notes
    with Image.open(tmp_path / "out" / "plot.png") as plot:
        assert min(plot.size) > 300


def test_card_shows_spreads_and_verdicts(run, experiment, quick, tmp_path):
    card = run(experiment())
    page = card.to_markdown()
    assert "| `boxes/box_AP50/4/forced` | 0.405 ± 0.007 (n = 2) |" in page
    assert f"| More help. | 4 > 1 on `{METRIC}` | **agrees** | 4 - 1 = +0.300, more than" in page
    assert "95 % confidence" in page
    # Variants of an experiment are compared on its own card, and with no other one.
    assert "`box_AP50/4`" not in cards_page({tmp_path / "card.json": card}, tmp_path)


def test_stopped_ablation_goes_on_and_ends_the_same(run, experiment, quick):
    quick.stop_at = 1
    with pytest.raises(KeyboardInterrupt):
        run(experiment())
    quick.stop_at = None
    card = run(experiment())
    assert len(quick) == len(set(quick)) == 4
    assert run(experiment()) == card
    assert len(quick) == 4


def test_run_is_trained_and_measured_and_goes_on_in_between(
    run, experiment, trained, monkeypatch, tmp_path
):
    measure = runs.Run.measure

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs.Run, "measure", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(experiment(**ALONE))
    monkeypatch.setattr(runs.Run, "measure", measure)
    card = run(experiment(**ALONE))
    assert trained == [("4", "seed-0")]
    folder = tmp_path / "out" / "runs" / "4" / "seed-0"
    metrics = json.loads((folder / "result.json").read_text())["metrics"]
    assert card.metrics["boxes/box_AP50/4/forced"] == metrics[METRIC]
    assert card.cpu_minutes == metrics["training/CPU_minutes"] > 0
    assert card.data["measurement boxes"]["samples"] == 3
    assert not (folder / "measuring").exists()


def test_only_one_variant_then_more_seeds_and_variants(run, experiment, quick):
    card = run(experiment(), only="4")
    assert quick == [("4", "seed-0"), ("4", "seed-1")]
    assert card.claims[0].verdict == "not measured"
    assert card.claims[0].reasons == ("no runs of 1",)
    later = experiment(variants={"4": [], "2": ["model.decoders.0.num_queries=2"]}, claims=[])
    assert run(later).data["runs"] == "4 of 4"
    assert quick[2:] == [("2", "seed-0"), ("2", "seed-1")]


def test_folder_of_something_else_is_refused(run, experiment, quick, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").touch()
    with pytest.raises(InputError, match="no experiment"):
        run(experiment(**ALONE))
    (tmp_path / "out" / "thesis.txt").unlink()
    run(experiment(**ALONE))
    with pytest.raises(InputError, match="holds the experiment 'toy'"):
        run(experiment(**ALONE, name="other"))
    with pytest.raises(InputError, match="run with other recipe"):
        run(experiment(**ALONE | {"variants": {"4": ["stages.0.steps=3"]}}))


def test_what_the_card_shows_is_no_part_of_what_was_measured(run, experiment, quick):
    run(experiment(**ALONE))
    asked = experiment().measurements["boxes"].model_dump() | {"metrics": ["box_AP75"]}
    card = run(experiment(**ALONE, measurements={"boxes": asked}))
    assert next(iter(card.metrics)) == "boxes/box_AP75/4/forced"
    assert len(quick) == 1


def test_mistakes_show_before_training(run, experiment, quick):
    with pytest.raises(ConfigError, match="no variant 'four'"):
        run(experiment(), only="four")
    asked = experiment().measurements["boxes"].model_dump()
    for change in ({"measure": {"crowds": True}}, {"options": {"num_scene": 3}}):
        with pytest.raises(ConfigError):
            run(experiment(measurements={"boxes": asked | change}))
    assert quick == []


def test_metric_that_is_not_there_shows_after_the_first_run(run, experiment, quick):
    asked = experiment().measurements["boxes"].model_dump() | {"metrics": ["box_AP5O"]}
    with pytest.raises(ConfigError, match=r"has no metric .box_AP5O."):
        run(experiment(measurements={"boxes": asked}))
    assert len(quick) == 1


def test_several_processes_are_refused(run, experiment, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="--only"):
        run(experiment())
