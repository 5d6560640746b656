"""What does it cost to look for plugins?

Each part runs in a process of its own, whose start and imports are not timed; what is timed is the
first call of `superlink.registry.default_registry()`:

  many  with `--plugins` more plugins installed: distributions with metadata of their own, each with
        a light module that declares two decoders, and a heavy module that only building one would
        import
  none  without them

What is installed anyway is switched off in both.

`facts` say whether all were found, and how many of their heavy modules were imported. Parts take
turns, in random order; times are processor times.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pairs import Report, arguments, median_interval, ratio

from superlink.testing import installed_plugin

PLUGIN = """
from superlink.interfaces import DecoderSpec, Requirement
from superlink.registry import hookimpl

@hookimpl
def superlink_decoders():
    needs = (Requirement("numpy>=1.26", "pip install numpy"),)
    for kind in ("boxes", "masks"):
        yield DecoderSpec(
            name=f"{name}.{{kind}}",
            routing_tokens=("[DET]", "[SEG]"),
            num_queries=4,
            factory="{name}.heavy:build",
            config_class="{name}.heavy:Config",
            requires=needs,
            license="Apache-2.0",
        )
"""
HEAVY = "import transformers.models.llava.modeling_llava\n"
CHILD = """
import json, sys, time
from superlink.registry import default_registry
cpu, wall = time.process_time(), time.perf_counter()
registry = default_registry()
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
modules = [name for name in sys.modules if name.startswith("bench_plugin_")]
entries = [entry for entry in registry.entries() if entry.name.startswith("bench_plugin_")]
print(json.dumps({
    "cpu": cpu,
    "wall": wall,
    "decoders": sum(entry.status == "ok" for entry in entries),
    "heavy": sum(name.endswith(".heavy") for name in modules),
    "transformers": int("transformers" in sys.modules),
}))
"""


def install(number: int, folder: Path) -> list[str]:
    """Put so many plugins into one folder, as pip puts them into site-packages; their names."""
    names = [f"bench_plugin_{index:03}" for index in range(number)]
    for name in names:
        sources = {f"{name}.plugin": PLUGIN.format(name=name), f"{name}.heavy": HEAVY}
        points = {name: f"{name}.plugin"}
        with installed_plugin(name.replace("_", "-"), sources, entry_points=points) as fresh:
            shutil.copytree(fresh, folder, dirs_exist_ok=True)
    return names


def discover(folder: Path | None, names: list[str]) -> dict[str, Any]:
    """What one fresh process says."""
    environment = os.environ | {"SUPERLINK_PLUGINS": ",".join(names)}
    environment.pop("SUPERLINK_DISABLED_PLUGINS", None)
    if folder is not None:
        paths = (str(folder), environment.get("PYTHONPATH", ""))
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    command = [sys.executable, "-c", CHILD]
    found: dict[str, Any] = json.loads(subprocess.check_output(command, env=environment))
    return found


def main() -> None:
    """Measure, and show the result."""
    chosen = arguments(
        __doc__, plugins={"type": int, "default": 50, "help": "plugins to install (default: 50)"}
    )
    rng = random.Random(0)
    runs: dict[str, list[dict[str, Any]]] = {"many": [], "none": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = {"many": (folder, install(chosen.plugins, folder)), "none": (None, [])}
        for index in range(-1, chosen.pairs):
            for part in rng.sample(list(runs), len(runs)):
                found = discover(*parts[part])
                if index >= 0:  # the first ones compile what they import
                    runs[part].append(found)
    seconds = {part: [run["cpu"] for run in found] for part, found in runs.items()}
    more = [1e3 * (a - b) for a, b in zip(seconds["many"], seconds["none"], strict=True)]
    facts = {
        "plugins": chosen.plugins,
        "decoders found, of two each": min(run["decoders"] for run in runs["many"]),
        "heavy modules imported": max(run["heavy"] for run in runs["many"]),
        "transformers imported": max(run["transformers"] for run in runs["many"]),
        "many - none, ms": _rounded(more),
        "many, ms": _rounded([1e3 * value for value in seconds["many"]]),
        "many, ms on the clock": _rounded([1e3 * run["wall"] for run in runs["many"]]),
    }
    compared = {"many / none": ratio([seconds["many"]], [seconds["none"]])}
    command = (
        f"python tests/benchmarks/discovery.py --plugins {chosen.plugins} --pairs {chosen.pairs}"
    )
    Report("discovery of plugins", command, seconds, compared, facts).show(chosen.json)


def _rounded(values: list[float]) -> dict[str, float]:
    """The median of milliseconds, and its interval."""
    return {key: round(value, 2) for key, value in asdict(median_interval(values)).items()}


if __name__ == "__main__":
    main()
