"""What a user asks of single decoders: it is checked before the LLM runs, and reaches `predict`."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PIL import Image

from superlink.cli.making import _reasons, no_picture, options_by_decoder, write_made
from superlink.errors import ConfigError, InputError
from superlink.interfaces import IMAGE, ImagePrediction, Message, Reply, Sample
from superlink.linked import BoundDecoder, Origin
from superlink.model import SuperLinkModel
from superlink.testing import TOY_BOX
from superlink.testing.models import tiny_backbone
from superlink.testing.toy_decoder import ToyBoxConfig, ToyBoxDecoder
from superlink.visualization import draw_reply

PICTURE = Image.new("RGB", (40, 60), "red")
SAMPLE = Sample((Message("user", (IMAGE, "find")), Message("assistant", "it[BOX]")), (PICTURE,))


class Painter(ToyBoxDecoder):
    """Gives a picture for each route, as bright as it is asked to be."""

    def read_options(self, options):
        if set(options) - {"light"}:
            raise ConfigError(f"light is the only option. Received: {sorted(options)}")
        return options.get("light", 0)

    def prepare(self, call, *, training):
        return {**super().prepare(call, training=training), "key": call.key}

    def predict(self, links, inputs):
        self.keys = list(inputs["key"])
        light = inputs["options"]
        picture = Image.new("RGB", (8, 8), (light, light, light))
        return [ImagePrediction((picture,), ("",), (light,)) for _ in range(links.num_calls)]


def linked(decoder_class, name="toy.box", token="[BOX]"):
    spec = replace(TOY_BOX, name=name, routing_tokens=(token,))
    return BoundDecoder(spec, decoder_class(ToyBoxConfig()), (token,), 2)


@pytest.fixture
def model():
    both = [linked(Painter), linked(ToyBoxDecoder, "toy.plain", "[PLAIN]")]
    origin = Origin("transformers", {}, fingerprint="")
    return SuperLinkModel(tiny_backbone("llava"), both, origin=origin).eval()


def test_options_reach_the_decoder_that_they_name(model):
    (reply,) = model.answer([SAMPLE], "forced", decoder_options={"toy.box": {"light": 7}})
    assert reply.predictions[0].images[0].getpixel((0, 0)) == (7, 7, 7)
    assert reply.to_json()["calls"][0]["images"] == [{"phrase": "", "size": [8, 8], "seed": 7}]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"toy.bax": {}}, "decoders of the model, which are toy.box, toy.plain"),
        ({"toy.box": {"lite": 1}}, "light is the only option"),
        ({"toy.plain": {"light": 1}}, "takes no options in its replies"),
    ],
)
def test_an_option_that_nobody_takes_is_refused_before_the_model_runs(model, options, message):
    with pytest.raises(ConfigError, match=message):
        model.answer([SAMPLE], "forced", decoder_options=options)
    with pytest.raises(ConfigError, match=message):
        next(model.stream("find", PICTURE, decoder_options=options))


def test_each_of_several_replies_draws_for_itself(model):
    model.answer([replace(SAMPLE, key="k")], "forced", num_return_sequences=3)
    assert model.bound["toy.box"].decoder.keys == ["k", "k#1", "k#2"]


def test_the_command_line_finds_the_decoder_that_takes_an_option(model):
    assert options_by_decoder(model, ["light=3"]) == {"toy.box": {"light": 3}, "toy.plain": {}}
    named = options_by_decoder(model, ["toy.box.light=3"])
    assert named["toy.box"] == {"light": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("light", "KEY=VALUE"),
        ("=3", "KEY=VALUE"),
        ("lite=3", "only option"),
        ("lite=3", "--option lite=3.*only option.*takes no options"),  # whichever was meant
        ("toy.bax.light=3", "decoder of the model"),
        ("toy.plain.light=3", "takes no options"),
        ("light=[", "not valid YAML"),
    ],
)
def test_the_command_line_says_what_is_wrong_with_an_option(model, text, message):
    with pytest.raises(ConfigError, match=message):
        options_by_decoder(model, [text])


def test_what_similar_decoders_say_is_said_once():
    def error(*names):
        return ConfigError(f"No key 'x'. Choose from: {', '.join(names)}")

    told = _reasons([error("seed"), error("seed", "size"), ConfigError("none at all")])
    assert told == "No key 'x'. Choose from: seed, size. none at all."


def test_why_there_is_no_picture(model):
    assert no_picture(model).endswith("no decoder for [GEN] or [EDIT].")


def made(*colours):
    pictures = tuple(Image.new("RGB", (8, 8), colour) for colour in colours)
    return ImagePrediction(pictures, ("",) * len(pictures), (0,) * len(pictures))


def test_pictures_that_were_made_are_numbered_on(tmp_path):
    reply = Reply("here", "here", predictions=(made("red", "blue"), made("lime")))
    first = write_made(reply, tmp_path / "new")
    second = write_made(reply, tmp_path / "new")
    assert [path.name for path in first + second] == [f"00{n}.png" for n in range(1, 7)]
    assert Image.open(second[2]).getpixel((0, 0)) == (0, 255, 0)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_made(reply, tmp_path / "file")


def test_a_drawn_reply_shows_the_source_and_what_was_made_of_it():
    reply = Reply("here", "here", predictions=(made("blue"),))
    alone = draw_reply(None, reply, text=False)
    assert alone.getpixel((5, 5)) == (0, 0, 255)
    both = draw_reply(PICTURE, reply, text=False)
    assert both.width > alone.width
    colours = {colour for _, colour in both.getcolors(10_000)}
    assert {(255, 0, 0), (0, 0, 255)} <= colours
    with pytest.raises(InputError, match="has no picture"):
        draw_reply(None, Reply("hello", "hello"))
