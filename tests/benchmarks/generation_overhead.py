"""What does a link cost in generation?

Greedy decoding of a left-padded batch of questions without images, of `--tokens` tokens each:

  transformers  the bare model's own `generate`
  linked        `superlink.link.generate` with the link attached, and no row routes
  block         each row writes one routing token, at a step of its own; its slots enter with it
  stepwise      the same, the slots one by one
  alone         what `linked` does, one row after the other

`block` and `stepwise` write scripted texts that are as long as the others; `scripted` writes such a
text without a route. `forwards` are counted, not timed. Times are processor times of one thread;
each pair runs every part once, in random order.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from pairs import Report, arguments, ratio, take_turns
from torch import Tensor

from superlink import Message, Sample, attach, build_model
from superlink.backbones.quiet import quiet_transformers
from superlink.errors import InputError
from superlink.link import GeneratedRow, GenerationOptions, generate
from superlink.testing.backbones import Script
from superlink.testing.models import toy_registry

NUM_QUERIES = 16
CONTENTS = ("cat", "Find: dog, cat", "person, ball, boat", "Find: person, cat, ball, boat")
"""Questions; rows repeat them in turn."""
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {},
    "wide": {"hidden_size": 768, "num_layers": 12, "num_heads": 12, "pretrained_encoder": False},
}
"""Configs of the backbone `tiny_llava`: its default, and one of the size of GPT-2."""


class Decoding:
    """A linked model without a trained weight, the same one bare, and the ways to decode."""

    def __init__(self, size: str, num_rows: int, num_tokens: int) -> None:
        if num_rows < 1 or num_tokens < num_rows + 3:
            raise InputError(
                "Expected at least 1 row, and 3 tokens more than rows. "
                f"Received: --rows {num_rows} --tokens {num_tokens}"
            )
        decoder = {"name": "toy.box", "num_queries": NUM_QUERIES}
        config = {"backbone": {"name": "tiny_llava", "config": SIZES[size]}, "decoders": [decoder]}
        torch.manual_seed(0)
        self.bare = build_model(config, toy_registry()).detach().eval()
        torch.manual_seed(0)
        backbone = build_model(config, toy_registry()).detach().eval()
        self.model = attach(backbone, decoders=[decoder], registry=toy_registry()).eval()
        self.num_tokens = num_tokens
        questions = itertools.islice(itertools.cycle(CONTENTS), num_rows)
        self.samples = [Sample((Message("user", text),)) for text in questions]
        self.inputs = self._encode(self.samples)
        self.rows = [self._encode([sample]) for sample in self.samples]
        # One token a word and a blank; the route comes later in each row.
        words = ["dog " * (num_tokens // 2) + "dog" * (num_tokens % 2)] * num_rows
        self.plain = words
        self.routed = [
            "dog" * (row + 1) + "[BOX]" + "dog" * (num_tokens - row - 2) for row in range(num_rows)
        ]

    def _encode(self, samples: list[Sample]) -> dict[str, Tensor]:
        encoded = self.model.processor.encode(
            samples, padding_side="left", add_generation_prompt=True
        )
        return encoded.inputs

    def transformers(self, index: int = 0) -> Tensor:
        """The bare model's own `generate`."""
        length = self.num_tokens
        ids: Tensor = self.bare.model.generate(
            **self.inputs, max_new_tokens=length, min_new_tokens=length, do_sample=False
        )
        return ids

    def linked(self, index: int = 0) -> list[GeneratedRow]:
        """With the link, and no row may route."""
        return self._generate(self.inputs, max_routes=0, settings=self._endless())

    def alone(self, index: int = 0) -> list[GeneratedRow]:
        """One row after the other."""
        parts = [self._generate(row, max_routes=0, settings=self._endless()) for row in self.rows]
        return [row for part in parts for row in part]

    def scripted(self, index: int = 0) -> list[GeneratedRow]:
        """A text that is given, without a route."""
        with Script(self.model.backbone, self.plain):
            return self._generate(self.inputs)

    def block(self, index: int = 0) -> list[GeneratedRow]:
        """A text with one route in each row."""
        with Script(self.model.backbone, self.routed):
            return self._generate(self.inputs, feeding="block")

    def stepwise(self, index: int = 0) -> list[GeneratedRow]:
        """The same, slots one by one."""
        with Script(self.model.backbone, self.routed):
            return self._generate(self.inputs, feeding="stepwise")

    def _endless(self) -> dict[str, Any]:
        return {"min_new_tokens": self.num_tokens}

    def _generate(self, inputs: dict[str, Tensor], **options: Any) -> list[GeneratedRow]:
        chosen = GenerationOptions(self.num_tokens, **options)
        return generate(self.model.backbone, inputs, self.model.vocabulary, chosen)

    def facts(self) -> dict[str, Any]:
        """Sizes, forwards, and whether the parts did the same work."""
        width = self.inputs["input_ids"].shape[1]
        written = [row.ids for row in self.linked()]
        facts: dict[str, Any] = {
            "parameters": sum(p.numel() for p in self.bare.parameters()),
            "rows": len(self.samples),
            "queries": NUM_QUERIES,
            "prompt_tokens": width,
            "new_tokens": self.num_tokens,
            "linked writes what transformers writes": written
            == self.transformers()[:, width:].tolist(),
        }
        for name, part, model in (
            ("transformers", self.transformers, self.bare.model),
            ("linked", self.linked, self.model.backbone.model),
            ("block", self.block, self.model.backbone.model),
            ("stepwise", self.stepwise, self.model.backbone.model),
        ):
            forwards: list[int] = []
            handle = model.register_forward_hook(lambda *_, seen=forwards: seen.append(1))
            rows = part()
            handle.remove()
            facts[f"forwards, {name}"] = len(forwards)
            if name in ("block", "stepwise"):
                facts[f"routes, {name}"] = sum(len(row.states) for row in rows)
                facts[f"tokens, {name}"] = sum(len(row.ids) for row in rows)
        return facts


def main() -> None:
    """Measure, and show the result."""
    chosen = arguments(
        __doc__,
        model={"choices": SIZES, "default": "tiny", "help": "size of the backbone"},
        rows={"type": int, "default": 1, "help": "questions in the batch (default: 1)"},
        tokens={"type": int, "default": 48, "help": "tokens to write (default: 48)"},
    )
    quiet_transformers()
    decoding = Decoding(chosen.model, chosen.rows, chosen.tokens)
    parts = {
        name: getattr(decoding, name)
        for name in ("transformers", "linked", "scripted", "block", "stepwise", "alone")
    }
    seconds = take_turns(parts, chosen.pairs)
    compared = (
        ("linked", "transformers"),
        ("block", "scripted"),
        ("stepwise", "scripted"),
        ("alone", "linked"),
    )
    ratios = {f"{a} / {b}": ratio([seconds[a]], [seconds[b]]) for a, b in compared}
    command = (
        f"python tests/benchmarks/generation_overhead.py --model {chosen.model} "
        f"--rows {chosen.rows} --tokens {chosen.tokens} --pairs {chosen.pairs}"
    )
    name = f"generation, {chosen.model}, batch {chosen.rows}"
    Report(name, command, seconds, ratios, decoding.facts()).show(chosen.json)


if __name__ == "__main__":
    main()
