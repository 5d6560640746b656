"""Pictures: which seed, size and condition they come of, and that pipelines undo what training
does."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from superlink.errors import ConfigError, InputError
from superlink_diffusers.flux import packed

from .conftest import FAMILIES, draw_call, edit_call, inputs_of, links_of, picture

FLOWS = ("sd3", "pixart", "sana", "flux")
LEVELS = {"pixart": 8}
"""How far pictures may be apart: the scheduler of this family rounds times to whole numbers."""
SAMPLE = {"prediction_type": "sample"}


def pictures(decoder, calls, **options):
    inputs = inputs_of(decoder, calls, training=False, **options)
    found = decoder.predict(links_of(decoder, calls), inputs)
    assert len(found) == len(calls)
    return found


def same(left, right):
    return left.size == right.size and left.tobytes() == right.tobytes()


def gap(left, right):
    return int(np.abs(np.asarray(left, int) - np.asarray(right, int)).max())


def decoded(decoder, latents):
    """The picture of latents (1, C, h, w) in the model's scale."""
    settings = decoder.vae.config
    shift = settings.shift_factor if decoder.family.shifted else 0.0
    with torch.no_grad():
        values = decoder.vae.decode(latents / settings.scaling_factor + shift, return_dict=False)[0]
    levels = ((values / 2 + 0.5).clamp(0, 1) * 255).round().byte()
    return Image.fromarray(levels[0].permute(1, 2, 0).numpy())


def test_each_route_gives_a_picture_of_its_own(drawing):
    decoder = drawing()
    (one, two) = pictures(decoder, [draw_call(1, 0), draw_call(3, 1)])
    assert (len(one.images), len(two.images)) == (1, 3)
    assert {image.size for image in two.images} == {(32, 32)}
    assert len({image.tobytes() for image in two.images}) == 3
    assert two.phrases == ("thing 0", "thing 1", "thing 2") and len({*two.seeds}) == 3
    assert two.to_json()["images"][1] == {
        "phrase": "thing 1",
        "size": [32, 32],
        "seed": two.seeds[1],
    }


def test_a_seed_makes_a_picture_again_and_another_one_another(drawing):
    decoder, call = drawing(), draw_call(2)
    (first,), (again,) = pictures(decoder, [call]), pictures(decoder, [call])
    assert all(map(same, first.images, again.images)) and first.seeds == again.seeds
    (other,) = pictures(decoder, [call], seed=1)
    assert not any(map(same, first.images, other.images))
    (given,) = pictures(decoder, [draw_call(2, key=call.key)], seed=1, seeds=(first.seeds[0],))
    assert given.seeds == (first.seeds[0], other.seeds[1])
    assert same(given.images[0], first.images[0]) and same(given.images[1], other.images[1])


def test_the_condition_and_guidance_change_a_picture(drawing):
    decoder, call = drawing(), draw_call(1)
    links = links_of(decoder, [call])
    seen = []
    for scale, factor in ((1.0, 1.0), (1.0, -1.0), (4.0, 1.0)):
        inputs = inputs_of(decoder, [call], training=False, guidance_scale=scale)
        moved = replace(links, states=links.states * factor)
        seen.append(decoder.predict(moved, inputs)[0].images[0].tobytes())
    assert len({*seen}) == 3


@pytest.mark.parametrize("given", [7, "7", "[7]", "7,", (7,), [7]])
def test_one_seed_may_come_without_a_list(drawing, given):
    assert drawing().read_options({"seeds": given}).seeds == (7,)


def test_more_seeds_than_pictures_are_told(drawing):
    decoder, call = drawing(), draw_call(1)
    with pytest.warns(UserWarning, match="2 seeds for 1"):
        (found,) = pictures(decoder, [call], seeds=(5, 6))
    assert found.seeds == (5,)


def test_options_ask_for_size_and_steps(drawing, capfd):
    decoder, call = drawing(), draw_call(1)
    (found,) = pictures(decoder, [call], size="40X48", num_inference_steps=3)
    assert found.images[0].size == (48, 40)
    assert "3/3" not in capfd.readouterr().err
    pictures(decoder, [call], size=[40, 48], num_inference_steps=3, progress=True)
    assert "3/3" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": "40x50"}, "multiples of 8.*Received: size=40x50. Choose 40x48"),
        ({"size": "40"}, "height and width, as 48x64"),
        ({"size": 40}, "height and width, as 48x64"),
        ({"size": "ax8"}, "size.0"),
        ({"steps": 3}, "unknown key 'steps'. Did you mean 'num_inference_steps'"),
        ({"guidance_scale": 0.5}, "guidance_scale"),
        ({"num_inference_steps": 1001}, "has 1000 times"),
        ({"seeds": [2**70]}, "seeds.0"),
        ({"seeds": [-1]}, "seeds.0"),
        ({"image_guidance_scale": 2.0}, "unknown key 'image_guidance_scale'"),
    ],
)
def test_options_that_cannot_be_met_are_refused(drawing, options, message):
    with pytest.raises(ConfigError, match=message):
        drawing().read_options(options)


def test_a_model_that_always_had_its_condition_is_not_guided(drawing):
    decoder = drawing(condition_drop=0.0, guidance_scale=1.0)
    with pytest.raises(ConfigError, match="condition_drop=0 and cannot be guided"):
        decoder.read_options({"guidance_scale": 2.0})
    assert decoder.read_options({"guidance_scale": 1.0}).guidance_scale == 1.0


def test_image_guidance_is_for_unets(editing):
    options = {"image_guidance_scale": 2.0, "guidance_scale": 1.5}
    assert editing("unet").read_options(options).image_guidance_scale == 2.0
    with pytest.raises(ConfigError, match="beside a guidance_scale above 1"):
        editing("unet").read_options({**options, "guidance_scale": 1.0})
    with pytest.raises(ConfigError, match="for the families unet and sdxl"):
        editing("sd3").read_options({"image_guidance_scale": 2.0})


def test_conditions_of_another_shape_are_refused(drawing):
    decoder, call = drawing(), draw_call(1)
    links, inputs = links_of(decoder, [call]), inputs_of(decoder, [call])
    for states in (links.states[..., :5], links.states[:, 0], links.states[:, :3]):
        moved = replace(links, states=states)
        with pytest.raises(InputError, match=r"condition \(R, 6, 32\)"):
            decoder.loss(moved, inputs)


def test_a_model_that_knows_the_picture_gives_it(drawing):
    """In pixels, and thus without any loss: neither turned over nor with its colours changed."""
    decoder = drawing(scheduler=SAMPLE)
    target = picture(7)
    latents = decoder._encoded(decoder._pixels(target)[None])
    decoder.model.forward = lambda noised, *_, **__: (latents.expand(noised.shape),)
    (found,) = pictures(decoder, [draw_call(1)])
    assert gap(found.images[0], target) <= 1


@pytest.mark.parametrize("family", FLOWS)
def test_pipelines_follow_what_a_flow_is_taught(drawing, family):
    """The true velocity, at the times that the model is told, leads to the picture."""
    decoder = drawing(family)
    latents = decoder._encoded(decoder._pixels(picture(7))[None])
    goal = packed(latents) if family == "flux" else latents
    unit = 1.0 if family == "flux" else 1000.0

    def forward(hidden_states, *_, timestep, **__):
        sigmas = (timestep / unit).view(-1, *[1] * (goal.dim() - 1))
        return ((hidden_states - goal) / sigmas,)

    decoder.model.forward = forward
    (found,) = pictures(decoder, [draw_call(1)])
    assert gap(found.images[0], decoded(decoder, latents)) <= LEVELS.get(family, 1)


@pytest.mark.parametrize("family", FLOWS)
def test_the_loss_of_a_flow_is_zero_for_the_true_velocity(drawing, family):
    decoder, call = drawing(family, condition_drop=0.0, guidance_scale=1.0), draw_call(2)
    inputs = inputs_of(decoder, [call])
    latents = decoder._encoded(inputs["images"])
    goal = packed(latents) if family == "flux" else latents
    unit = 1.0 if family == "flux" else 1000.0

    def forward(hidden_states, *rest, timestep=None, **__):
        timestep = rest[1] if timestep is None else timestep
        sigmas = (timestep / unit).view(-1, *[1] * (goal.dim() - 1))
        return ((hidden_states - goal) / sigmas,)

    decoder.model.forward = forward
    value, count = decoder.loss(links_of(decoder, [call]), inputs)["diffusion"]
    assert float(value.detach()) < 1e-6 and count == 2


@pytest.mark.parametrize("family", FLOWS)
def test_a_transformer_sees_the_source_of_its_route(editing, family):
    """A model that goes to its source gives, for each route, the picture of its own call."""
    decoder = editing(family)
    calls = [edit_call(2, 0, size=(32, 32)), edit_call(1, 1, size=(32, 32))]
    unit = 1.0 if family == "flux" else 1000.0
    channels = 2 if family == "flux" else 1

    def forward(hidden_states, *_, timestep, **__):
        noised, source = hidden_states.chunk(2, channels)
        return ((noised - source) / (timestep / unit).view(-1, *[1] * (noised.dim() - 1)),)

    decoder.model.forward = forward
    for call, found in zip(calls, pictures(decoder, calls), strict=True):
        latents = decoder._encoded(decoder._pixels(call.image)[None])
        goal = decoded(decoder, latents)
        assert all(gap(one, goal) <= LEVELS.get(family, 1) for one in found.images)


def copy_of_source(decoder):
    """Let a UNet that predicts the picture predict its source."""
    half = decoder.model.config.out_channels
    decoder.model.forward = lambda noised, *_, **__: (noised[:, half:],)
    return decoder


def test_a_unet_sees_the_source_of_its_route(editing):
    decoder = copy_of_source(editing(scheduler=SAMPLE, image_guidance_scale=1.0))
    calls = [edit_call(2, 0, size=(32, 32)), edit_call(1, 1, size=(32, 32))]
    for call, found in zip(calls, pictures(decoder, calls), strict=True):
        assert all(gap(one, call.image) <= 1 for one in found.images)


def test_edited_pictures_have_the_size_of_their_source_or_the_one_asked_for(editing):
    decoder = copy_of_source(editing(scheduler=SAMPLE, image_guidance_scale=1.0))
    calls = [edit_call(1, 0, size=(50, 30)), edit_call(1, 1, size=(32, 64))]
    found = [one.images[0] for one in pictures(decoder, calls)]
    assert [image.size for image in found] == [(30, 50), (64, 32)]
    (asked,) = pictures(decoder, calls[1:], size="32x64")
    assert gap(asked.images[0], calls[1].image) <= 1  # not by way of the size of training


def test_an_edit_without_an_image_is_refused(editing):
    with pytest.raises(InputError, match="put an image into the conversation"):
        editing().prepare(draw_call(1), training=False)


def test_a_target_needs_a_picture_for_each_route(drawing):
    call = draw_call(2)
    short = replace(call, target={"images": call.target["images"][:1]})
    with pytest.raises(InputError, match="one PIL picture for each of the call's routes: 2"):
        drawing().prepare(short, training=True)
    with pytest.raises(InputError, match="Received: calls without any"):
        drawing().loss(links_of(drawing(), [call]), {"key": ["a"]})


@pytest.mark.parametrize("family", FAMILIES)
def test_pictures_come_without_guidance_too(drawing, editing, family):
    assert len(pictures(drawing(family), [draw_call(2)], guidance_scale=1)[0].images) == 2
    assert len(pictures(editing(family), [edit_call(2)], guidance_scale=1)[0].images) == 2


@pytest.mark.parametrize("family", FAMILIES)
def test_a_plain_connector_gives_a_condition_of_any_length(drawing, family):
    decoder, call = drawing(family, connector="plain"), draw_call(2)
    assert decoder.loss(links_of(decoder, [call]), inputs_of(decoder, [call]))
    (found,) = pictures(decoder, [call])
    assert len(found.images) == 2


def test_a_model_that_predicts_a_variance_is_taught_the_rest(drawing):
    model = FAMILIES["pixart"]["model"] | {"out_channels": 8}
    decoder, call = drawing("pixart", model=model), draw_call(1)
    assert decoder.loss(links_of(decoder, [call]), inputs_of(decoder, [call]))
    assert pictures(decoder, [call])[0].images[0].size == (32, 32)


def test_a_flux_that_knows_the_scale_of_guidance_is_told_it(drawing):
    model = FAMILIES["flux"]["model"] | {"guidance_embeds": True}
    decoder, call = drawing("flux", model=model), draw_call(1)
    told, forward = [], decoder.model.forward

    def watched(**named):
        told.append(named["guidance"].tolist())
        return forward(**named)

    decoder.model.forward = watched
    pictures(decoder, [call], guidance_scale=3.5)
    assert told == [[3.5]] * 2  # one forward for each step


def test_sizes_that_are_not_square_are_kept(drawing):
    for family in FAMILIES:
        decoder, call = drawing(family, image_size=(32, 64)), draw_call(1)
        assert decoder.loss(links_of(decoder, [call]), inputs_of(decoder, [call]))
        assert pictures(decoder, [call])[0].images[0].size == (64, 32)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_autoencoder_alone_makes_of_pictures(editing, family):
    decoder = editing(family)
    noise = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    images = [*map(Image.fromarray, noise), Image.new("RGB", (50, 20), "red")]
    found = decoder.reconstruct(images)
    assert [one.size for one in found] == [one.size for one in images]
    lossless = family == "unet"  # a space of pixels
    assert (found[0].tobytes() == images[0].tobytes()) == lossless
    alone = decoder.reconstruct(images[1:2])[0]
    np.testing.assert_allclose(np.asarray(alone, int), np.asarray(found[1], int), atol=1)


def test_a_model_that_always_had_its_source_is_not_guided_by_it(editing):
    """What the model makes of no source then never matters."""

    def found(image_drop):
        decoder = editing(image_drop=image_drop)
        forward, half = decoder.model.forward, decoder.model.config.out_channels

        def spoilt(noised, *rest, **named):
            (values,) = forward(noised, *rest, **named)
            blind = (noised[:, half:] == 0).flatten(1).all(1)
            return (values.masked_fill(blind.view(-1, 1, 1, 1), 50.0),)

        plain = pictures(decoder, [edit_call(1)])[0].images[0]
        decoder.model.forward = spoilt
        return same(plain, pictures(decoder, [edit_call(1)])[0].images[0])

    assert found(0.0) and not found(0.1)


def test_an_autoencoder_without_a_spread_serves(drawing):
    sides = {"encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8)}
    blocks = {"num_encoder_blocks": (1, 1), "num_decoder_blocks": (1, 1)}
    decoder, call = drawing(vae={"type": "AutoencoderTiny"} | sides | blocks), draw_call(1)
    value, _ = decoder.loss(links_of(decoder, [call]), inputs_of(decoder, [call]))["diffusion"]
    assert value.isfinite()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scheduler": {"beta_schedule": "foo"}}, "DDIMScheduler refuses its settings: foo"),
        ({"scheduler": {"num_train_timesteps": "x"}}, "refuses its settings"),
        ({"vae": {"type": "pixels", "patch": 2.5}}, "PixelSpace refuses its settings"),
        ({"vae": {"type": "UNet2DModel"}}, "has latent_channels.*Received: UNet2DModel"),
        ({"num_inference_steps": 2000}, "has 1000 times"),
    ],
)
def test_parts_that_cannot_be_made_say_what_is_wrong(drawing, changes, message):
    with pytest.raises(ConfigError, match=message):
        drawing(**changes)
