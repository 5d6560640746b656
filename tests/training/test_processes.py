"""Runs in processes of their own: killed without warning, and several that train together."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file

# One after the other: each starts processes of its own, and they share what they compare with.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("processes")]

ROOT = Path(__file__).parents[2]

FSDP2 = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
}
"""What `accelerate launch` sets for FSDP2."""

_TOGETHER = """
import sys
from accelerate import state
from accelerate.utils import DistributedType

start = state.PartialState.__init__

def on_any_device(self, *args, **options):
    # accelerate offers its engines to accelerators alone; torch's run on a CPU as well.
    start(self, *args, **options)
    if self.distributed_type is DistributedType.MULTI_CPU:
        self.distributed_type = DistributedType.MULTI_GPU

state.PartialState.__init__ = on_any_device
"""
_TRAIN = "from superlink.cli.main import app; app()"


class Trainer:
    """Runs of one recipe below a folder.

    Args:
        folder: Holds the recipe and the runs.
        recipe: YAML.
        environment: Of the processes, beside that of this one.
    """

    def __init__(self, folder, recipe, environment=()):
        self.folder = folder
        self.environment = dict(environment)
        self.recipe = folder / "recipe.yaml"
        self.recipe.write_text(recipe, encoding="utf-8")

    def start(self, name, *changes, rank=0, processes=1, port=0, engine=None):
        """Start one process of a run; what it prints is in `NAME-RANK.txt`."""
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes}
        meeting = {"LOCAL_WORLD_SIZE": processes, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        together = {k: str(v) for k, v in (place | meeting).items()} if processes > 1 else {}
        environment = os.environ | {"OMP_NUM_THREADS": "1"} | self.environment | together
        environment |= engine or {}
        options = [part for change in changes for part in ("--set", change)]
        arguments = ["train", str(self.recipe), "--output", str(self.folder / name), *options]
        code = (_TOGETHER if engine else "") + _TRAIN
        command = [sys.executable, "-c", code, *arguments]
        with (self.folder / f"{name}-{rank}.txt").open("ab") as output:
            return subprocess.Popen(command, env=environment, stdout=output, stderr=output)

    def run(self, name, *changes, processes=1, engine=None):
        """Run to the end in so many processes, and give the folder of the run."""
        port = _free_port()
        started = [
            self.start(name, *changes, rank=rank, processes=processes, port=port, engine=engine)
            for rank in range(processes)
        ]
        try:
            codes = [process.wait() for process in started]
        finally:
            for process in started:
                process.kill()
        assert codes == [0] * processes, self.said(name)
        return self.folder / name

    def kill_when(self, name, *changes, reached):
        """Kill a run without warning as soon as `reached()` is true; False where it ended first."""
        process = self.start(name, *changes)
        try:
            while process.poll() is None:
                if reached():
                    process.send_signal(signal.SIGKILL)
                    return True
                time.sleep(0.02)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 0, self.said(name)
        return False

    def said(self, name):
        """The end of what the processes of a run printed."""
        texts = sorted(self.folder.glob(f"{name}-*.txt"))
        return "\n".join(path.read_text(encoding="utf-8")[-3000:] for path in texts)


def weights(folder):
    """Every tensor of a checkpoint, by file and name."""
    return {
        (path.relative_to(folder).as_posix(), name): tensor
        for path in sorted(folder.rglob("*.safetensors"))
        for name, tensor in load_file(path).items()
    }


def difference(first, second):
    """How far the weights of two checkpoints are apart, against their size."""
    one, two = weights(first), weights(second)
    assert one.keys() == two.keys()
    apart = sum((one[key] - two[key]).double().square().sum() for key in one)
    return float((apart / sum(value.double().square().sum() for value in one.values())).sqrt())


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Trains the model that superlink ships a little further: 20 steps of pictures and text.

    In a model that has learnt to find things, which query stands for which target is settled; in
    one of random weights the last digit of a sum decides it.
    """
    recipe = yaml.safe_load((ROOT / "examples/scenes/recipe.yaml").read_text(encoding="utf-8"))
    recipe["start"] = str(ROOT / "superlink/demo/model")
    stage = {"name": "joint", "data": {"detection": 2, "class_lists": 1}, "steps": 20}
    recipe["stages"] = [stage | {"learning_rate": 1e-4, "warmup_steps": 6, "link_loss": 0.5}]
    return Trainer(tmp_path_factory.mktemp("together"), yaml.safe_dump(recipe))


@pytest.fixture(scope="module")
def alone(together):
    return together.run("alone")


def losses(run):
    history = json.loads((run / "stages" / "0-joint" / "log.json").read_text())["history"]
    return [entry["loss"] for entry in history if "loss" in entry]


@pytest.mark.parametrize("processes", [2, 4])
def test_any_number_of_processes_trains_the_same(together, alone, processes):
    run = together.run(f"{processes}", processes=processes)
    assert losses(run)[:10] == pytest.approx(losses(alone)[:10], rel=1e-5)
    assert difference(run / "model", alone / "model") < 1e-5


def test_fsdp2_trains_the_same(together, alone):
    run = together.run("fsdp", "stages.0.save_steps=10", processes=2, engine=FSDP2)
    assert losses(run)[:10] == pytest.approx(losses(alone)[:10], rel=1e-5)
    assert difference(run / "model", alone / "model") < 1e-5


def test_run_killed_at_random_moments_ends_bit_for_bit(tmp_path, recipe, toy_environment):
    made = recipe(steps=60, batch_size=2, save_steps=2, ema=0.9, link_loss=0.5)
    trainer = Trainer(tmp_path, made.model_dump_json(), toy_environment)  # JSON is YAML
    draw = random.Random(time.time_ns())
    straight = trainer.run("straight")
    folder = tmp_path / "killed" / "stages" / "0-joint"
    kills = 0
    while kills < 5:
        before, wait = set(folder.glob("checkpoint-*")), draw.uniform(0, 0.3)
        moment = []

        def reached(before=before, wait=wait, moment=moment):
            if set(folder.glob("checkpoint-*")) - before and not moment:
                moment.append(time.monotonic() + wait)
            return bool(moment) and time.monotonic() > moment[0]

        if not trainer.kill_when("killed", reached=reached):
            break
        kills += 1
    assert kills >= 3  # the last ones may come too late
    ended = trainer.run("killed")
    one, two = weights(straight / "model"), weights(ended / "model")
    assert one.keys() == two.keys()
    assert [key for key in one if not one[key].equal(two[key])] == []
