"""Routing tokens <-> ids <-> decoders."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from superlink.errors import PluginConflictError, RoutingError
from superlink.interfaces import IMAGE, Message, Route
from superlink.link import Binding, RoutingVocabulary

DET = Binding("[DET]", "mmdet.box", "mmdet.box", 2)
SEG = replace(DET, token="[SEG]")
GEN = Binding("[GEN]", "diffusers.image", "diffusers.image", 3, needs_image=False)


@pytest.fixture(scope="module")
def vocabulary():
    vocabulary = RoutingVocabulary([DET, SEG, GEN], ["<|end|>", "<|user|>", "<image>"])
    vocabulary.bind_ids(range(100, 100 + len(vocabulary.tokens)))
    return vocabulary


def test_tokens_list_controls_then_the_slots_of_each_bank(vocabulary):
    assert vocabulary.controls == ("<p>", "</p>", "[DET]", "[SEG]", "[GEN]")
    assert vocabulary.tokens[5:7] == ("<|mmdet.box_0|>", "<|mmdet.box_1|>")
    assert len(vocabulary.tokens) == 5 + 2 + 3


def test_expand_puts_the_slots_of_the_bank_behind_each_token(vocabulary):
    assert vocabulary.expand("a [SEG].") == "a [SEG]<|mmdet.box_0|><|mmdet.box_1|>."


def test_expand_of_slots_that_stand_in_the_text_makes_them_harmless(vocabulary):
    expanded = vocabulary.expand("[DET]<|mmdet.box_0|>")
    assert expanded.count("<|mmdet.box_0|>") == 1


@pytest.mark.parametrize(
    ("written", "text", "routes"),
    [
        ("no route", "no route", []),
        ("[GEN]", "", [("[GEN]", "", (0, 0))]),
        ("here [GEN] it is", "here  it is", [("[GEN]", "", (5, 5))]),
        ("a <p>red car</p>[DET].", "a red car.", [("[DET]", "red car", (2, 9))]),
        (
            "<p>dog</p>[DET][SEG] and <p>cat</p>[DET]",
            "dog and cat",
            [("[DET]", "dog", (0, 3)), ("[SEG]", "dog", (0, 3)), ("[DET]", "cat", (8, 11))],
        ),
        ("<p> dog </p> [DET]", " dog  ", [("[DET]", "dog", (1, 4))]),
        ("<p>dog</p> is it [DET]", "dog is it ", [("[DET]", "", (10, 10))]),
        ("<p></p>[DET]", "", [("[DET]", "", (0, 0))]),
        ("<p>dog[DET]", "dog", [("[DET]", "", (3, 3))]),
        ("dog</p>[DET]", "dog", [("[DET]", "", (3, 3))]),
        ("<p>big <p>dog</p>[DET]", "big dog", [("[DET]", "dog", (4, 7))]),
        ("一只<p>红色的狗</p>[DET]。", "一只红色的狗。", [("[DET]", "红色的狗", (2, 6))]),
        ("<p>קטן כלב</p>[DET] 🐕‍🦺", "קטן כלב 🐕‍🦺", [("[DET]", "קטן כלב", (0, 7))]),
        ("<p>dog</p>[DET]<|end|>", "dog", [("[DET]", "dog", (0, 3))]),
        ("<image><p>dog</p><|user|>[DET]", "dog", [("[DET]", "dog", (0, 3))]),
    ],
)
def test_parse_finds_phrases_in_the_visible_text(vocabulary, written, text, routes):
    parsed = vocabulary.parse(written)
    assert parsed.text == text
    assert list(parsed.routes) == routes


@given(st.lists(st.tuples(st.text(), st.text(), st.sampled_from(["[DET]", "[SEG]", "[GEN]"]))))
def test_span_of_every_phrase_cuts_it_out_of_the_visible_text(pieces):
    vocabulary = RoutingVocabulary([DET, SEG, GEN])
    escape = vocabulary.escape
    written = "".join(f"{escape(a)}<p>{escape(b)}</p>{token}" for a, b, token in pieces)
    parsed = vocabulary.parse(written)
    assert parsed.text == "".join(a + b for a, b, _ in pieces)
    assert [token for token, _, _ in parsed.routes] == [token for _, _, token in pieces]
    for (_, phrase, (start, end)), (_, expected, _) in zip(parsed.routes, pieces, strict=True):
        assert phrase == expected.strip() == parsed.text[start:end]


def test_parse_of_an_escaped_string_shows_it_and_calls_nobody(vocabulary):
    parsed = vocabulary.parse(f"you typed {vocabulary.escape('[DET]')} <p>dog</p>[DET]")
    assert parsed.text == "you typed [DET] dog"
    assert parsed.routes == (("[DET]", "dog", (16, 19)),)


def test_spell_of_a_token_written_letter_by_letter_calls_nobody(vocabulary):
    letters = {1: "[", 2: "DET", 3: "]", 4: "dog "}
    names = {i: token for token, i in vocabulary.ids.items()} | letters

    def decode(ids):
        return "".join(names[i] for i in ids)

    det = vocabulary.ids["[DET]"]
    assert vocabulary.spell([4, det], decode) == "dog [DET]"
    raw = vocabulary.spell([4, 1, 2, 3, det, det], decode)
    assert vocabulary.parse(raw).text == "dog [DET]"
    assert len(vocabulary.parse(raw).routes) == 2


def test_token_of_two_decoders_is_refused():
    with pytest.raises(PluginConflictError, match=r"\[DET\] for 'mmdet.box' and 'acme.box'"):
        RoutingVocabulary([DET, replace(DET, decoder="acme.box")])


def test_shared_bank_with_other_num_queries_is_refused():
    with pytest.raises(RoutingError, match=r"same num_queries and link. Received: 2 and 5"):
        RoutingVocabulary([DET, replace(SEG, num_queries=5)])


def test_locate_ids_without_the_routes_of_the_text_is_refused(vocabulary):
    messages = [Message("user", "find"), Message("assistant", "[DET]")]
    with pytest.raises(RoutingError, match="did not keep the routing tokens"):
        vocabulary.locate(0, messages, torch.tensor([1, 2, 3]))


def test_locate_a_routing_token_without_its_slots_is_refused(vocabulary):
    messages = [Message("user", "find"), Message("assistant", "[DET] dog")]
    ids = torch.tensor([1, vocabulary.ids["[DET]"], 7, 8])
    with pytest.raises(RoutingError, match="Expected 2 slots behind"):
        vocabulary.locate(0, messages, ids)


def test_locate_reads_prompts_only_where_control_is_allowed(vocabulary):
    det = [vocabulary.ids["[DET]"], *vocabulary.slot_ids(DET)]
    typed = Message("user", "<p>dog</p>[DET]")
    assert vocabulary.locate(0, [typed], torch.tensor([1])) == []
    allowed = replace(typed, allow_control=True)
    assert vocabulary.locate(3, [allowed], torch.tensor([1, *det])) == [
        Route(3, 0, "[DET]", "dog", (0, 3), position=1)
    ]


def test_group_joins_routes_of_one_turn_and_token_and_gives_the_last_image(vocabulary):
    conversation = [
        Message("user", (IMAGE, "find")),
        Message("assistant", "[DET] [SEG] [DET]"),
        Message("user", (IMAGE, IMAGE, "and here")),
        Message("assistant", "[DET]"),
    ]
    tokens = [(1, "[DET]"), (1, "[SEG]"), (1, "[DET]"), (3, "[DET]")]
    routes = [Route(0, turn, token) for turn, token in tokens] + [Route(1, 1, "[GEN]")]
    calls = vocabulary.group(routes, [conversation, [Message("user", "draw")] * 2])
    assert [(c.row, c.turn, c.routes, c.image) for c in calls] == [
        (0, 1, (0, 2), 0),
        (0, 1, (1,), 0),
        (0, 3, (3,), 2),
        (1, 1, (4,), None),
    ]
    assert [call.decoder for call in calls][-2:] == ["mmdet.box", "diffusers.image"]
