"""A fresh process that declares and builds a task decoder, and trains it beside a second process:
`python -m superlink.testing.decoder_worker FOLDER`. `decoder_processes` starts it."""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from .network import foreign_host

__all__ = ["HEAVY", "main"]

HEAVY = frozenset(
    {
        *("cv2", "diffusers", "jax", "mmcv", "mmdet", "mmengine", "mmpose", "onnxruntime"),
        *("tensorflow", "timm", "torchvision", "transformers"),
    }
)
"""Libraries that take seconds to import."""

PATIENCE = timedelta(seconds=60)
"""How long one process waits for the other one in a collective."""


class Notes:
    """What this process has found so far; each entry is on disk at once, should it die."""

    def __init__(self, path: Path) -> None:
        self.path, self.found = path, dict[str, Any]()
        if path.exists():
            self.found |= json.loads(path.read_text(encoding="utf-8"))

    def __setitem__(self, key: str, value: Any) -> None:
        self.found[key] = value
        self.path.write_text(json.dumps(self.found), encoding="utf-8")


def main(folder: Path) -> None:
    """Do what the request in `folder` asks for, and leave notes in it."""
    notes = Notes(folder / "0.json")
    attempts: list[str] = []
    _refuse_network(attempts)
    request = pickle.loads((folder / "request.pickle").read_bytes())
    request["attempts"] = attempts
    if request["declared"]:
        notes["declared"] = _declare(request["name"])
    decoder = _build(request)
    notes["attempts"] = attempts
    notes["together"] = _can_train_together()
    if not notes.found["together"]:
        notes["done"] = True
        return
    call = pickle.loads((folder / "call.pickle").read_bytes())
    _train_together(lambda rank: _train(request, decoder, call, rank, folder), folder)


def _can_train_together() -> bool:
    from torch import distributed

    return hasattr(os, "fork") and distributed.is_available() and distributed.is_gloo_available()


def _train_together(train: Callable[[int], None], folder: Path) -> None:
    """Run `train(rank)` here and in a copy of this process.

    A fork spares a second import of the decoder's library. It is safe here: nothing has started a
    thread so far.
    """
    copy = os.fork()
    if copy:
        try:
            train(0)
            os.waitpid(copy, 0)
        except BaseException:
            os.kill(copy, signal.SIGKILL)
            raise
        return
    with (folder / "1.txt").open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    try:
        train(1)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        (folder / "failed").touch()
        os._exit(1)
    os._exit(0)


def _refuse_network(attempts: list[str]) -> None:
    """Refuse, and write down, each connection that leaves the machine."""

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if (host := foreign_host(event, arguments)) is not None:
            attempts.append(host)
            raise ConnectionRefusedError(f"The check allows no network. Received: {host!r}")

    sys.addaudithook(refuse)


def _declare(name: str) -> dict[str, Any]:
    """What the discovery of the decoder's plugin imports."""
    from superlink.registry import default_registry

    before, start = set(sys.modules), time.perf_counter()
    spec = default_registry().decoder(name)
    loaded = {module.partition(".")[0] for module in set(sys.modules) - before}
    module = spec.factory.partition(":")[0]
    return {
        "heavy": sorted((loaded & HEAVY) | ({module} & set(sys.modules))),
        "seconds": time.perf_counter() - start,
    }


def _build(request: dict[str, Any]) -> Any:
    from superlink.testing.decoder_linking import registry_of, seeded

    with seeded(0):
        registry = registry_of(request["spec"])
        return registry.build("decoder", request["name"], request["config"])


def _train(request: dict[str, Any], decoder: Any, call: Any, rank: int, folder: Path) -> None:
    """One step of two processes: only the first one has a call of the decoder."""
    import torch
    from torch import distributed

    from superlink.testing.decoder_linking import link_alone, sample_of

    notes = Notes(folder / f"{rank}.json")
    model = link_alone(request["spec"], decoder, request["config"], request["tokens"])
    model.backbone.requires_grad_(False)
    model.train()
    model.idle = True
    batch = model.processor([sample_of(call if rank == 0 else None, call.image)])
    torch.manual_seed(rank)
    model(**batch).loss.backward()
    notes["attempts"] = request["attempts"]  # some libraries download when they first run
    weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
    notes["missing"] = [name for name, p in weights.items() if p.grad is None]
    given = {name: p.grad for name, p in weights.items() if p.grad is not None}
    notes["infinite"] = [name for name, grad in given.items() if not grad.isfinite().all()]
    meeting = f"file://{folder / 'meeting'}"
    distributed.init_process_group(
        "gloo", init_method=meeting, rank=rank, world_size=2, timeout=PATIENCE
    )
    wrong = torch.tensor(len(notes.found["missing"]) + len(notes.found["infinite"]))
    distributed.all_reduce(wrong)
    if not wrong:
        # What DDP does; importing DDP itself would double the seconds that this process takes.
        mine = torch.cat([grad.flatten() for grad in given.values()])
        distributed.all_reduce(mine)
        notes["shared"] = bool(mine.any())
    distributed.destroy_process_group()
    notes["done"] = True


if __name__ == "__main__":
    main(Path(sys.argv[1]))
