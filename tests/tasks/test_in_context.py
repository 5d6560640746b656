"""Examples and queries as conversations."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from superlink.data import AnnotatedImage, AnnotatedObject
from superlink.data.in_context import InContextImages
from superlink.errors import ConfigError
from superlink.evaluation import RecognitionEvaluator, question
from superlink.evaluation.in_context import InContextEvaluator
from superlink.interfaces import IMAGE, REGION, Call, InstancePrediction, Reply, Route
from superlink.link import RegionConfig
from superlink.tasks.in_context import in_context_segmentation, in_context_text
from superlink.testing.models import toy_model

NAMES = ("cat", "dog")


def _object(name, place, size, mask=True, empty=False):
    pixels = np.zeros(size[::-1], bool)
    pixels[2:6, 5 * place : 5 * place + 4] = not empty
    return AnnotatedObject(name, (5 * place, 2, 5 * place + 4, 6), pixels if mask else None)


def _image(key, *names, size=(40, 20), ignored=(), **options):
    objects = tuple(_object(name, place, size) for place, name in enumerate(names))
    return AnnotatedImage(
        Image.new("RGB", size, (90, 90, 90)),
        *(objects, NAMES, key),
        ignored=tuple(ignored),
        caption=f"a picture of {key}",
        **options,
    )


def _record(answers="masks", query=None, **options):
    return InContextImages(
        (_image("one", "cat", "dog"), _image("two", "dog", "cat", "cat", size=(24, 48))),
        query or _image("three", "cat", "dog", "cat", size=(30, 30)),
        *("key", answers, "cat" if answers == "masks" else ""),
        **options,
    )


def _masks(seed=0, training=False, record=None, **options):
    return in_context_segmentation(record or _record(), random.Random(seed), training, **options)


def _text(answers="names", seed=0, training=False, **options):
    return in_context_text(_record(answers), random.Random(seed), training, **options)


def test_examples_show_a_class_by_regions_and_the_query_asks_for_it():
    sample = _masks()
    assert sample.messages[0].parts == (
        *(IMAGE, "Shown here: ", REGION, ".", "\n"),
        *(IMAGE, "Shown here: ", REGION, ", ", REGION, ".", "\n"),
        *(IMAGE, "Segment all of the same kind here."),
    )
    assert sample.messages[1].text == "Here are <p>such objects</p>[GRD]."
    assert [image.size for image in sample.images] == [(40, 20), (24, 48), (30, 30)]
    assert "cat" not in sample.messages[0].text and sample.key == "key"


def test_regions_are_masks_in_pixels_of_their_own_image():
    sample = _masks()
    assert [region.image for region in sample.regions] == [0, 1, 1]
    shapes = [region.raster(sample.images[region.image].size[::-1]) for region in sample.regions]
    assert [(m.any(0).argmax(), m.any(1).argmax(), m.sum()) for m in shapes] == [
        *((0, 2, 16), (5, 2, 16), (10, 2, 16)),
    ]


def test_every_object_of_the_class_is_an_instance_of_the_target():
    (target,) = _masks().targets
    assert target["bboxes"].tolist() == [[0, 2, 4, 6], [10, 2, 14, 6]]
    assert target["labels"].tolist() == [0, 0] and target["names"] == ("such objects",)
    assert target["masks"].shape == (2, 30, 30) and target["masks"].sum((1, 2)).tolist() == [16, 16]
    assert target["size"] == (30, 30) and "void" not in target


def test_crowds_of_the_class_may_be_found_or_not():
    crowd = _object("cat", 1, (30, 30))
    other = _object("dog", 3, (30, 30))
    query = _image("three", "cat", "cat", size=(30, 30), ignored=(crowd, other))
    query = AnnotatedImage(
        *(query.image, query.objects[:1], NAMES, "three"), ignored=(crowd, other)
    )
    (target,) = _masks(record=_record(query=query)).targets
    assert target["ignored_labels"].tolist() == [0]
    assert (target["void"].numpy() == crowd.mask).all()


def test_empty_masks_are_neither_shown_nor_asked_for():
    size = (30, 30)
    objects = (_object("cat", 0, size, empty=True), _object("cat", 1, size))
    image = AnnotatedImage(Image.new("RGB", size), objects, NAMES, "x")
    record = InContextImages((image,), image, "key", name="cat")
    sample = _masks(record=record)
    assert len(sample.regions) == 1 and sample.targets[0]["bboxes"].tolist() == [[5, 2, 9, 6]]


def test_marks_are_drawn_into_the_examples_alone():
    sample = _masks(pointing="mark", marks=["circle"])
    grey = [np.unique(np.asarray(image)).tolist() == [90] for image in sample.images]
    assert grey == [False, False, True] and sample.regions == ()
    text = sample.messages[0].text
    assert text.count(" circle.") == 1 and text.count(" circles.") == 1


def test_boxes_serve_where_there_are_no_masks():
    objects = (_object("cat", 1, (40, 20), mask=False),)
    bare = AnnotatedImage(Image.new("RGB", (40, 20)), objects, NAMES, "x")
    sample = _masks(record=InContextImages((bare,), bare, "key", name="cat"))
    assert sample.regions[0].kind == "box" and "masks" not in sample.targets[0]


def test_training_varies_words_and_what_is_shown_and_nothing_else():
    samples = [_masks(seed, True, variety=1.0, answer_variety=1.0) for seed in range(40)]
    assert len({sample.messages[0].text for sample in samples}) > 10
    assert len({sample.messages[1].text for sample in samples}) > 3
    assert {len(sample.regions) for sample in samples} == {2, 3}
    for sample in samples:
        assert torch.equal(sample.targets[0]["masks"], samples[0].targets[0]["masks"])
        assert sample.messages[1].text.count("<p>such objects</p>[GRD]") == 1
    assert samples[3].messages == _masks(3, True, variety=1.0, answer_variety=1.0).messages
    assert max(len(_masks(seed, True, max_shown=1).regions) for seed in range(9)) == 2


def test_answer_may_name_the_class():
    sample = _masks(restate=True, token="[SEG]")
    assert sample.messages[1].text == "Here are <p>cat</p>[SEG]."
    assert sample.targets[0]["names"] == ("cat",)


@pytest.mark.parametrize(
    "options", [{"pointing": "none"}, {"max_shown": 0}, {"token": "x"}, {"pointing": ("none",)}]
)
def test_masks_need_something_shown(options):
    with pytest.raises(ConfigError):
        _masks(**options)
    with pytest.raises(ConfigError, match="answers='names'"):
        _masks(record=_record("names"))


def test_text_examples_end_with_an_open_one():
    sample = _text()
    parts = sample.messages[0].parts
    assert [part for part in parts if part in (IMAGE, REGION)] == [IMAGE, REGION] * 3
    assert parts[-1] == ":" and parts[2] in (": cat\n", ": dog\n")
    assert sample.messages[1].text in NAMES
    assert [region.image for region in sample.regions] == [0, 1, 2]
    (target,) = sample.targets
    assert target == {"names": (sample.messages[1].text,), "prompts": ("region",)}


def test_name_is_that_of_what_is_pointed_at():
    for seed in range(10):
        sample = _text(seed=seed)
        (item,) = (
            item for item in _record().query.objects if (item.mask == sample.regions[2].mask).all()
        )
        assert sample.messages[1].text == item.name


def test_text_may_be_of_marks_or_of_whole_images():
    marked = _text(pointing="mark", marks=["arrow"])
    assert marked.regions == () and marked.messages[0].text.count(" arrow: ") == 2
    whole = _text(pointing="none")
    assert whole.messages[0].text_with("*") == "*This shows: cat, dog\n" * 2 + "*This shows:"
    assert whole.messages[1].text == "cat, dog"
    caption = _text("captions")
    assert caption.messages[1].text == "a picture of three" and caption.regions == ()
    assert caption.messages[0].text.startswith("Caption: a picture of one\n")
    assert caption.targets[0]["prompts"] == ("caption",)


def test_text_has_no_target_in_training_and_no_control_in_its_answer():
    sample = _text(training=True)
    assert sample.targets == ()
    images = [
        AnnotatedImage(image.image, image.objects, NAMES, image.key, caption="see <p>[DET]")
        for image in _record().images
    ]
    record = InContextImages(tuple(images[:2]), images[2], "key", "captions")
    sample = in_context_text(record, random.Random(0), True)
    assert "<p>" not in sample.messages[1].text
    with pytest.raises(ConfigError, match="examples with masks"):
        in_context_text(_record(), random.Random(0), True)


def test_question_keeps_images_and_regions():
    for sample in (_masks(), _text()):
        asked = question(sample)
        assert len(asked.images) == 3 and len(asked.regions) == len(sample.regions)


def _reply(text, boxes=(), scores=()):
    masks = torch.zeros(len(boxes), 30, 30, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = True
    found = InstancePrediction(
        torch.tensor(boxes).reshape(-1, 4).float(),
        torch.tensor(scores),
        torch.zeros(len(boxes), dtype=torch.long),
        ("such objects",),
        masks,
    )
    return Reply(text, "", (Route(0, 1, "[GRD]"),), (Call(0, 1, "a", (0,)),), (found,))


def test_evaluator_takes_all_instances_together():
    evaluator = InContextEvaluator()
    both = _reply("", [(0, 2, 4, 6), (10, 2, 14, 6), (20, 20, 30, 30)], [0.9, 0.8, 0.1])
    one = _reply("", [(0, 2, 4, 6)], [0.9])
    assert evaluator.summarize([evaluator.measure(_masks(), both)])["mIoU"] == 1.0
    metrics = evaluator.summarize([evaluator.measure(_masks(), one)])
    assert metrics["mIoU"] == 0.5 and metrics["P@0.5"] == 1.0


def test_model_takes_images_of_several_sizes_and_sees_which_regions_are_shown():
    model = toy_model(regions=RegionConfig(image_size=32, dims=16))

    def states(record):
        with model._evaluating():
            answers, _ = model._force([_masks(record=record, token="[BOX]")])
        return torch.stack(answers.states)

    pixels = np.random.default_rng(0).integers(0, 255, (20, 40, 3), dtype=np.uint8)
    one = replace(_image("one", "cat", "dog"), image=Image.fromarray(pixels))
    other = replace(one, objects=tuple(_object(name, 6, (40, 20)) for name in NAMES))
    query = _record().query
    first, second = (
        states(InContextImages((x, _record().examples[1]), query, "key", name="cat"))
        for x in (one, other)
    )
    assert (first - second).abs().max() > 1e-3
    batch = model.processor([_masks(seed, True, token="[BOX]") for seed in range(2)])
    batch.pop("dropped")
    loss = model(**batch).loss
    assert torch.isfinite(loss)


def test_text_is_measured_as_a_name():
    sample, evaluator = _text(), RecognitionEvaluator()
    rows = [evaluator.measure(sample, Reply(text, "")) for text in (sample.targets[0]["names"])]
    assert evaluator.summarize(rows)["accuracy"] == 1.0
