"""What does a link cost in memory, in a whole training step?

The parts of `linked_step.py` on the model of `superlink demo`, forward and backward. What counts is
how far the peak of the process lies above what it held before the step: activations, gradients, and
whatever is in between.

  linked    all of it
  llm       the same LLaVA alone
  decoder   connector and detector alone

The halves are added up, as in a linked step the activations of the LLM wait for the decoder. Parts
take turns, in random order. Linux alone tells the peak of a while.
"""

from __future__ import annotations

import ctypes
import gc
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

from linked_step import LinkedStep
from pairs import Report, arguments, ratio

from superlink.backbones.quiet import quiet_transformers
from superlink.demo import DEMO_RECIPE
from superlink.training import load_recipe

_WARM_UP = 2
_STATUS, _FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_PAGES = {"MALLOC_MMAP_THRESHOLD_": "65536"}
"""Every larger tensor gets pages of its own, which go back to the system with it."""


def grown(step: LinkedStep, part: Callable[[int], None], index: int) -> int:
    """Bytes by which the peak of one step lies above its start."""
    for module in (step.model, step.llm):
        module.zero_grad(set_to_none=True)
    for work in step.works:
        work.states.grad = None
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    _FORGET.write_text("5", encoding="ascii")
    before = _kilobytes("VmRSS")
    part(index)
    return (_kilobytes("VmHWM") - before) * 1024


def _kilobytes(name: str) -> int:
    lines = dict(line.split(":", 1) for line in _STATUS.read_text("ascii").splitlines())
    return int(lines[name].split()[0])


def main() -> None:
    """Measure, and show the result."""
    chosen = arguments(__doc__)
    if not _PAGES.items() <= os.environ.items():  # read when a process starts
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **_PAGES})
    quiet_transformers()
    step = LinkedStep(load_recipe(DEMO_RECIPE))
    parts = {"linked": step.linked, "llm": step.bare_llm, "decoder": step.bare_decoder}
    rng, sizes = random.Random(0), {part: list[float]() for part in parts}
    for index in range(-_WARM_UP, chosen.pairs):
        for name in rng.sample(list(parts), len(parts)):
            found = grown(step, parts[name], index % chosen.pairs)
            if index >= 0:
                sizes[name].append(found)
    facts = {"pairs": chosen.pairs, **step.facts()}
    for name, values in sizes.items():
        facts[f"median MiB, {name}"] = round(sorted(values)[chosen.pairs // 2] / 2**20, 1)
    Report(
        "memory of a linked training step",
        f"python tests/benchmarks/linked_memory.py --pairs {chosen.pairs}",
        {},
        {"linked / (llm + decoder)": ratio([sizes["linked"]], [sizes["llm"], sizes["decoder"]])},
        facts,
    ).show(chosen.json)


if __name__ == "__main__":
    main()
