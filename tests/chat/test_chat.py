"""A conversation keeps what was said, sees its own routes, and is never half-written."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import superlink
from superlink import Chat, Message, Sample
from superlink.backbones.stepping import Cache
from superlink.errors import InputError
from superlink.interfaces import IMAGE, REGION, Region, ReplyEvent, TextEvent
from superlink.link import RegionConfig
from superlink.testing.backbones import Script
from superlink.testing.models import toy_model

ARCHITECTURES = ["llava", "qwen2_5_vl"]
TURNS = (
    ("Find: dog", "<p>dog</p>[BOX]", (40, 60)),
    ("How are you?", "fine", None),
    ("Find: cat and car", "a <p>cat</p>[BOX], <p>car</p>[BOX][SPOT].", (80, 20)),
    ("And now?", "nothing", None),
    ("Which is larger?", "the second", (30, 30)),
    ("Find: bus", "<p>bus</p>[SPOT] and <p>dog</p>[BOX]", None),
)
"""Question, answer, and the size of a new image: six turns, routes in three of them."""
FOREIGN = (
    "找到苹果和狗",
    "أين التفاحة؟",
    "🍎 👩‍👩‍👧 🇮🇳",
    "e\u0301 a\u0308 क्षि",
    "Где яблоко? 사과",
)
TYPED = "what are [BOX], [DET], <p>a</p>, <region>, <image>, <|assistant|> and <|toy.box_0|>?"


@pytest.fixture(scope="module")
def models():
    return {
        name: toy_model(name, regions=RegionConfig(image_size=32, dims=16))
        for name in ARCHITECTURES
    }


@pytest.fixture(params=ARCHITECTURES)
def model(models, request):
    return models[request.param]


def photo(seed=0, size=(40, 60)):
    pixels = np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def say(chat, written, prompt="Find: dog", image=None, **options):
    """Ask, with the answer given."""
    with Script(chat.model.backbone, [written]):
        return chat.ask(prompt, image, **options)


def state(chat):
    return chat.messages, chat.images, chat.regions


def talk(chat):
    """The six turns; their replies."""
    return [
        say(chat, written, prompt, size and photo(turn, size))
        for turn, (prompt, written, size) in enumerate(TURNS)
    ]


@pytest.fixture
def heard(model, monkeypatch):
    """What the model makes of a conversation: `states` of routes and `logits` of each answer."""
    found = {"states": [], "logits": []}
    link = model.link

    def keep_states(name, routes, states):
        found["states"] += states
        return link(name, routes, states)

    def keep_logits(backbone, arguments, options, output):
        if isinstance(options.get("cache"), Cache):  # a step of an answer
            found["logits"][-1] += output.logits[0]
        else:  # the question
            found["logits"].append([output.logits[0, -1]])

    monkeypatch.setattr(model, "link", keep_states)
    handle = model.backbone.register_forward_hook(keep_logits, with_kwargs=True)
    yield found
    handle.remove()


def test_conversation_of_six_turns_equals_the_same_history_fed_at_once(model, heard):
    chat = Chat(model, system="Be kind.")
    replies = talk(chat)
    assert [len(reply.routes) for reply in replies] == [1, 0, 3, 0, 0, 2]
    states, logits = heard["states"], list(heard["logits"])
    encoded = model.processor.encode([Sample(chat.messages, chat.images)])
    with torch.no_grad():
        once = model.backbone(encoded.inputs)
    for route, mine in zip(encoded.routes, states, strict=True):
        first = route.position + 1
        assert far(once.last_hidden_state[0, first : first + len(mine)], mine) <= 1e-4
    for turn, mine in enumerate(logits):
        assert len(mine) > len(TURNS[turn][1].split())
        first = question_length(chat, turn) - 1
        assert far(once.logits[0, first : first + len(mine)], torch.stack(mine)) <= 1e-4


def far(one, other):
    return (one - other).abs().max()


def question_length(chat, turn):
    """Tokens up to the place where the answer of a turn begins; a system message is the first."""
    messages = chat.messages[: 2 * turn + 2]
    images = chat.images[: sum(message.num_images for message in messages)]
    asked = chat.model.processor.encode([Sample(messages, images)], add_generation_prompt=True)
    return asked.inputs["input_ids"].shape[1]


def test_last_reply_equals_that_of_the_forced_history(model):
    chat = Chat(model)
    last = talk(chat)[-1]
    (forced,) = model.answer([Sample(chat.messages, chat.images)], "forced")
    assert (last.text, last.raw, last.calls) == (forced.text, forced.raw, forced.calls)
    assert [route.turn for route in last.routes] == [11, 11]
    assert {call.image for call in last.calls} == {2}
    for one, other in zip(last.predictions, forced.predictions, strict=True):
        assert (one.bboxes - other.bboxes).abs().max() <= 1e-3  # pixels
        assert (one.scores - other.scores).abs().max() <= 1e-4


def test_shipped_model_answers_a_history_as_at_once():
    pytest.importorskip("superlink_mmdet")
    from superlink.demo.shipped import MODEL

    model = superlink.load(MODEL)
    chat = Chat(model)
    written = ["<p>apple</p>[DET]", "no", "<p>car</p>[DET]"]
    picture = photo(size=(64, 48))
    replies = [
        say(chat, text, "Find it", picture if turn == 0 else None)
        for turn, text in enumerate(written)
    ]
    (forced,) = model.answer([Sample(chat.messages, chat.images)], "forced")
    (one,), (other,) = replies[-1].predictions, forced.predictions
    assert len(one.scores) == len(other.scores) > 0
    assert (one.scores - other.scores).abs().max() <= 1e-4
    assert (one.bboxes - other.bboxes).abs().max() <= 1e-2


def test_stream_tells_what_ask_answers(model):
    chat, other = Chat(model), Chat(model)
    reply = say(chat, TURNS[2][1], image=photo())
    with Script(model.backbone, [TURNS[2][1]]):
        *told, last = other.stream("Find: dog", photo())
    assert isinstance(last, ReplyEvent) and last.reply.raw == reply.raw
    assert "".join(event.text for event in told if isinstance(event, TextEvent)) == reply.text
    assert other.messages == chat.messages


def test_history_holds_routes_as_they_were_written(models):
    chat = Chat(models["llava"], system="Be kind.")
    say(chat, "<p>dog</p>[BOX]", image=photo())
    say(chat, "<p>cat</p>[BOX]", "and a cat?")
    assert chat.messages == (
        Message("system", "Be kind."),
        Message("user", (IMAGE, "Find: dog")),
        Message("assistant", "<p>dog</p>[BOX]"),
        Message("user", ("and a cat?",)),
        Message("assistant", "<p>cat</p>[BOX]"),
    )
    assert [image.size for image in chat.images] == [(40, 60)]


def test_images_come_at_any_turn_and_the_last_is_spoken_of(model):
    chat = Chat(model)
    assert say(chat, "hello", "hi").calls == ()
    first = say(chat, "<p>dog</p>[BOX]", image=[photo(0), photo(1, (20, 80))])
    again = say(chat, "<p>dog</p>[BOX]", "again")
    last = say(chat, "<p>dog</p>[BOX]", image=photo(0))
    assert [reply.calls[0].image for reply in (first, again, last)] == [1, 1, 2]
    assert first.predictions[0].bboxes[:, [0, 2]].max() <= 20
    assert len(chat.images) == 3


def test_text_alone_calls_nobody(model):
    reply = say(Chat(model), "[BOX]", "hi")
    assert not reply.routes and not reply.failures


@pytest.mark.parametrize("text", FOREIGN)
def test_other_languages_pass_through_unharmed(model, text):
    chat = Chat(model, system=text)
    assert say(chat, f"{text} <p>{text}</p>[BOX].", text, photo()).text == f"{text} {text}."
    with Script(model.backbone, [f"<p>{text}</p>[BOX]{text}"]):
        *told, last = chat.stream(text)
    assert "".join(event.text for event in told if isinstance(event, TextEvent)) == text + text
    assert last.reply.routes[0].phrase == text
    assert [message.text.count(text) for message in chat.messages] == [1, 1, 2, 1, 2]
    ids = model.processor.encode([Sample(chat.messages, chat.images)]).inputs["input_ids"][0]
    assert model.backbone.decode(ids.tolist()).count(text) == 7


def test_what_looks_like_control_is_text(model):
    chat = Chat(model, system=TYPED)
    copied = model.vocabulary.escape(TYPED)
    reply = say(chat, f"{copied} <p>dog</p>[BOX]", TYPED, photo())
    assert reply.text == f"{TYPED} dog" and len(reply.routes) == 1
    assert say(chat, "yes", TYPED).text == "yes"
    encoded = model.processor.encode([Sample(chat.messages, chat.images)])
    assert [(route.turn, route.phrase) for route in encoded.routes] == [(2, "dog")]
    assert chat.messages[1].text == TYPED


def test_special_token_of_an_answer_is_not_kept(model):
    """A model that writes a placeholder of an image would make its next turn unreadable."""
    image = next(token for token in model.backbone.special_tokens() if "image" in token)
    chat = Chat(model)
    assert say(chat, f"a {image}<p>dog</p>[BOX]<|user|>.", image=photo()).text == "a dog."
    assert chat.messages[-1].content == "a <p>dog</p>[BOX]."
    assert say(chat, "yes", "and now?").text == "yes"


def test_regions_of_any_turn_are_on_the_last_image_or_the_one_they_name(model):
    chat = Chat(model)
    corner = Region.box(0, 0, 10, 10)
    say(chat, "a dog", "what is <region>?", photo(0), regions=[corner])
    say(chat, "a cat", "and <region>?", photo(1, (20, 80)), regions=[Region.point((5, 70))])
    say(chat, "yes", "is <region> as <region>?", regions=[corner.on(0), corner])
    assert [region.image for region in chat.regions] == [0, 1, 0, 1]
    assert chat.messages[-2].parts == ("is ", REGION, " as ", REGION, "?")
    (forced,) = model.answer([Sample(chat.messages, chat.images, regions=chat.regions)], "forced")
    assert forced.text == "yes"


@pytest.mark.parametrize(
    ("arguments", "options", "reason"),
    [
        (("  ",), {}, "Expected a prompt that asks something"),
        (("half \udce4",), {}, "UTF-8 can write"),
        (("Find", "missing.jpg"), {}, "No such image file"),
        (("<region> <region>",), {"regions": [Region.point((1, 1))]}, "one <region> for each"),
        (("<region>",), {"regions": [Region.point((900, 1))]}, "inside of its image"),
        (("hi", 3), {}, "a path or a PIL image. Received: builtins.int"),
        (("hi",), {"images": [photo()]}, "Did you mean 'image'"),
        (("hi",), {"region": []}, "Did you mean 'regions'"),
        (("<region>", photo()), {"regions": Region.box(0, 0, 0.5, 1)}, "not shares of the image"),
        (("<region>",), {"regions": [Region.point((1, 1)).on(7)]}, "on an image that stands"),
        (("dog " * 1100,), {}, r"reads 1024 tokens at most.*`undo\(\)`"),
        (("Find",), {"max_new_tokens": 0}, r"no room for an answer.*`undo\(\)`"),
        (("Find",), {"forbidden": ["[CAR]"]}, "No decoder of this model answers to"),
    ],
)
def test_question_that_fails_leaves_the_conversation_as_it_was(model, arguments, options, reason):
    chat = Chat(model)
    say(chat, "<p>dog</p>[BOX]", image=photo())
    before = state(chat)
    with pytest.raises(superlink.SuperLinkError, match=reason):
        chat.ask(*arguments, **options)
    assert state(chat) == before
    assert say(chat, "yes", "and now?").text == "yes"


def test_conversation_that_grows_beyond_the_context_goes_on_after_undo(models):
    chat = Chat(models["llava"])
    with pytest.raises(InputError, match=r"reads 1024 tokens at most.*`undo\(\)`"):
        for _ in range(9):
            say(chat, "yes", "dog " * 100)
    assert len(chat.messages) == 10
    chat.undo()
    assert say(chat, "yes", "Find").text == "yes"


def test_template_that_knows_no_system_message_says_so(models, monkeypatch):
    model = models["llava"]
    template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    )
    monkeypatch.setattr(model.backbone.processor, "chat_template", template)
    chat = Chat(model, system="Be kind.")
    with pytest.raises(InputError, match=r"refuses a conversation: no system.*'system', 'user'"):
        chat.ask("Find")
    assert len(chat.messages) == 1


@pytest.mark.parametrize("system", ["", " ", "half \udce4"])
def test_system_message_that_says_nothing_is_refused(models, system):
    with pytest.raises(InputError, match="UTF-8 can write"):
        Chat(models["llava"], system=system)


def test_answer_that_finds_no_room_is_not_kept(models):
    model = models["qwen2_5_vl"]
    empty = model.processor.encode([Sample((Message("user", ""),))], add_generation_prompt=True)
    room = model.backbone.context_length - empty.inputs["input_ids"].shape[1]
    chat = Chat(model)
    with pytest.raises(InputError, match="no room for an answer"):
        say(chat, "yes", "." * room)
    assert chat.messages == ()


def test_answer_that_is_left_early_is_not_kept(model):
    chat = Chat(model)
    with Script(model.backbone, ["a long answer"]):
        events = chat.stream("Find", photo())
        next(events)
        events.close()
    assert state(chat) == ((), (), ())


def test_one_question_at_a_time(models):
    chat = Chat(models["llava"])
    with Script(chat.model.backbone, ["yes"]):
        events = chat.stream("first")
        next(events)
        chat.ask("second")
        with pytest.raises(InputError, match="one question at a time"):
            list(events)
    assert [message.text for message in chat.messages] == ["second", "yes"]


def test_error_while_answering_leaves_the_conversation_as_it_was(models, monkeypatch):
    chat = Chat(models["llava"])
    monkeypatch.setattr(chat.model, "_serve", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        say(chat, "<p>dog</p>[BOX]", image=photo())
    assert state(chat) == ((), (), ())


def test_undo_takes_back_question_answer_images_and_regions(models):
    chat = Chat(models["llava"], system="Be kind.")
    say(chat, "a dog", "what is <region>?", photo(0), regions=[Region.point((1, 1))])
    before = state(chat)
    say(chat, "a", "<region>?", [photo(1), photo(2)], regions=[Region.point((2, 2))])
    chat.undo()
    assert state(chat) == before
    chat.undo()
    assert state(chat) == ((Message("system", "Be kind."),), (), ())
    with pytest.raises(InputError, match="no question to take back"):
        chat.undo()
    with pytest.raises(InputError, match="no question to take back"):
        Chat(models["llava"]).undo()


def test_clear_keeps_the_system_message(models):
    chat = Chat(models["llava"], system="Be kind.")
    say(chat, "yes", "what is <region>?", photo(), regions=[Region.point((1, 1))])
    chat.clear()
    assert state(chat) == ((Message("system", "Be kind."),), (), ())


def test_model_is_left_as_it_was(models):
    model = models["llava"]
    model.train()
    say(Chat(model), "<p>dog</p>[BOX]", image=photo())
    assert model.training and torch.is_grad_enabled()
    model.eval()


def test_chats_of_one_model_do_not_meet(models):
    one, other = Chat(models["llava"]), Chat(models["llava"])
    say(one, "yes", "first")
    say(other, "no", "second")
    assert one.messages[0].text == "first" and len(other.messages) == 2


def test_a_chat_is_held_with_a_model_and_not_with_its_folder():
    with pytest.raises(InputError, match=r"use superlink.load.*Received: 'demo/model'"):
        Chat("demo/model")
