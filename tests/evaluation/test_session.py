"""An evaluation from start to card: the same on any number of processes and after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

OPTIONS = (
    *("--task", "detection", "--data", "scenes", "--option", "split=val", "--option", "size=64"),
    *("--limit", "1000", "--card", "card", "--json"),
)
ALONE = (sys.executable, "-m", "superlink")
TWO = (
    *(sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"),
    *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"),
    *("--main_process_port", "0", "-m", "superlink"),
)


def _start(launcher, model, folder, *more):
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [*launcher, "eval", str(model), *OPTIONS, *more],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _finish(process):
    out, err = process.communicate(timeout=280)
    assert process.returncode == 0, err
    return json.loads(out[out.index("{") :])


def _batches_done(folder):
    files = (folder / "card" / "progress").rglob("rows-*.jsonl")
    return sum(path.read_bytes().count(b"\n") for path in files)


def _same_cards(one, other):
    names = sorted(path.name for path in (one / "card").iterdir())
    assert names == sorted(path.name for path in (other / "card").iterdir())
    for name in names:
        assert (one / "card" / name).read_bytes() == (other / "card" / name).read_bytes(), name


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.xdist_group("processes")
def test_card_of_1000_images_is_the_same_on_two_processes_and_after_a_kill(
    tiny_demo_model, tmp_path
):
    model = tiny_demo_model / "model"
    forced = ("--routing", "forced")
    alone = _finish(_start(ALONE, model, tmp_path / "alone", *forced))
    assert len(alone) > 6

    assert _finish(_start(TWO, model, tmp_path / "two", *forced)) == alone
    _same_cards(tmp_path / "alone", tmp_path / "two")

    killed = _start(ALONE, model, tmp_path / "killed", *forced)
    while _batches_done(tmp_path / "killed") < 20:
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "killed" / "card" / "card.json").exists()
    kept = _batches_done(tmp_path / "killed")
    assert 20 <= kept < 63
    assert _finish(_start(ALONE, model, tmp_path / "killed", *forced)) == alone
    _same_cards(tmp_path / "alone", tmp_path / "killed")


@pytest.mark.slow
@pytest.mark.xdist_group("processes")
def test_generated_answers_are_the_same_on_two_processes(tiny_demo_model, tmp_path):
    few = ("--routing", "generated", "--limit", "48", "--max-new-tokens", "24")
    model = tiny_demo_model / "model"
    alone = _finish(_start(ALONE, model, tmp_path / "alone", *few))
    assert _finish(_start(TWO, model, tmp_path / "two", *few)) == alone
    _same_cards(tmp_path / "alone", tmp_path / "two")
