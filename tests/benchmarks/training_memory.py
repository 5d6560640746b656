"""What does a training forward keep in memory?

Each part runs in a process of its own, on the same random model and batch; what counts is how much
the peak of the process grows during one forward with gradients:

  linked             `SuperLinkModel.forward`: states tapped at the head, logits where labels are
  all hidden states  the bare model with `output_hidden_states=True`, logits everywhere, and the
                     same cross entropy

Parts take turns, in random order.
"""

from __future__ import annotations

import json
import random
import resource
import string
import subprocess
import sys
from typing import Any

import torch
from pairs import Report, arguments, ratio
from PIL import Image

from superlink import IMAGE, Message, Sample, build_model
from superlink.backbones.quiet import quiet_transformers
from superlink.testing.models import toy_registry

WIDE = {"hidden_size": 768, "num_layers": 12, "num_heads": 12, "pretrained_encoder": False}
PARTS = ("linked", "all hidden states")


def grown(part: str, num_rows: int) -> dict[str, Any]:
    """Bytes by which the peak grows in one forward, and what was run."""
    torch.manual_seed(0)
    # Real vocabularies are long: the built-in one grows by made-up words.
    letters = string.ascii_lowercase[:12]
    words = tuple(f"word{a}{b}{c}" for a in letters for b in letters for c in letters)
    backbone = {"name": "tiny_llava", "config": {**WIDE, "words": words}}
    decoder = {"name": "toy.box", "num_queries": 16}
    model = build_model({"backbone": backbone, "decoders": [decoder]}, toy_registry()).train()
    target = {"bboxes": torch.tensor([[4.0, 4.0, 30.0, 30.0]]), "labels": torch.tensor([0])}
    question = Message("user", (IMAGE, "Find: dog, cat, person, ball. " * 8))
    answer = Message("assistant", "a <p>dog</p>[BOX]")
    photo = Image.new("RGB", (128, 128), "red")
    batch = model.processor([Sample((question, answer), (photo,), targets=(target,))] * num_rows)
    before = _peak()
    if part == "linked":
        kept: Any = model(**batch)
    else:
        bare = model.backbone.model
        out = bare(**batch["inputs"], output_hidden_states=True)
        labels = batch["labels"][:, 1:].flatten()
        loss = torch.nn.functional.cross_entropy(out.logits[:, :-1].flatten(0, 1).float(), labels)
        kept = out, loss
    after = _peak()
    del kept
    return {
        "bytes": after - before,
        "parameters": sum(p.numel() for p in model.backbone.parameters()),
        "vocabulary": model.backbone.vocab_size,
        "tokens": batch["inputs"]["input_ids"].shape[1],
    }


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Measure, and show the result."""
    chosen = arguments(
        __doc__,
        rows={"type": int, "default": 8, "help": "samples in the batch (default: 8)"},
        part={"choices": PARTS, "help": "run one part in this process, and print it"},
    )
    quiet_transformers()
    if chosen.part:
        print(json.dumps(grown(chosen.part, chosen.rows)))  # noqa: T201
        return
    rng, sizes, facts = random.Random(0), {part: [] for part in PARTS}, dict[str, Any]()
    for _ in range(chosen.pairs):
        for part in rng.sample(PARTS, len(PARTS)):
            command = [sys.executable, __file__, "--rows", str(chosen.rows), "--part", part]
            found = json.loads(subprocess.check_output(command))
            sizes[part].append(found.pop("bytes"))
            facts = found
    compared = ratio([sizes["linked"]], [sizes["all hidden states"]])
    for part in PARTS:
        facts[f"median MiB, {part}"] = round(sorted(sizes[part])[chosen.pairs // 2] / 2**20, 1)
    command_line = (
        f"python tests/benchmarks/training_memory.py --rows {chosen.rows} --pairs {chosen.pairs}"
    )
    report = Report(
        "memory of a training forward",
        command_line,
        {},
        {"linked / all hidden states": compared},
        {"rows": chosen.rows, "pairs": chosen.pairs, **facts},
    )
    report.show(chosen.json)


if __name__ == "__main__":
    main()
