"""Batches of a stage: every bad sample is named, stand-in rows change no loss, kinds mix."""

from __future__ import annotations

import io
import json
import random
import re
import traceback

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from superlink.build import build_model
from superlink.data import AnnotatedImage, AnnotatedObject
from superlink.data.records import Records
from superlink.errors import BackboneError, InputError, PluginError
from superlink.interfaces import IMAGE, REGION, Message, Region, Sample
from superlink.link import RegionConfig
from superlink.link.processing import IGNORE
from superlink.tasks.detection import detection_conversation
from superlink.testing.models import toy_model
from superlink.training import DataChoice, StageDataset
from superlink.training.collation import Collator, takes_images
from superlink.training.dataset import from_worker, open_data
from superlink.training.faults import BadSample
from superlink.training.mixture import stage_samples

ARCHITECTURES = ["llava", "qwen2_5_vl"]
TARGET = {"bboxes": torch.tensor([[4.0, 4.0, 20.0, 20.0]]), "labels": torch.tensor([0])}


@pytest.fixture(scope="module")
def models():
    config = RegionConfig(image_size=32, dims=16)
    return {name: toy_model(name, regions=config) for name in ARCHITECTURES}


@pytest.fixture(params=ARCHITECTURES)
def model(models, request):
    return models[request.param]


def collator(model, **options):
    options = {"run_decoders": True, "skip_bad": False, "always_image": False} | options
    return Collator(model.processor, **options)


def photo(size=(40, 60)):
    pixels = np.random.default_rng(0).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def found(answer="<p>dog</p>[BOX] and more."):
    messages = (Message("user", (IMAGE, "Find: dog")), Message("assistant", answer))
    return Sample(messages, (photo(),), targets=(TARGET,), key="found")


def told(answer="a word", key="told"):
    return Sample((Message("user", "Say it"), Message("assistant", answer)), key=key)


def marked():
    messages = (Message("user", (IMAGE, "What is ", REGION)), Message("assistant", "a dog"))
    return Sample(messages, (photo(),), regions=(Region.box(5, 10, 25, 30),), key="marked")


# Stand-in rows


def losses(model, batch):
    with torch.no_grad():
        return {k: (float(v), float(n)) for k, (v, n) in model(**batch).losses.items()}


def test_stand_in_row_changes_no_loss(model):
    """It stands behind calls, regions and text, wider and narrower than they are."""
    rows = [found(), told(), marked(), found("<p>cat</p>[SPOT]")]
    make = collator(model)
    alone = model.processor(rows)
    filled = model.processor(rows, fill=lambda left: [make._stand_in])
    assert filled["inputs"]["input_ids"].shape[0] == len(rows) + 1
    assert (filled["labels"][-1] == IGNORE).all()
    assert filled["calls"] == alone["calls"]
    for name, inputs in alone["decoder_inputs"].items():
        torch.testing.assert_close(
            filled["decoder_inputs"][name]["image_index"], inputs["image_index"], rtol=0, atol=0
        )
    expected, given = losses(model, alone), losses(model, filled)
    assert expected.keys() == given.keys() == {"lm", "toy.box/l1", "toy.spot/l1"}
    for name, (total, count) in expected.items():
        assert given[name] == (pytest.approx(total, rel=1e-5), count)


def test_batch_of_text_gets_an_image_where_every_process_needs_one(model):
    rows = [told(), told("other words", "b")]
    plain, filled = (collator(model, always_image=wanted)(rows) for wanted in (False, True))
    assert "pixel_values" not in plain["inputs"] and "pixel_values" in filled["inputs"]
    assert len(filled["labels"]) == 3 and (filled["labels"][-1] == IGNORE).all()
    (total, count), given = losses(model, plain)["lm"], losses(model, filled)["lm"]
    assert given == (pytest.approx(total, rel=1e-5), count)
    assert len(collator(model, always_image=True)([found()])["labels"]) == 1


def test_gradient_is_that_without_the_stand_in_row(models):
    model, gradients = toy_model().train(), []
    for wanted in (False, True):
        model.zero_grad(set_to_none=True)
        model(**collator(model, always_image=wanted)([told()])).loss.backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    without, filled = gradients
    assert without.keys() < filled.keys()  # the image encoder takes part
    for name, gradient in filled.items():
        expected = without.get(name, torch.zeros_like(gradient))
        torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-6)


def test_batch_of_samples_that_are_too_long_trains_nothing_and_counts_them():
    model = toy_model(max_length=12)
    batch = collator(model)([told("word " * 40, "a"), told("word " * 30, "b")])
    assert batch["dropped"] == ["a", "b"] and batch["bad"] == []
    assert batch["labels"].shape[0] == 1 and "pixel_values" in batch["inputs"]
    out = model(**batch)
    out.loss.backward()
    assert float(out.losses["lm"][1]) == 0 and float(out.loss.detach()) == 0


def test_too_long_sample_that_had_the_only_image_leaves_one_behind():
    model = toy_model(max_length=40)
    long = Sample(
        (Message("user", (IMAGE, "word " * 60)), Message("assistant", "yes")),
        (photo(),),
        key="long",
    )
    batch = collator(model, always_image=True)([told(), long])
    assert batch["dropped"] == ["long"]
    assert len(batch["labels"]) == 2 and len(batch["inputs"]["pixel_values"]) == 1


def test_backbone_of_text_gets_a_word(models, monkeypatch):
    model = toy_model()
    encode = model.backbone.encode

    def blind(texts, images, *, padding_side="right"):
        plain = [text.replace("<image>", "") for text in texts]
        return encode(plain, [()] * len(texts), padding_side=padding_side)

    monkeypatch.setattr(model.backbone, "encode", blind)
    assert not takes_images(model.backbone)
    assert len(collator(model, always_image=True)([told()])["labels"]) == 1
    batch = collator(model)([BadSample("gone")])
    assert batch["inputs"].keys() == {"input_ids", "attention_mask"}
    assert model(**batch).loss.isfinite()


def test_backbone_that_refuses_images_takes_none(models, monkeypatch):
    def refuse(texts, images, **options):
        raise InputError("This model reads text alone.")

    assert takes_images(models["llava"].backbone) and takes_images(models["qwen2_5_vl"].backbone)
    monkeypatch.setattr(models["llava"].backbone, "encode", refuse)
    assert not takes_images(models["llava"].backbone)


# Bad samples


class Files(Records):
    """Photographs on a disk, of which some are damaged, and one record that nobody expects."""

    def __init__(self, folder, *kinds):
        self.kinds = kinds
        self.folder = folder
        whole = io.BytesIO()
        photo().save(whole, "jpeg")
        files = {"whole": whole.getvalue(), "cut": whole.getvalue()[:-400], "text": b"no image"}
        for kind, content in files.items():
            (folder / f"{kind}.jpg").write_bytes(content)

    def __len__(self):
        return len(self.kinds)

    def record(self, index):
        kind = self.kinds[index]
        if kind == "unknown":
            return {}["bbox"]
        if kind == "locked":
            raise PermissionError(13, "Permission denied", str(self.folder / "locked.json"))
        image = self.folder / f"{kind}.jpg"
        box = (5.0, 5.0, 4.0, 9.0) if kind == "box" else (5.0, 5.0, 9.0, 9.0)
        image = self.folder / "whole.jpg" if kind == "box" else image
        return AnnotatedImage(image, (AnnotatedObject("dog", box),), ("dog",), f"photo {index}")


def boxes(record, rng, training):
    return detection_conversation(record, rng, training, token="[BOX]")


def lazy(record, rng, training):
    """Opens an image and reads none of its pixels."""
    messages = (Message("user", (IMAGE, "What?")), Message("assistant", "a dog"))
    return Sample(messages, (Image.open(io.BytesIO(record.image.read_bytes())),), key=record.key)


def batches(model, records, conversation=boxes, workers=0, **options):
    """All batches of one pass, in the order of the records."""
    make = collator(model, **options)
    data = StageDataset(records, conversation, len(records), 0, name="mine",
                        skip_bad=make.skip_bad)  # fmt: skip
    data._orders = {0: list(range(len(records)))}
    return list(DataLoader(data, 4, num_workers=workers, collate_fn=make))


FAULTS = {
    kind: rf"Record 1 of the data set 'mine' \(key='photo 1'\) cannot be used\. .*{kind}\.jpg"
    for kind in ("missing", "cut", "text")
} | {
    "box": r"Record 1 of the data set 'mine' cannot be used\. .*x1 < x2.*5\.0, 4\.0",
    "locked": r"Record 1 of the data set 'mine' cannot be used\. PermissionError: .*locked\.json",
}


@pytest.mark.parametrize("kind", FAULTS)
def test_bad_record_is_fatal_and_named(models, tmp_path, kind):
    with pytest.raises(InputError, match=FAULTS[kind]):
        batches(models["llava"], Files(tmp_path, "whole", kind))


def test_bad_records_are_passed_over_and_told_by_policy(models, tmp_path):
    records = Files(tmp_path, "whole", *FAULTS, "whole")
    first, second = batches(models["llava"], records, skip_bad=True, workers=1)
    assert len(first["calls"]) == len(second["calls"]) == 1
    assert [len(batch["labels"]) for batch in (first, second)] == [1, 1]
    messages = first["bad"] + second["bad"]
    assert [re.split(r" \(| cannot", message)[0] for message in messages] == [
        f"Record {number} of the data set 'mine'" for number in range(1, 6)
    ]


def test_batch_of_bad_records_becomes_a_stand_in(models, tmp_path):
    [batch] = batches(models["llava"], Files(tmp_path, "text", "box"), skip_bad=True)
    assert len(batch["bad"]) == 2 and len(batch["labels"]) == 1
    assert float(models["llava"](**batch).losses["lm"][1]) == 0


CUT = r"Record 2 of the data set 'mine' \(key='photo 2', file='.*cut\.jpg'\) cannot be used\. OSErr"


def test_image_that_shows_its_damage_in_the_processor_is_named(models, tmp_path):
    records = Files(tmp_path, "whole", "whole", "cut", "whole")
    with pytest.raises(InputError, match=CUT):
        batches(models["llava"], records, lazy)
    [batch] = batches(models["llava"], records, lazy, skip_bad=True)
    assert len(batch["labels"]) == 3 and len(batch["bad"]) == 1
    assert torch.equal(
        batch["inputs"]["input_ids"],
        batches(models["llava"], Files(tmp_path, *["whole"] * 3), lazy)[0]["inputs"]["input_ids"],
    )


@pytest.mark.parametrize("skip_bad", [False, True])
def test_mistake_of_code_is_fatal_under_any_policy_and_names_its_record(models, tmp_path, skip_bad):
    records = Files(tmp_path, "whole", "unknown")
    message = (
        r"Record 1 of the data set 'mine' made record fail, in .*\.py, line \d+\. KeyError: 'bbox'"
    )
    with pytest.raises(PluginError, match=message) as caught:
        batches(models["llava"], records, skip_bad=skip_bad)
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("skip_bad", [False, True])
def test_mistake_of_a_decoder_names_its_record(models, tmp_path, monkeypatch, skip_bad):
    decoder = models["llava"].bound["toy.box"].decoder
    prepare = decoder.prepare

    def careless(call, *, training):
        return prepare(call, training=training) | ({}["mask"] if "photo 1" in call.key else {})

    monkeypatch.setattr(decoder, "prepare", careless)
    with pytest.raises(PluginError) as caught:
        batches(models["llava"], Files(tmp_path, *["whole"] * 3), skip_bad=skip_bad, workers=1)
    traceback.clear_frames(caught.tb)  # they hold the worker
    message = (
        r"Record 1 .*'mine' \(key='photo 1', .*whole.*\) made careless fail, in .*KeyError: 'mask'"
    )
    assert re.match(message, str(from_worker(caught.value)))


def test_data_that_a_decoder_refuses_is_a_bad_sample(models, tmp_path, monkeypatch):
    decoder = models["llava"].bound["toy.box"].decoder
    prepare = decoder.prepare

    def strict(call, *, training):
        if "photo 0" in call.key:
            raise InputError(f"No polygons. Received: key={call.key!r}")
        return prepare(call, training=training)

    monkeypatch.setattr(decoder, "prepare", strict)
    [batch] = batches(models["llava"], Files(tmp_path, "whole", "whole"), skip_bad=True)
    assert len(batch["calls"]) == 1
    assert re.match(r"Record 0 of .*whole\.jpg'\) cannot be used\. No polygons", batch["bad"][0])


def test_batch_that_fails_as_a_whole_names_all_of_its_records(models, tmp_path, monkeypatch):
    decoder = models["llava"].bound["toy.box"].decoder

    def alone(items):
        if len(items) > 1:
            raise RuntimeError("shapes differ")
        return type(decoder).collate(decoder, items)

    monkeypatch.setattr(decoder, "collate", alone)
    message = r"Record 0 of the data set 'mine', Record 1 of the.*RuntimeError: shapes differ"
    with pytest.raises(PluginError, match=message):
        batches(models["llava"], Files(tmp_path, "whole", "whole"), skip_bad=True)


def test_error_of_another_kind_keeps_it(models, monkeypatch):
    class Own(BackboneError):
        def __init__(self, code, reason):
            super().__init__(f"{code}: {reason}")

    def refuse(samples, **options):
        raise Own(3, "no such thing")

    make = collator(models["llava"], skip_bad=True)
    make.processor = refuse
    with pytest.raises(BackboneError, match=r"\(key='told'\) cannot be used\. 3: no such thing"):
        make([told()])


# Mixtures


def mixed(recipe, registry, tmp_path):
    """Detection, lists of names that call in words, and dialogues with and without an image."""
    turns = [{"from": "human", "value": "Say it"}, {"from": "gpt", "value": "a word"}]
    photo().save(tmp_path / "one.png")
    seen = [{"from": "human", "value": "<image>\nWhat?"}, turns[1]]
    rows = [{"id": "a", "conversations": turns},
            {"id": "b", "conversations": seen, "image": "one.png"}]  # fmt: skip
    (tmp_path / "chat.json").write_text(json.dumps(rows))
    options = {"annotations": str(tmp_path / "chat.json"), "images": str(tmp_path)}
    chat = {"task": "dialogue", "format": "llava", "options": options}
    run = recipe(steps=6, batch_size=6, datasets={"chat": chat}, data=["scenes", "lists", "chat"],
                 temperature=1e6)  # fmt: skip
    opened = {name: open_data(DataChoice(**dict(c)), registry) for name, c in run.data.items()}
    return run, stage_samples(opened, run.stages[0], 0, skip_bad=False)


def test_text_images_and_calls_train_in_one_batch(recipe, registry, tmp_path):
    run, data = mixed(recipe, registry, tmp_path)
    torch.manual_seed(0)
    model = build_model(run.model, registry).train()
    for number, batch in enumerate(DataLoader(data, 6, collate_fn=collator(model))):
        samples = [data[number * 6 + i] for i in range(6)]
        images = [len(sample.images) for sample in samples]
        pixels = batch["inputs"].get("pixel_values", ())
        assert len(pixels) == sum(images)
        first = np.cumsum([0, *images])
        ran = [call for call in batch["calls"] if samples[call.row].targets]
        index = batch["decoder_inputs"].get("toy.detection", {}).get("image_index", torch.empty(0))
        assert index.tolist() == [first[call.row] + call.image for call in ran]
        model(**batch).loss.backward()
    assert all(
        parameter.grad is not None and parameter.grad.isfinite().all()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    )


def test_losses_of_a_mixed_batch_are_those_of_its_samples(recipe, registry, tmp_path):
    run, data = mixed(recipe, registry, tmp_path)
    torch.manual_seed(0)
    model = build_model(run.model, registry).eval()
    rows = [data[i] for i in random.Random(0).sample(range(36), 12)]
    kinds = {(bool(row.images), bool(row.targets)) for row in rows}
    assert kinds == {(True, True), (True, False), (False, False)}
    make, sums = collator(model), {}
    for part in [losses(model, make([row])) for row in rows]:
        for name, term in part.items():
            sums[name] = np.add(sums.get(name, (0, 0)), term)
    together = losses(model, make(rows))
    assert together.keys() == sums.keys()
    for name, term in together.items():
        assert term == pytest.approx(sums[name], rel=1e-5)
