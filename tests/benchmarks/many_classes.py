"""What do many classes in one reply cost the LLM?

A linked model without a trained weight, an image, and `--forced` and `--generated` classes:

  forced     `SuperLinkModel.answer` with forced routing: text, forward, decoder, reply
  linked     the forward of the LLM in it, with the queries in their slots
  plain      the bare model's forward over as many tokens, the same image among them
  one by one `answer` with a question for each of the classes, eight in a batch
  generated  an answer that routes to its classes, scripted; slots enter as a block
  scripted   a text of as many tokens without a route

`forwards` of the language model are counted, not timed. Times are processor times of one thread;
each pair runs every part once, in random order.
"""

from __future__ import annotations

import itertools
import warnings
from string import ascii_lowercase
from typing import Any

import torch
from generation_overhead import SIZES
from pairs import Report, arguments, ratio, take_turns
from PIL import Image
from torch import Tensor

from superlink import IMAGE, Message, Reply, Sample, attach, build_model, find_classes
from superlink.backbones.quiet import quiet_transformers
from superlink.errors import InputError
from superlink.link import GeneratedRow, GenerationOptions, generate
from superlink.tasks.chunks import listed, listed_routes
from superlink.testing.backbones import Script
from superlink.testing.models import toy_registry

NUM_QUERIES = 4
TOKEN = "[BOX]"


class Asking:
    """A linked model, the same one bare, and the ways to ask them."""

    def __init__(self, size: str, num_forced: int, num_generated: int) -> None:
        if min(num_forced, num_generated) < 1:
            raise InputError(
                "Expected at least one class of each. "
                f"Received: --forced {num_forced} --generated {num_generated}"
            )
        decoder = {"name": "toy.box", "num_queries": NUM_QUERIES}
        letters = itertools.product(ascii_lowercase, repeat=2)
        self.names = [f"class{a}{b}" for a, b in itertools.islice(letters, num_forced)]
        settings = {**SIZES[size], "words": tuple(self.names)}
        config = {"backbone": {"name": "tiny_llava", "config": settings}, "decoders": [decoder]}
        torch.manual_seed(0)
        self.bare = build_model(config, toy_registry()).detach().eval()
        torch.manual_seed(0)
        backbone = build_model(config, toy_registry()).detach().eval()
        self.model = attach(backbone, decoders=[decoder], registry=toy_registry()).eval()
        self.image = Image.linear_gradient("L").convert("RGB")
        question = Message("user", (IMAGE, f"Find: {listed(self.names)}"))
        answer = Message("assistant", listed_routes(self.names, TOKEN))
        self.sample = Sample((question, answer), (self.image,))
        self.inputs = self.model.processor.encode([self.sample]).inputs
        # Slots are ids of the link alone: a bare model reads a word in the place of each control.
        word = self.bare.tokenize("dog")[0]
        ids = self.inputs["input_ids"]
        controls = torch.isin(ids, torch.tensor([*self.model.vocabulary.ids.values()]))
        self.words = {**self.inputs, "input_ids": ids.masked_fill(controls, word)}
        asked = Sample((Message("user", (IMAGE, "Find: dog")),), (self.image,))
        self.prompt = self.model.processor.encode(
            [asked], padding_side="left", add_generation_prompt=True
        ).inputs
        self.routed = listed_routes(["dog"] * num_generated, TOKEN)
        self.num_tokens = len(backbone.tokenize(self.routed))
        self.unrouted = "dog " * (self.num_tokens // 2) + "dog" * (self.num_tokens % 2)

    def forced(self, index: int = 0) -> Reply:
        """One reply to all classes, from text to boxes."""
        return self.model.answer([self.sample], "forced")[0]

    @torch.no_grad()
    def linked(self, index: int = 0) -> Tensor:
        """The forward of the LLM with the link."""
        return self.model.backbone(self.inputs).last_hidden_state

    @torch.no_grad()
    def plain(self, index: int = 0) -> Tensor:
        """The forward of the bare LLM."""
        return self.bare(self.words).last_hidden_state

    def one_by_one(self, index: int = 0) -> Reply:
        """A question for each class."""
        return find_classes(self.model, self.image, self.names, token=TOKEN, classes_per_reply=1)

    def generated(self, index: int = 0) -> list[GeneratedRow]:
        """An answer with routes."""
        return self._write(self.routed)

    def scripted(self, index: int = 0) -> list[GeneratedRow]:
        """A text without a route."""
        return self._write(self.unrouted)

    def _write(self, text: str) -> list[GeneratedRow]:
        options = GenerationOptions(self.num_tokens + 1)  # and the end of the answer
        with Script(self.model.backbone, [text]):
            return generate(self.model.backbone, self.prompt, self.model.vocabulary, options)

    def facts(self) -> dict[str, Any]:
        """Sizes, and forwards of the language model."""
        facts: dict[str, Any] = {
            "parameters": sum(p.numel() for p in self.bare.parameters()),
            "queries": NUM_QUERIES,
            "classes, forced": len(self.names),
            "tokens, forced": self.inputs["input_ids"].shape[1],
            "tokens, plain": self.words["input_ids"].shape[1],
        }
        for name, part in self.parts().items():
            backbone = self.bare if name == "plain" else self.model.backbone
            forwards: list[int] = []
            handle = backbone.embedding_modules()[0].register_forward_hook(
                lambda *_, seen=forwards: seen.append(1)
            )
            result = part()
            handle.remove()
            facts[f"forwards, {name}"] = len(forwards)
            if name in ("forced", "one by one"):
                facts[f"routes, {name}"] = len(result.routes)
            if name in ("generated", "scripted"):
                facts[f"routes, {name}"] = sum(len(row.states) for row in result)
                facts[f"tokens, {name}"] = sum(len(row.ids) for row in result)
        return facts

    def parts(self) -> dict[str, Any]:
        """The ways to ask, by name."""
        names = ("forced", "linked", "plain", "one by one", "generated", "scripted")
        return {name: getattr(self, name.replace(" ", "_")) for name in names}


def main() -> None:
    """Measure, and show the result."""
    chosen = arguments(
        __doc__,
        model={"choices": SIZES, "default": "wide", "help": "size of the backbone"},
        forced={"type": int, "default": 80, "help": "classes of the forced answer (default: 80)"},
        generated={"type": int, "default": 20, "help": "classes of the written one (default: 20)"},
    )
    quiet_transformers()
    warnings.simplefilter("ignore")
    asking = Asking(chosen.model, chosen.forced, chosen.generated)
    facts = asking.facts()
    seconds = take_turns(asking.parts(), chosen.pairs)
    compared = (
        ("linked", "plain"),
        ("forced", "plain"),
        ("one by one", "forced"),
        ("generated", "scripted"),
    )
    ratios = {f"{a} / {b}": ratio([seconds[a]], [seconds[b]]) for a, b in compared}
    command = (
        f"python tests/benchmarks/many_classes.py --model {chosen.model} --forced {chosen.forced} "
        f"--generated {chosen.generated} --pairs {chosen.pairs}"
    )
    name = f"many classes, {chosen.model}, {chosen.forced} forced, {chosen.generated} generated"
    Report(name, command, seconds, ratios, facts).show(chosen.json)


if __name__ == "__main__":
    main()
