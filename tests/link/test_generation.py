"""States of slots in generation are those of a forward over the finished text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from superlink.backbones.transformers import TransformersBackbone
from superlink.build import attach
from superlink.interfaces import IMAGE, Message, Sample
from superlink.link import GenerationOptions, generate, generation
from superlink.testing import TOY_BOX
from superlink.testing.backbones import Script, tiny_backbone
from superlink.testing.models import TOY_SPOT, toy_model, toy_registry

ARCHITECTURES = ["llava", "qwen2_5_vl"]
WRITTEN = [
    "there is nothing to see here",
    "I see <p>a dog</p>[BOX] and that is all",
    "<p>a cat</p>[SPOT] and <p>a car</p>[DOT] then [BOX]",
]
QUESTIONS = ["Find: dog", "What is in the image? Answer in a word", "Find: cat, car"]


@pytest.fixture(scope="module")
def models():
    return {name: toy_model(name) for name in ARCHITECTURES}


def photo(seed):
    pixels = np.random.default_rng(seed).integers(0, 255, (50 + 8 * seed, 40, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def question(index):
    return Sample((Message("user", (IMAGE, QUESTIONS[index])),), (photo(index),))


def write(model, rows, **options):
    """Let the model write `WRITTEN[i]` for each of `rows`, and return what it kept."""
    samples = [question(i) for i in rows]
    encoded = model.processor.encode(samples, padding_side="left", add_generation_prompt=True)
    options = GenerationOptions(**{"max_new_tokens": 40} | options)
    with Script(model.backbone, [WRITTEN[i] for i in rows]):
        return generate(model.backbone, encoded.inputs, model.vocabulary, options)


@torch.no_grad()
def read(model, rows, side="right"):
    """States of the slots in one uncached forward over the finished conversations."""
    samples = [
        Sample((*question(i).messages, Message("assistant", WRITTEN[i])), question(i).images)
        for i in rows
    ]
    encoded = model.processor.encode(samples, padding_side=side)
    hidden = model.backbone(encoded.inputs).last_hidden_state
    states = [[] for _ in rows]
    for route in encoded.routes:
        first, width = route.position + 1, model.vocabulary.bindings[route.token].num_queries
        states[route.row].append(hidden[route.row, first : first + width])
    return states


def difference(left, right):
    """The largest difference of two lists of states; they must have the same shapes."""
    assert [[s.shape for s in row] for row in left] == [[s.shape for s in row] for row in right]
    pairs = zip(left, right, strict=True)
    return max((a - b).abs().max() for x, y in pairs for a, b in zip(x, y, strict=True))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_states_of_rows_that_route_at_different_steps_equal_a_whole_forward(models, architecture):
    model = models[architecture]
    rows = write(model, [0, 1, 2])
    assert [model.backbone.decode(row.ids) for row in rows] == WRITTEN
    assert [[s.shape[0] for s in row.states] for row in rows] == [[], [2], [3, 3, 2]]
    assert difference([row.states for row in rows], read(model, [0, 1, 2])) <= 1e-4
    boxes = rows[1].states[0], rows[2].states[2]
    assert (boxes[0] - boxes[1]).abs().max() > 1e-2  # the states do depend on the conversation


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_states_of_a_batch_equal_those_of_its_rows_alone(models, architecture):
    model = models[architecture]
    together = [row.states for row in write(model, [2, 0, 1])]
    alone = [write(model, [i])[0].states for i in (2, 0, 1)]
    assert difference(together, alone) <= 1e-4
    assert difference(read(model, [2, 0, 1]), [read(model, [i])[0] for i in (2, 0, 1)]) <= 1e-4


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_states_of_left_and_right_padded_batches_are_equal(models, architecture):
    model = models[architecture]
    assert difference(read(model, [0, 1, 2], "left"), read(model, [0, 1, 2], "right")) <= 1e-4


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_states_behind_several_routes_of_earlier_turns_equal_a_whole_forward(models, architecture):
    model = models[architecture]
    (asked,) = question(2).messages
    again = "<p>dog</p>[BOX] <p>cat</p>[SPOT] <p>car</p>[BOX]"
    turns = [asked]
    for answer in (WRITTEN[2], WRITTEN[1]):
        turns += [Message("assistant", answer), Message("user", "and now")]
    whole = Sample((*turns, Message("assistant", again)), (photo(2),))
    encoded = model.processor.encode(
        [Sample(tuple(turns), (photo(2),)), question(0)],
        padding_side="left",
        add_generation_prompt=True,
    )
    with Script(model.backbone, [again, WRITTEN[1]]):
        rows = generate(model.backbone, encoded.inputs, model.vocabulary, GenerationOptions(40))
    read = model.processor.encode([whole])
    with torch.no_grad():
        hidden = model.backbone(read.inputs).last_hidden_state[0]
    ids, states = read.inputs["input_ids"][0].tolist(), []
    assert [route.turn for route in read.routes] == [1] * 3 + [3] + [5] * 3
    for route in read.routes:
        slots = model.vocabulary.slot_ids(model.vocabulary.bindings[route.token])
        first = route.position + 1
        assert ids[first : first + len(slots)] == slots  # whole, and right behind its own token
        states.append(hidden[first : first + len(slots)])
    assert difference([rows[0].states], [states[4:]]) <= 1e-4


@pytest.mark.parametrize("num_queries", [1, 16, 64])
def test_a_token_may_have_any_number_of_queries(num_queries):
    model = toy_model(specs=(replace(TOY_BOX, num_queries=num_queries), TOY_SPOT))
    assert len(model.vocabulary.slots["toy.box"]) == num_queries
    rows = write(model, [1, 2])
    assert [[len(s) for s in row.states] for row in rows] == [[num_queries], [3, 3, num_queries]]
    assert difference([row.states for row in rows], read(model, [1, 2])) <= 1e-4


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_routing_token_as_the_last_token_still_gets_its_states(models, architecture):
    model = models[architecture]
    upto = WRITTEN[1].partition("[BOX]")
    length = len(model.backbone.tokenize("".join(upto[:2])))
    cut, whole = write(model, [1], max_new_tokens=length), write(model, [1])
    assert len(cut[0].ids) == length
    assert difference([cut[0].states], [whole[0].states]) <= 1e-6


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_logits_after_a_route_are_those_of_each_row_alone(models, architecture, monkeypatch):
    model = models[architecture]
    read_last, seen = generation._updated, []
    monkeypatch.setattr(
        generation, "_updated", lambda *args: seen.append(read_last(*args)) or seen[-1]
    )

    def run(rows):
        samples, step = [question(i) for i in rows], iter(range(99))

        def steer(module, args, logits):
            bonus = torch.zeros_like(logits)
            if next(step) == 2 and 1 in rows:  # row 1 routes, the others write what they like
                bonus[rows.index(1), :, model.vocabulary.ids["[BOX]"]] = 1e4
            return logits + bonus

        inputs = model.processor.encode(samples, padding_side="left").inputs
        handle = model.backbone.output_head().register_forward_hook(steer)
        seen.clear()
        generate(model.backbone, inputs, model.vocabulary, GenerationOptions(6))
        handle.remove()
        return torch.stack(seen)[[0, 2, 3, 4]]  # (steps, rows, V) without the steered one

    together = run([0, 1, 2])
    assert torch.cat([run([i]) for i in (0, 1, 2)], dim=1).sub(together).abs().max() <= 1e-4
    assert (together[:, 0] - together[:, 2]).abs().max() > 1e-2


def test_routing_costs_no_extra_forward(models):
    model, forwards = models["llava"], []
    handle = model.backbone.register_forward_hook(lambda *_: forwards.append(1))
    rows = write(model, [2])
    handle.remove()
    assert len(forwards) == len(rows[0].ids) + 1  # the prompt, and one for each token written


def test_forbidden_tokens_are_not_written_by_their_row_alone(models):
    model = models["llava"]
    samples = [question(1), question(2)]
    inputs = model.processor.encode(samples, padding_side="left", add_generation_prompt=True).inputs
    with Script(model.backbone, ["[BOX]", "[BOX]"]):
        rows = generate(
            model.backbone,
            inputs,
            model.vocabulary,
            GenerationOptions(1),
            forbidden=[frozenset({"[BOX]"}), frozenset()],
        )
    assert model.vocabulary.ids["[BOX]"] not in rows[0].ids
    assert rows[1].ids == [model.vocabulary.ids["[BOX]"]]


def test_table_with_spare_rows_takes_the_link_and_no_slot_is_written():
    bare = tiny_backbone("qwen2_5_vl")
    with torch.random.fork_rng():
        bare.model.resize_token_embeddings(bare.vocab_size + 64, mean_resizing=False)
    backbone = TransformersBackbone(bare.model, bare.processor)
    model = attach(backbone, decoders=["toy.box"], registry=toy_registry())
    slots = [model.vocabulary.ids[slot] for slot in model.vocabulary.slots["toy.box"]]
    assert max(slots) < model.backbone.vocab_size == model.hooks.width
    rows = write(model, [0, 1])
    assert difference([row.states for row in rows], read(model, [0, 1])) <= 1e-4
    inputs = model.processor.encode([question(0)], padding_side="left").inputs
    with Script(model.backbone, [""]) as script:
        script.scripts[0].insert(0, slots[0])
        row = generate(model.backbone, inputs, model.vocabulary, GenerationOptions(1))[0]
    assert not set(row.ids) & set(slots)


def test_no_new_tokens_gives_empty_rows(models):
    assert write(models["llava"], [1], max_new_tokens=0)[0].ids == []
