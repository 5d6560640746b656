"""What does a link cost in generation?

Greedy decoding of a left-padded batch of questions without images, by `superlink.link.generate`:

  linked        the link is attached, and no row routes
  bare          the same loop on a copy of the backbone that never had a link
  transformers  the copy's own `generate`

Then the link decodes rows that route, as long as the others, with 4 queries behind each route:

  plain         no row routes
  together      all rows route at the same steps: the slots ride with the routing tokens
  apart         the rows route at different steps: those that do not get holes
  one by one    no row routes, but each is longer by its slots: what slots would cost as tokens

All of these write scripted texts, so that the work is known. `forwards` are counted, not timed.
Times are processor times of one thread; each pair runs every part once, in random order.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from pairs import Report, arguments, ratio, take_turns
from torch import Tensor, nn

from superlink import Message, Sample, build_model
from superlink.backbones.quiet import quiet_transformers
from superlink.errors import InputError
from superlink.link import GeneratedRow, generate
from superlink.testing.models import toy_registry

NUM_QUERIES = 4
NUM_ROUTES = 4
"""Routes of each row."""
CONTENTS = ("cat", "Find: dog, cat", "person, ball, boat", "Find: person, cat, ball, boat")
"""Questions; rows repeat them in turn."""
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {},
    "wide": {"hidden_size": 768, "num_layers": 12, "num_heads": 12, "pretrained_encoder": False},
}
"""Configs of the backbone `tiny_llava`: its default, and one of the size of GPT-2."""


class Decoding:
    """A linked model without a trained weight, and the ways to decode with it."""

    def __init__(self, size: str, num_rows: int, num_tokens: int) -> None:
        if num_rows < 1 or num_tokens < 2 * NUM_ROUTES:
            raise InputError(
                f"Expected at least 1 row and {2 * NUM_ROUTES} tokens, for {NUM_ROUTES} routes. "
                f"Received: --rows {num_rows} --tokens {num_tokens}"
            )
        torch.manual_seed(0)
        self.model = build_model(
            {
                "backbone": {"name": "tiny_llava", "config": SIZES[size]},
                "decoders": [{"name": "toy.box", "num_queries": NUM_QUERIES}],
            },
            toy_registry(),
        ).eval()
        linked = self.model.detach()
        linked.eos_ids = frozenset  # no row ends before its time
        self.bare = copy.deepcopy(linked)
        self.model.hooks.attach(linked)
        self.num_tokens = num_tokens
        self.inputs = self._questions(num_rows)
        self.scripts = self._scripts(num_rows)

    def _questions(self, num_rows: int) -> dict[str, Tensor]:
        samples = [
            Sample((Message("user", text),))
            for text in itertools.islice(itertools.cycle(CONTENTS), num_rows)
        ]
        encoded = self.model.processor.encode(
            samples, padding_side="left", add_generation_prompt=True
        )
        return encoded.inputs

    def _scripts(self, num_rows: int) -> dict[str, Tensor]:
        """What the rows write in each case, as (rows, tokens)."""
        word = self.model.backbone.tokenize("dog")[0]
        token = self.model.vocabulary.ids["[BOX]"]
        plain = torch.full((num_rows, self.num_tokens), word)
        steps = torch.arange(NUM_ROUTES) * (self.num_tokens // NUM_ROUTES)
        together, apart = plain.clone(), plain.clone()
        together[:, steps] = token
        for row in range(num_rows):
            apart[row, (steps + row) % (self.num_tokens - 1)] = token
        slots = torch.full((num_rows, NUM_ROUTES * NUM_QUERIES), word)
        longer = torch.cat([plain, slots], dim=1)
        return {"plain": plain, "together": together, "apart": apart, "one by one": longer}

    def linked(self, index: int = 0) -> list[GeneratedRow]:
        """Decode with the link attached; no row may route."""
        return self._decode(self.model.backbone)

    def without_link(self, index: int = 0) -> list[GeneratedRow]:
        """Decode with the copy that has no link."""
        return self._decode(self.bare)

    def _decode(self, backbone: Any) -> list[GeneratedRow]:
        vocabulary = self.model.vocabulary
        return generate(
            backbone,
            self.inputs,
            vocabulary,
            max_new_tokens=self.num_tokens,
            forbidden=[frozenset(vocabulary.bindings)] * len(self.inputs["input_ids"]),
        )

    def transformers(self, index: int = 0) -> Tensor:
        """Decode with the copy's own `generate`."""
        length = self.num_tokens
        ids: Tensor = self.bare.model.generate(
            **self.inputs, max_new_tokens=length, min_new_tokens=length, do_sample=False
        )
        return ids

    def scripted(self, case: str) -> tuple[list[GeneratedRow], int]:
        """Decode what a script says; also returns the number of forwards."""
        script = self.scripts[case]
        with _writing(script, self.model.backbone.output_head()) as forwards:
            rows = generate(
                self.model.backbone,
                self.inputs,
                self.model.vocabulary,
                max_new_tokens=script.shape[1],
            )
        return rows, next(forwards)

    def facts(self) -> dict[str, Any]:
        """Sizes, forwards, and whether the parts did the same work."""
        written = [row.ids for row in self.linked()]
        num_columns = self.inputs["input_ids"].shape[1]
        facts: dict[str, Any] = {
            "parameters": sum(p.numel() for p in self.bare.parameters()),
            "rows": len(written),
            "prompt_tokens": num_columns,
            "new_tokens": self.num_tokens,
            "linked writes what bare writes": written == [r.ids for r in self.without_link()],
            "linked writes what transformers writes": written
            == self.transformers()[:, num_columns:].tolist(),
        }
        for case in self.scripts:
            rows, forwards = self.scripted(case)
            facts[f"forwards, {case}"] = forwards
            facts[f"routes, {case}"] = sum(len(row.states) for row in rows)
        return facts


@contextmanager
def _writing(script: Tensor, head: nn.Module) -> Iterator[Iterator[int]]:
    """Make `head` prefer the next column of `script` (rows, tokens) in each forward.

    Yields:
        A counter, whose next value is the number of forwards.
    """
    forwards, rows = itertools.count(), torch.arange(len(script))

    def steer(module: nn.Module, args: tuple[Any, ...], logits: Tensor) -> None:
        logits[rows, :, script[:, next(forwards)]] = 1e4

    handle = head.register_forward_hook(steer)
    try:
        yield forwards
    finally:
        handle.remove()


def main() -> None:
    """Measure, and show the result."""
    chosen = arguments(
        __doc__,
        model={"choices": SIZES, "default": "tiny", "help": "size of the backbone"},
        rows={"type": int, "default": 4, "help": "questions in the batch (default: 4)"},
        tokens={
            "type": int,
            "default": 32,
            "help": "tokens to write, routes included (default: 32)",
        },
    )
    quiet_transformers()
    decoding = Decoding(chosen.model, chosen.rows, chosen.tokens)
    parts = {
        "linked": decoding.linked,
        "bare": decoding.without_link,
        "transformers": decoding.transformers,
    }
    cases = {case: lambda index, case=case: decoding.scripted(case) for case in decoding.scripts}
    seconds = take_turns(parts | cases, chosen.pairs)
    compared = [("linked", "bare"), ("linked", "transformers")]
    compared += [(case, "plain") for case in ("together", "apart", "one by one")]
    ratios = {f"{a} / {b}": ratio([seconds[a]], [seconds[b]]) for a, b in compared}
    command = (
        f"python tests/benchmarks/generation_overhead.py --model {chosen.model} "
        f"--rows {chosen.rows} --tokens {chosen.tokens} --pairs {chosen.pairs}"
    )
    name = f"generation, {chosen.model}"
    Report(name, command, seconds, ratios, decoding.facts()).show(chosen.json)


if __name__ == "__main__":
    main()
