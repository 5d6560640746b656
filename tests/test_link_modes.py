"""Decoders linked by queries, by the rows of tokens as in LISA, or by text alone."""

from __future__ import annotations

import json
from functools import cached_property

import pytest
import torch
from PIL import Image

from superlink import attach, load, save
from superlink.errors import ConfigError, InputError, RoutingError
from superlink.interfaces import IMAGE, Message, Sample
from superlink.link import Binding, RoutingVocabulary
from superlink.testing.backbone_case import BackboneCase
from superlink.testing.backbone_checks import BACKBONE_CHECKS
from superlink.testing.backbones import Script, tiny_backbone
from superlink.testing.checks import run_checks
from superlink.testing.models import toy_registry

MODES = ["queries", "token_rows", "text"]
BANKS_READ_BY_NAME = ("gradient", "half")  # these checks want a bank behind each token
TARGET = {"bboxes": torch.tensor([[4.0, 4.0, 20.0, 20.0]]), "labels": torch.tensor([0])}
ANSWER = "<p>a cat</p>[SPOT] and <p>the red car</p>[DOT] then <p>dog</p>[BOX]"


def build(link="queries", architecture="llava", **choice):
    """A model with `[SPOT]` and `[DOT]`, linked as asked, beside `[BOX]`, linked by queries."""
    torch.manual_seed(0)
    choices = ["toy.box", {"name": "toy.spot", "link": link, **choice}]
    return attach(tiny_backbone(architecture), decoders=choices, registry=toy_registry()).eval()


def sample(answer="<p>dog</p>[SPOT].", targets=(TARGET,), color="red"):
    messages = (Message("user", (IMAGE, "Find: dog")), Message("assistant", answer))
    return Sample(messages, (Image.new("RGB", (40, 60), color),), targets=targets)


def condition(model, answer, decoder="toy.spot"):
    with torch.no_grad():
        return model(**model.processor([sample(answer, ())], run_decoders=False)).links[decoder]


@pytest.mark.parametrize(
    ("link", "num_slots", "places"),
    [("queries", 3, [8, 9, 10]), ("token_rows", 2, [7, 8, 9]), ("text", 0, [])],
)
def test_mode_says_what_stands_behind_a_token_and_where_states_are_read(link, num_slots, places):
    binding = Binding("[SEG]", "a.b", "a.b", num_queries=3, link=link)
    assert binding.num_slots == num_slots
    assert [*binding.states_at(7)] == places


def test_one_token_row_is_the_token_itself():
    vocabulary = RoutingVocabulary([Binding("[SEG]", "a.b", "a.b", 1, link="token_rows")])
    assert vocabulary.tokens == ("<p>", "</p>", "[SEG]")
    assert vocabulary.expand("x [SEG].") == "x [SEG]."
    model = build("token_rows", num_queries=1)
    batch = model.processor([sample()])
    with torch.no_grad():
        links = model(**batch).links["toy.spot"]
        hidden = model.backbone(batch["inputs"]).last_hidden_state
    at = batch["inputs"]["input_ids"] == model.vocabulary.ids["[SPOT]"]
    expected = model.connectors["toy-spot/toy-spot"](hidden[at][:, None])
    assert torch.allclose(links.states, expected, atol=1e-5)
    assert [*model.queries.banks] == ["toy-box"]  # no queries behind the others


def test_bank_of_two_modes_is_refused():
    bindings = [Binding("[A]", "a.a", "bank", 2), Binding("[B]", "b.b", "bank", 2, link="text")]
    with pytest.raises(RoutingError, match="'queries' and 'text'"):
        RoutingVocabulary(bindings)


@pytest.mark.parametrize("link", MODES)
@pytest.mark.parametrize("num_queries", [1, 3])
def test_generated_routes_give_the_predictions_of_forced_ones(link, num_queries):
    """Training, forced routing and cached generation, alone and in a batch, are one."""
    model = build(link, num_queries=num_queries)
    answers = ["no dog here", ANSWER, "<p>dog</p>[DOT]"]
    asked = [Sample(sample(color=c).messages[:1], sample(color=c).images) for c in ("red",) * 3]
    with Script(model.backbone, answers):
        written = model.answer(asked)
    forced = [model.answer([sample(a, ())], "forced")[0] for a in answers]
    assert [reply.text for reply in written] == [reply.text for reply in forced]
    assert [len(reply.predictions) for reply in written] == [0, 3, 1]
    for reply, other in zip(written, forced, strict=True):
        for found, expected in zip(reply.predictions, other.predictions, strict=True):
            assert (found.bboxes - expected.bboxes).abs().max() <= 1e-3  # of up to 60 pixels


@pytest.mark.parametrize("link", MODES)
def test_condition_of_a_batch_is_that_of_its_rows(link):
    model = build(link)
    rows = [sample("no dog", ()), sample(ANSWER, ()), sample("<p>a dog</p>[DOT]", (), "blue")]
    with torch.no_grad():
        together = model(**model.processor(rows, run_decoders=False)).links["toy.spot"].states
        alone = [model(**model.processor([row], run_decoders=False)) for row in rows[1:]]
    singles = torch.cat([out.links["toy.spot"].states for out in alone])
    assert (together - singles).abs().max() <= 1e-4


@pytest.mark.parametrize("link", MODES)
def test_decoder_gradient_reaches_the_llm_unless_it_is_told_words_alone(link):
    model = build(link, architecture="qwen2_5_vl")
    model(**model.processor([sample()])).losses["toy.spot/l1"][0].backward()
    inside = [*model.backbone.parameters(), *model.queries.parameters()]
    reached = any(p.grad is not None and bool(p.grad.any()) for p in inside)
    assert reached == (link != "text")
    own = [p for p in model.connectors["toy-spot/toy-spot"].parameters() if p.grad is not None]
    assert any(parameter.grad.any() for parameter in own)


def test_text_link_hears_the_words_and_their_order_and_nothing_else():
    model = build("text")
    first, same, other, turned = (
        condition(model, answer).states
        for answer in (
            "<p>car dog</p>[SPOT]",
            "I see a thing, <p>car dog</p>[SPOT]",
            "<p>car cat</p>[SPOT]",
            "<p>dog car</p>[SPOT]",
        )
    )
    assert torch.equal(first, same)
    assert (first - other).abs().max() > 1e-3
    assert (first - turned).abs().max() > 1e-3


def test_text_link_reads_a_phrase_that_looks_like_a_token_as_words():
    model = build("text")
    phrase = model.vocabulary.escape("[BOX]")
    assert condition(model, f"<p>{phrase}</p>[SPOT]").phrases == ("[BOX]",)


def test_text_link_refuses_a_route_without_words():
    model = build("text")
    with pytest.raises(InputError, match=r"'toy.spot' is linked by text.*\[SPOT\] without a"):
        model.processor([sample("[SPOT]")])
    reply = model.answer([sample("a dog [SPOT] <p>dog</p>[BOX]", ())], "forced")[0]
    assert [failure.call.decoder for failure in reply.failures] == ["toy.spot"]
    assert len(reply.predictions) == 1
    links = condition(model, "[SPOT]")  # a lesson in words asks nothing of the decoder
    assert links.states.isfinite().all()


@pytest.mark.parametrize("link", MODES[1:])
@pytest.mark.parametrize("answer", ["no dog", "<p>dog</p>[SPOT]"])
def test_idle_passes_reach_every_part_of_the_link(link, answer):
    model = build(link).train()
    model.idle = True
    targets = (TARGET,) if "[SPOT]" in answer else ()
    model(**model.processor([sample(answer, targets)])).loss.backward()
    parts = (model.connectors, model.queries, model.decoders)
    assert [n for m in parts for n, p in m.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("link", MODES)
def test_mode_is_saved_and_loaded(link, tmp_path):
    model = build(link)
    folder = save(model, tmp_path / "model")
    again = load(folder, toy_registry())
    assert again.bound["toy.spot"].link == link
    assert torch.equal(condition(model, ANSWER).states, condition(again, ANSWER).states)


def test_checkpoint_from_before_the_choice_is_linked_by_queries(tmp_path):
    folder = save(build(), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    for entry in config["decoders"]:
        del entry["link"]
    (folder / "config.json").write_text(json.dumps(config))
    assert {bound.link for bound in load(folder, toy_registry()).bound.values()} == {"queries"}


def test_unknown_mode_is_refused():
    with pytest.raises(ConfigError, match=r"link.*'queries', 'token_rows' or 'text'"):
        build("words")


@pytest.mark.parametrize("num_queries", [1, 3])
@pytest.mark.parametrize("architecture", ["llava", "qwen2_5_vl"])
def test_states_of_token_rows_are_exact(num_queries, architecture):
    class Case(BackboneCase):
        @cached_property
        def model(self):
            _ = self.bare
            how = {"link": "token_rows", "num_queries": num_queries}
            choices = [{"name": name, **how} for name in ("toy.box", "toy.spot")]
            return attach(self.backbone, decoders=choices, registry=toy_registry()).eval()

    checks = [check for check in BACKBONE_CHECKS if check.name not in BANKS_READ_BY_NAME]
    results = run_checks(checks, Case(lambda: tiny_backbone(architecture)))
    assert [result for result in results if result.status == "failed"] == []
    assert {"exactness", "generation"} <= {r.topic for r in results if r.status == "passed"}
