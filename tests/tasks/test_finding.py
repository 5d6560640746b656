"""`find_classes`: any number of classes, in one reply, whatever the size of the questions."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import superlink
from superlink import find_classes
from superlink.errors import ConfigError, InputError, RoutingError
from superlink.interfaces import InstancePrediction
from superlink.testing import Script, toy_model

NAMES = "ape bee cat dog eel fox gnu hen".split()


@pytest.fixture(scope="module")
def model():
    return toy_model()


@pytest.fixture(scope="module")
def by_phrase():
    """A model whose decoder goes by the phrase of a route alone: no, one or more instances."""
    made = toy_model()

    def instances(phrases):
        found = []
        for label, phrase in enumerate(phrases):
            rng = random.Random(phrase)
            for _ in range(rng.randint(0, 3)):
                found.append((round(rng.random(), 1), label, [rng.uniform(0, 30) for _ in "xyxy"]))
        found.sort(key=lambda item: -item[0])
        boxes = torch.tensor([box for _, _, box in found]).reshape(-1, 4)
        scores = torch.tensor([score for score, _, _ in found])
        labels = torch.tensor([label for _, label, _ in found], dtype=torch.long)
        masks = boxes[:, :1, None] < torch.arange(32).expand(1, 24, 32)  # (N, H, W)
        return InstancePrediction(boxes, scores, labels, phrases, masks)

    made.bound["toy.box"].decoder.predict = lambda links, inputs: [
        instances(links.phrases_of(call)) for call in range(links.num_calls)
    ]
    return made


@pytest.fixture(scope="module")
def image():
    pixels = torch.randint(0, 255, (24, 32, 3), generator=torch.Generator().manual_seed(0))
    return Image.fromarray(pixels.byte().numpy())


def find(model, image, classes=NAMES, **options):
    return find_classes(model, image, classes, **{"token": "[BOX]", **options})


def same_instances(one, other):
    return one.phrases == other.phrases and all(
        torch.equal(vars(one)[name], vars(other)[name])
        for name in ("bboxes", "scores", "labels", "masks")
        if vars(one)[name] is not None
    )


def boxes_by_name(prediction):
    names = [prediction.phrases[label] for label in prediction.labels.tolist()]
    return dict(zip(names, prediction.bboxes, strict=True))


def test_list_that_fits_one_reply_gives_what_predict_gives(model, image):
    listed = ", ".join(f"<p>{name}</p>[BOX]" for name in NAMES)
    plain = model.predict(f"Find: {', '.join(NAMES)}", image, answer=listed)
    merged = find(model, image, classes_per_reply=len(NAMES))
    assert (merged.text, merged.raw, merged.routes) == (plain.text, plain.raw, plain.routes)
    assert (merged.calls, merged.failures, merged.complete) == (plain.calls, (), True)
    assert same_instances(merged.predictions[0], plain.predictions[0])


@settings(max_examples=15)
@given(size=st.integers(1, 9), batch_size=st.integers(1, 4), names=st.permutations(NAMES))
def test_questions_of_any_size_give_the_same(by_phrase, image, size, batch_size, names):
    options = {"classes_per_reply": size, "batch_size": batch_size}
    whole = find(by_phrase, image, names, classes_per_reply=100)
    parts = find(by_phrase, image, names, **options)
    assert same_instances(whole.predictions[0], parts.predictions[0])
    assert (whole.text, whole.raw, whole.calls) == (parts.text, parts.raw, parts.calls)
    assert [r.span for r in whole.routes] == [r.span for r in parts.routes]
    few = find(by_phrase, image, names, max_per_image=4, **options)
    assert same_instances(few.predictions[0], whole.predictions[0].select(slice(4)))


@settings(max_examples=10)
@given(names=st.permutations(NAMES), size=st.integers(1, 9))
def test_labels_follow_the_names_in_any_order(model, image, names, size):
    """A class alone in its question has the same box in any order. Others come after different
    classes in an LLM that reads from left to right, and at other positions; in a model without
    training that moves boxes by some hundredths of the image."""
    (prediction,) = find(model, image, names, classes_per_reply=size).predictions
    assert prediction.phrases == tuple(names)
    assert sorted(prediction.labels.tolist()) == list(range(len(names)))
    (reference,) = find(model, image, classes_per_reply=size).predictions
    found, expected = boxes_by_name(prediction), boxes_by_name(reference)
    tolerance = 1e-3 if size == 1 else 0.1 * image.width
    for name in NAMES:
        torch.testing.assert_close(found[name], expected[name], atol=tolerance, rtol=0)


def test_order_moves_what_is_sure_by_little(tiny_demo_model):
    """A trained model: scores by at most 0.1, boxes by at most a hundredth of the image."""
    model, scene = superlink.load(tiny_demo_model / "model"), tiny_demo_model / "scene.png"
    names = ["apple", "dog", "boat", "person", "car", "fish"]
    found = []
    for order in (names, names[::-1], names[3:] + names[:3]):
        (prediction,) = find_classes(model, scene, order, max_per_image=None).predictions
        best = {}
        for score, label, box in zip(
            prediction.scores.tolist(), prediction.labels.tolist(), prediction.bboxes, strict=True
        ):
            best.setdefault(order[label], (score, box))
        found.append(best)
    for name in names:
        (score, box), *others = (best[name] for best in found)
        for other_score, other_box in others:
            assert other_score == pytest.approx(score, abs=0.1)
            if score > 0.5:
                torch.testing.assert_close(other_box, box, atol=5.12, rtol=0)


def test_generated_answers_are_merged_as_they_were_written(model, image):
    texts = ["<p>ape</p>[BOX], <p>fly</p>[SPOT]", "no <p>cat</p>[BOX]", "<p>eel</p>[BOX]" * 9]
    with Script(model.backbone, texts):
        reply = find(
            model, image, NAMES[:6], classes_per_reply=2, routing="generated", max_new_tokens=20
        )
    assert reply.raw.startswith(f"{texts[0]}, {texts[1]}, {texts[2][:12]}")
    assert not reply.complete
    assert [call.decoder for call in reply.calls] == ["toy.box", "toy.spot"]
    boxes, spots = reply.predictions
    assert (boxes.phrases[:3], spots.phrases) == (("ape", "cat", "eel"), ("fly",))
    assert [reply.text[slice(*route.span)] for route in reply.routes] == [
        route.phrase for route in reply.routes
    ]


@pytest.fixture
def asked(model, monkeypatch):
    """The batches of questions that the model is asked."""
    batches, answer = [], model.answer

    def note(samples, *arguments, **options):
        batches.append([sample.messages[0].text for sample in samples])
        return answer(samples, *arguments, **options)

    monkeypatch.setattr(model, "answer", note)
    return batches


def test_question_is_worded_as_asked(model, image, asked):
    find(model, image, [" ape ", "bee"], question="Is there {classes}?", classes_per_reply=1)
    assert asked == [["Is there ape?", "Is there bee?"]]


def test_five_thousand_classes_take_as_many_questions_as_they_need(model, image, asked):
    names = [f"thing {index}" for index in range(5000)]
    reply = find(model, image, names, classes_per_reply=50, batch_size=20)
    assert [len(batch) for batch in asked] == [20] * 5
    assert [route.phrase for route in reply.routes] == names
    assert len(reply.predictions[0].scores) == 100


def test_too_many_classes_in_one_question_say_what_to_do(model, image):
    with pytest.raises(InputError, match=r"reads 1024 tokens at most.*Ask less in one question"):
        find(model, image, [f"thing {index}" for index in range(5000)], classes_per_reply=5000)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([], "at least one class name"),
        ("ape", "Expected a list"),
        (["ape", " "], r"not blank.*classes\[1\]=' '"),
        (["ape", 3], r"classes\[1\]=3"),
        (["Apple", "bee", "apple"], r"classes\[2\]='apple' behind 'Apple'"),
        (["Straße", "STRASSE"], "asked for once"),
        (["ape", "ape "], "asked for once"),
        (["ape[BOX]"], r"routing tokens.*classes\[0\]='ape\[BOX\]'"),
        (["[POSE]"], "routing tokens"),
        (["<p>ape"], "phrase marks"),
        (["</p>"], "phrase marks"),
        (["an <image>"], "special tokens"),
    ],
)
def test_names_that_cannot_be_asked_for(model, image, classes, message):
    with pytest.raises(InputError, match=message):
        find(model, image, classes)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"token": "[DET]"}, RoutingError, r"No decoder .* \[DET\]"),
        ({"token": "box"}, ConfigError, "capitals"),
        ({"question": "Find them"}, InputError, "where the names stand"),
        ({"classes_per_reply": 0}, ConfigError, "classes_per_reply"),
        ({"max_per_image": 0}, ConfigError, "max_per_image"),
        ({"batch_size": 0}, ConfigError, "batch_size"),
        ({"num_return_sequences": 2}, ConfigError, "one reply"),
    ],
)
def test_options_that_cannot_be(model, image, options, error, message):
    with pytest.raises(error, match=message):
        find(model, image, **options)
