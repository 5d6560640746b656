"""Tests are offline and leave the other core alone."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from superlink.testing.network import foreign_host

# Read at import by torch and by huggingface_hub, and inherited by the processes that tests start.
os.environ.update(
    OMP_NUM_THREADS="1",
    TOKENIZERS_PARALLELISM="false",
    HF_HUB_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    HF_DATASETS_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    MPLBACKEND="Agg",
)

TINY_DEMO = (
    "model.backbone.config.encoder=conv",
    "model.decoders.0.config.in_channels=[16, 24, 32]",
    "data.class_lists.options.names=[apple, dog]",
    "stages.0.steps=70",
    "stages.0.batch_size=16",
    "stages.0.warmup_steps=5",
    "stages.1.steps=3",
)
"""What makes the demo's recipe one of seconds."""

TOY_DETECTION = """
from dataclasses import replace
from superlink.registry import hookimpl
from superlink.testing import TOY_BOX

@hookimpl
def superlink_decoders():
    yield replace(TOY_BOX, name="toy.detection", routing_tokens=("[DET]",))
"""


class NetworkRefused(RuntimeError):
    """A test tried to leave the machine."""


def refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Audit hook: sockets reach this machine only, whichever library opens them."""
    if (host := foreign_host(event, arguments)) is not None:
        raise NetworkRefused(
            f"Tests run offline. Received: a connection to {host!r}. Use data that the test makes."
        )


def pytest_configure() -> None:
    """Close the network and hold torch to one thread, for the tests of the plugins too."""
    import torch
    from hypothesis import settings

    sys.addaudithook(refuse_network)
    torch.set_num_threads(1)
    # Deadlines measure the load of the machine, not the code.
    settings.register_profile("superlink", deadline=None)
    settings.load_profile("superlink")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Give every test the same draws, whichever process runs it and whatever ran before."""
    import torch

    random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def coco_mini():
    """A few real COCO images with their annotations; they are not part of the project."""
    folder = Path(__file__).parents[2] / "shared" / "data" / "coco_mini"
    if not folder.is_dir():
        pytest.skip("coco_mini is not at hand")
    return folder


@pytest.fixture(scope="session")
def tiny_demo_model(tmp_path_factory):
    """The folder that `superlink demo --output demo --train` leaves behind, after seconds.

    `model` is the one that superlink ships. The one in `trained` was trained to copy two words with
    routes behind them, and its boxes mean nothing. One process trains, the others wait for it.
    """
    from filelock import FileLock

    from superlink.demo import run_demo

    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "tiny_demo_model"
    with FileLock(f"{folder}.lock"):
        if not (folder / "report.html").is_file():
            run_demo(folder, train=True, num_scenes=2, overrides=TINY_DEMO, progress=False)
    return folder


@pytest.fixture(scope="session")
def toy_detection():
    """Source of a plugin with a toy decoder that answers to `[DET]`; see `installed_plugin`."""
    return TOY_DETECTION
