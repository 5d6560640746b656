"""What do decoders cost that are installed, and not used?

A training step of the model of `superlink demo`, forward and backward, batch 8, and what the loader
does for its batch:

  with      `--plugins` more plugins are installed and found, each with a decoder that no model uses
  without   none of them

Both are built in one process, the one while the plugins are there and the other before, from one
seed: weights and batches are the same. Times are processor times of one thread; each pair runs
every part once, in random order.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from linked_step import LinkedStep
from pairs import Report, arguments, ratio, take_turns

from superlink.backbones.quiet import quiet_transformers
from superlink.demo import DEMO_RECIPE
from superlink.registry import default_registry
from superlink.testing import installed_plugin
from superlink.training import load_recipe

PLUGIN = """
from dataclasses import replace
from superlink.registry import hookimpl
from superlink.testing import TOY_BOX

@hookimpl
def superlink_decoders():
    yield replace(TOY_BOX, name="{name}.box", routing_tokens=("[{token}]",))
"""


def _install(stack: ExitStack, number: int) -> None:
    for index in range(number):
        name = f"bench_unused_{index}"
        source = PLUGIN.format(name=name, token=f"UNUSED{index}")
        stack.enter_context(installed_plugin(name.replace("_", "-"), {name: source}))
    found = [e for e in default_registry().entries() if e.name.startswith("bench_unused_")]
    if len(found) != number or any(entry.status != "ok" for entry in found):
        raise SystemExit(f"{number} plugins were installed. Received: {found}")


def main() -> None:
    """Measure, and show the result."""
    plugins = {"type": int, "default": 10, "help": "how many are installed (default: 10)"}
    chosen = arguments(__doc__, plugins=plugins)
    quiet_transformers()
    recipe = load_recipe(DEMO_RECIPE)
    without = LinkedStep(recipe)
    with ExitStack() as stack:
        _install(stack, chosen.plugins)
        there = LinkedStep(recipe)
        seconds = take_turns(
            {
                "with": there.linked,
                "without": without.linked,
                "loader, with": there.processing,
                "loader, without": without.processing,
            },
            chosen.pairs,
        )
    facts: dict[str, Any] = {
        "plugins": chosen.plugins,
        "same weights": _same(there, without),
        **without.facts(),
    }
    ratios = {
        "step, with / without": ratio([seconds["with"]], [seconds["without"]]),
        "loader, with / without": ratio([seconds["loader, with"]], [seconds["loader, without"]]),
    }
    command = f"python tests/benchmarks/unused_decoders.py --pairs {chosen.pairs}"
    Report("unused decoders", command, seconds, ratios, facts).show(chosen.json)


def _same(one: LinkedStep, other: LinkedStep) -> bool:
    """Whether both models hold the same weights under the same names, and nothing else."""
    here, there = one.model.state_dict(), other.model.state_dict()
    return here.keys() == there.keys() and all(torch.equal(here[k], there[k]) for k in here)


if __name__ == "__main__":
    main()
