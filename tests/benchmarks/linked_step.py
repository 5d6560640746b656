"""What does a link cost in training?

The model of `superlink demo` at batch 8: forward and backward of the linked model, against the sum
of its two halves, in one run:

  linked    all of it: LLaVA, the link, the connector, the detector, both losses
  llm       the same LLaVA on sequences of the same length, with no hook and no decoder
  decoder   connector and detector alone; the states of the slots and the maps of the shared image
            encoder are given as leaf tensors
  decoder, fixed image   the same, but the maps take no gradient

`processing` is the work of the loader (text, image, targets) for one batch, and in no ratio.
Times are processor times of one thread; each pair runs every part once, in random order.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pairs import Report, arguments, ratio, take_turns
from torch import Tensor, nn

from superlink import build_model
from superlink.backbones.quiet import quiet_transformers
from superlink.demo import DEMO_RECIPE
from superlink.interfaces import DecoderInputs, Route, Sample
from superlink.model import SuperLinkModel
from superlink.registry import default_registry
from superlink.training import Recipe, StageDataset, load_recipe
from superlink.training.dataset import open_data
from superlink.training.parameters import freeze

BATCH_SIZE = 8
_MODELS = ("masks", "poses", "pictures")
_EXAMPLES = Path(__file__).parents[2] / "examples"
NUM_BATCHES = 4
"""Pairs take turns at so many batches, so that no length or number of routes is special."""


@dataclass
class Work:
    """One batch, as each part wants it."""

    samples: list[Sample]
    batch: dict[str, Any]
    """What the linked model gets."""
    llm_inputs: dict[str, Tensor]
    """The same sequences, with an ordinary token where the link has one of its own."""
    decoder_inputs: DecoderInputs
    """What the detector gets, image features included."""
    states: Tensor
    """(R, Q, hidden_size), a leaf."""
    calls: list[list[Route]]
    """The routes of each call."""


class LinkedStep:
    """A linked model, its halves, and batches for them."""

    def __init__(self, recipe: Recipe) -> None:
        torch.manual_seed(recipe.seed)
        stage = recipe.stages[-1]
        self.model = build_model(recipe.model).train()
        freeze(self.model, stage, _fixed(self.model))
        (self.name,) = self.model.bound
        self.decoder = self.model.bound[self.name].decoder
        self.llm = _bare_llm(self.model)
        records, conversation = open_data(recipe.data[stage.data], default_registry())
        num_samples = NUM_BATCHES * BATCH_SIZE
        dataset = StageDataset(records, conversation, num_samples, recipe.seed)
        self.works = [
            self._work([dataset[i] for i in range(first, first + BATCH_SIZE)])
            for first in range(0, num_samples, BATCH_SIZE)
        ]

    def _work(self, samples: list[Sample]) -> Work:
        batch: dict[str, Any] = {**self.model.processor(samples)}
        calls = [[batch["routes"][i] for i in call.routes] for call in batch["calls"]]
        num_queries = self.model.bound[self.name].num_queries
        num_routes = sum(map(len, calls))
        states = torch.randn(num_routes, num_queries, self.model.backbone.hidden_size)
        with torch.no_grad():
            features = self.model.image_features(batch["inputs"], [self.name])
            given = batch["decoder_inputs"][self.name]
            given = self.model.with_features(self.name, given, features)
        return Work(
            samples, batch, self._without_link(batch), given, states.requires_grad_(), calls
        )

    def _without_link(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        linked = torch.tensor([*self.model.vocabulary.ids.values()])
        ordinary = self.model.backbone.tokenize("dog")[0]
        bare = {**batch["inputs"], "labels": batch["labels"]}
        for key in ("input_ids", "labels"):
            bare[key] = bare[key].masked_fill(torch.isin(bare[key], linked), ordinary)
        return bare

    def linked(self, index: int) -> None:
        """The whole step."""
        _forget_gradients(self.model)
        self.model(**self.works[index % NUM_BATCHES].batch).loss.backward()

    def bare_llm(self, index: int) -> None:
        """The step of the LLM, with the loss of transformers."""
        _forget_gradients(self.llm)
        self.llm(**self.works[index % NUM_BATCHES].llm_inputs).loss.backward()

    def bare_decoder(self, index: int, *, train_image: bool = True) -> None:
        """The step of the connector and the decoder."""
        _forget_gradients(self.model)
        work = self.works[index % NUM_BATCHES]
        work.states.grad = None
        maps = [
            one.detach().requires_grad_(train_image)
            for one in work.decoder_inputs.get("image_features", ())
        ]
        inputs = DecoderInputs(work.decoder_inputs, image_features=tuple(maps))
        links = self.model.link(self.name, work.calls, work.states)
        terms = self.decoder(links, inputs, mode="loss")
        losses = [total / max(float(count), 1.0) for total, count in terms.values()]
        torch.stack(losses).sum().backward()

    def processing(self, index: int) -> None:
        """What the loader does for one batch once its samples are there."""
        self.model.processor(self.works[index % NUM_BATCHES].samples)

    def facts(self) -> dict[str, Any]:
        """Sizes of the work."""
        shapes = [work.batch["inputs"]["input_ids"].shape for work in self.works]
        return {
            "batch_size": BATCH_SIZE,
            "tokens": [shape[1] for shape in shapes],
            "routes": [len(work.batch["routes"]) for work in self.works],
            "trained_parameters": _num_trained(self.model.parameters()),
            "trained_parameters_llm": _num_trained(self.llm.parameters()),
        }


def _fixed(model: SuperLinkModel) -> frozenset[str]:
    return frozenset(name for name, p in model.named_parameters() if not p.requires_grad)


def _bare_llm(model: SuperLinkModel) -> nn.Module:
    """A copy of the LLM as transformers knows it, made while the link is off."""
    backbone = model.detach()
    llm = copy.deepcopy(backbone.model)
    backbone.add_tokens(model.vocabulary.tokens)
    model.hooks.attach(backbone)
    return llm


def _forget_gradients(module: nn.Module) -> None:
    module.zero_grad(set_to_none=True)


def _num_trained(parameters: Iterable[Tensor]) -> int:
    return sum(p.numel() for p in parameters if p.requires_grad)


def main() -> None:
    """Measure, and show the result."""
    masks = {"action": "store_true", "help": "the model of examples/scenes, which has masks"}
    poses = {"action": "store_true", "help": "the model of examples/poses, which has keypoints"}
    pictures = {"action": "store_true", "help": "the model of examples/pictures that draws icons"}
    chosen = arguments(__doc__, masks=masks, poses=poses, pictures=pictures)
    quiet_transformers()
    recipe = load_recipe(DEMO_RECIPE)
    if chosen.masks:
        recipe = load_recipe(_EXAMPLES / "scenes" / "recipe.yaml", ["stages.3.data=detection"])
    if chosen.poses:
        recipe = load_recipe(_EXAMPLES / "poses" / "recipe.yaml", ["stages.3.data=poses"])
    if chosen.pictures:
        recipe = load_recipe(_EXAMPLES / "pictures" / "icons.yaml", ["stages.1.data=icons"])
    step = LinkedStep(recipe)
    fixed = "decoder, fixed image"
    seconds = take_turns(
        {
            "linked": step.linked,
            "llm": step.bare_llm,
            "decoder": step.bare_decoder,
            fixed: lambda index: step.bare_decoder(index, train_image=False),
            "processing": step.processing,
        },
        chosen.pairs,
    )
    linked, llm = [seconds["linked"]], seconds["llm"]
    ratios = {
        "linked / (llm + decoder)": ratio(linked, [llm, seconds["decoder"]]),
        f"linked / (llm + {fixed})": ratio(linked, [llm, seconds[fixed]]),
    }
    command = f"python tests/benchmarks/linked_step.py --pairs {chosen.pairs}"
    command += "".join(f" --{name}" for name in _MODELS if getattr(chosen, name))
    Report("linked training step", command, seconds, ratios, step.facts()).show(chosen.json)


if __name__ == "__main__":
    main()
