"""What a model sees: colours are put back, targets are those of the stream."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from superlink.errors import InputError
from superlink.inspection.streams import decoder_view, model_views, to_picture
from superlink.interfaces import IMAGE, CallInput, Geometry, Message, Sample
from superlink.testing.models import toy_model

ORANGE = (240, 120, 30)
TARGET = {"bboxes": torch.tensor([[8.0, 8, 24, 24]]), "labels": torch.tensor([0])}


def sample(answer="<p>cat</p>[BOX]", targets=(TARGET,)):
    image = Image.new("RGB", (64, 32), ORANGE)
    messages = (Message("user", (IMAGE, "Find: cat")), Message("assistant", answer))
    return Sample(messages, (image,), targets=targets, key="s")


@pytest.fixture(scope="module")
def model():
    return toy_model()


def test_llm_sees_colours_and_each_decoder_its_own_stream(model):
    llm, box, spot = model_views(model, sample())
    assert llm.title == "what the LLM sees"
    assert llm.note == "pixel_values 1 x 3 x 64 x 64"
    assert np.asarray(llm.picture)[100, 100] == pytest.approx(ORANGE, abs=2)
    assert box.title == "what toy.box sees"
    assert box.note == "32 x 32; drawn from its geometry; 1 box"
    assert np.asarray(box.picture)[400, 400] == pytest.approx(ORANGE, abs=2)
    assert (spot.picture, spot.note) == (None, "not called by this sample")


def test_patches_are_not_guessed():
    llm, *_ = model_views(toy_model("qwen2_5_vl"), sample())
    assert llm.picture is None
    assert llm.note.startswith("not shown: patches ")


def test_calls_of_one_decoder_share_a_picture(model):
    once = sample()
    twice = Sample(once.messages * 2, once.images * 2, targets=(TARGET, TARGET), key="s")
    _, box, _ = model_views(model, twice)
    assert box.note.count("1 box") == 2
    assert box.picture.width > box.picture.height


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (sample("<p>cat</p>[DET]"), "No decoder of this model answers to [DET]"),
        (sample(targets=()), "one target for each call"),
        (sample("<p>cat</p>[BOX] " + "dog " * 2000), "tokens at most"),
    ],
    ids=["unbound", "no target", "too long"],
)
def test_sample_that_cannot_be_trained_on_says_why(model, asked, reason):
    views = model_views(model, asked)
    assert len(views) == 3
    assert all(view.picture is None and reason in view.note for view in views)


class Decoder:
    """Prepares what a test wants, as a decoder with a config does."""

    def __init__(self, item, **config):
        self.item, self.config = item, SimpleNamespace(**config)

    def prepare(self, call, *, training):
        assert training
        if isinstance(self.item, Exception):
            raise self.item
        return self.item


def view_of(item, **config):
    image = Image.new("RGB", (64, 32), ORANGE)
    call = CallInput(image, Geometry.identity((32, 64)), TARGET, ("[BOX]",), ("cat",))
    return decoder_view("x", Decoder(item, **config), call)


def normalised(mean, std, factor):
    pixels = torch.tensor(ORANGE).float().reshape(3, 1, 1).expand(3, 16, 32) * factor
    return (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


@pytest.mark.parametrize(
    ("mean", "std", "factor"),
    [([123.0, 116.0, 103.0], [58.0, 57.0, 57.0], 1), ([0.5, 0.4, 0.4], [0.2, 0.2, 0.3], 1 / 255)],
)
def test_colours_are_put_back_by_the_config(mean, std, factor):
    image = normalised(mean, std, factor)
    view = view_of({"image": image}, pixel_mean=mean, pixel_std=std)
    assert np.asarray(view.picture)[5, 5] == pytest.approx(ORANGE, abs=1)
    assert view.note == "32 x 16; no targets that can be drawn"


def test_colours_are_stretched_where_nobody_knows_their_mean():
    image = torch.linspace(-2, 3, 3 * 4 * 4).reshape(3, 4, 4)
    pixels = np.asarray(to_picture(image))
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert np.isfinite(np.asarray(to_picture(torch.ones(3, 4, 4)))).all()


def test_targets_are_drawn_in_pixels_of_the_stream():
    image = torch.zeros(3, 48, 48)
    item = {"image": image, "bboxes": torch.tensor([[12.0, 12, 36, 36]]), "labels": [0]}
    item["masks"] = torch.ones(1, 12, 12)  # of another size than the stream
    view = view_of(item)
    assert view.note == "48 x 48; 1 box, 1 mask"
    pixels = np.asarray(view.picture)
    assert pixels[121, 240, 0] > 150 and pixels[240, 240, 0] > 50  # the frame; the tint


@pytest.mark.parametrize(
    ("item", "note"),
    [
        (InputError("no keypoints"), "refused: no keypoints"),
        ({"pixels": torch.zeros(3, 4, 4)}, "no geometry among pixels"),
        ({"image": torch.zeros(4, 4)}, "not shown: "),
    ],
)
def test_stream_that_cannot_be_shown_says_why(item, note):
    view = view_of(item)
    assert view.picture is None
    assert note in view.note


def test_pictures_that_a_decoder_makes_stand_beside_their_source():
    red, blue = torch.full((3, 8, 8), -1.0), torch.full((3, 8, 8), -1.0)
    red[0], blue[2] = 1.0, 1.0
    view = view_of({"source": red, "images": blue[None]})
    assert view.note == "8 x 8; 1 to make"
    middle = view.picture.height // 2
    quarters = (view.picture.width // 4, 3 * view.picture.width // 4)
    assert [view.picture.getpixel((x, middle)) for x in quarters] == [(255, 0, 0), (0, 0, 255)]
    alone = view_of({"images": torch.stack([blue, red])})
    assert alone.note == "8 x 8; 2 to make" and alone.picture.width > alone.picture.height
