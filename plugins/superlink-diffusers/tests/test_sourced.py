"""What a model that edits sees of its source beside latents, and where it keeps it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from superlink.errors import ConfigError, InputError
from superlink.testing import DECODER_CHECKS, DecoderCase
from superlink.testing.checks import run_checks
from superlink_diffusers.images import stretched
from superlink_diffusers.sourced import SourcedModel, blended, changes

from .conftest import FAMILIES, UNET, edit_call, inputs_of, links_of, settings

SAMPLE = {"prediction_type": "sample"}
BLEND = {"blend": True, "scheduler": SAMPLE, "image_drop": 0}
MAPS = (16, 24, 32)
"""Those of the backbone of the conformance checks."""


def maps_of(calls, seed=0):
    """What an image encoder makes of calls: three maps each."""
    generator = torch.Generator().manual_seed(seed)
    sides = (4, 2, 1)
    return tuple(
        torch.randn(len(calls), width, side, side, generator=generator)
        for width, side in zip(MAPS, sides, strict=True)
    )


def losses(decoder, calls, maps=None, luck=None):
    inputs = inputs_of(decoder, calls)
    if maps is not None:
        inputs["image_features"] = maps
    if luck is not None:
        inputs["luck"] = torch.full_like(inputs["luck"], luck)
    return decoder.loss(links_of(decoder, calls), inputs)


def left_half(size):
    mask = np.zeros(size, dtype=bool)
    mask[:, : size[1] // 2] = True
    return mask


def knowing(call, *changes):
    return replace(call, target={**call.target, "changed": changes})


class Recorder(torch.nn.Module):
    """A UNet on two channels, in cells of 2 x 2 pixels, that says what it was given."""

    def __init__(self, logits=(40.0, -40.0, -40.0, -40.0)):
        super().__init__()
        self.config = {"in_channels": 9, "out_channels": 6}
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.logits = torch.tensor(logits).view(1, 4, 1, 1)

    def forward(self, sample, time):
        self.seen = sample
        logits = self.logits.expand(len(sample), -1, *sample.shape[2:])
        return (torch.cat([sample[:, :2], logits], dim=1),)


def test_blending_takes_the_source_in_cells_where_nothing_changes():
    found, source = torch.randn(1, 6, 1, 3), torch.randn(1, 2, 1, 3)
    found[0, 2:] = torch.tensor([[-50.0, -50, -50], [-50, 50, -50], [-50, -50, 0], [-50, 50, -9]])[
        :, None
    ]
    mixed = blended(found, source)
    assert torch.allclose(mixed[..., 0], source[..., 0])
    assert torch.allclose(mixed[..., 1], found[:, :2, ..., 1])
    assert torch.allclose(mixed[..., 2], (source + found[:, :2])[..., 2] / 2)


def test_changes_are_told_of_each_pixel_of_a_cell():
    logits = torch.arange(8.0).view(1, 4, 1, 2)
    found = torch.cat([torch.zeros(1, 2, 1, 2), logits], dim=1)
    assert changes(found, 2).tolist() == [[[0.0, 2.0, 1.0, 3.0], [4.0, 6.0, 5.0, 7.0]]]


@pytest.mark.parametrize("times", [1, 3])
def test_a_pipeline_sees_a_plain_model_and_guidance_a_source_without_maps(times):
    model, maps = Recorder(), torch.randn(2, 5, 4, 4)
    sourced = SourcedModel(model, 2, maps, None)
    assert sourced.config.in_channels == 4 and sourced.config.out_channels == 2
    sample = torch.randn(2 * times, 4, 4, 4)
    sourced(sample, 0)
    assert torch.equal(model.seen[:, :4], sample)
    expected = [maps, maps, torch.zeros_like(maps)][:times]
    assert torch.equal(model.seen[:, 4:], torch.cat(expected))


def test_a_blending_model_has_the_channels_of_a_plain_one():
    sample = torch.randn(1, 4, 4, 4)
    sourced = SourcedModel(Recorder(), 2, None, 0.5)
    assert torch.allclose(sourced(sample, 0)[0], sample[:, :2])
    assert torch.equal(sourced.changed[0, :2, :2].round(), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    none = SourcedModel(Recorder((-40.0,) * 4), 2, None, 0.5)
    assert torch.allclose(none(sample, 0)[0], sample[:, 2:] / 2)


@pytest.mark.parametrize("guidance", [1.0, 2.0])
@pytest.mark.parametrize("family", ["unet", "sdxl"])
def test_what_is_not_to_change_stays_pixel_for_pixel(editing, family, guidance):
    decoder = editing(family, **BLEND)
    decoder.model.conv_out.bias.data[decoder.latents[0] :] = -100.0
    calls = [edit_call(2, size=(50, 70)), edit_call(1, 1)]
    inputs = inputs_of(decoder, calls, training=False, guidance_scale=guidance, seed=3)
    found = decoder.predict(links_of(decoder, calls), inputs)
    for call, one in zip(calls, found, strict=True):
        assert all(image.tobytes() == call.image.tobytes() for image in one.images)
    asked = inputs_of(decoder, calls, training=False, size=(40, 48))
    (first, _) = decoder.predict(links_of(decoder, calls), asked)
    assert first.images[0].tobytes() == stretched(calls[0].image, (40, 48)).tobytes()


def test_pixels_that_change_are_those_of_the_model(editing):
    plain, blending = (editing(**BLEND | {"blend": one}) for one in (False, True))
    state = {name: weight for name, weight in plain.state_dict().items() if "conv_out" not in name}
    blending.load_state_dict(state, strict=False)
    ours, theirs = blending.model.conv_out, plain.model.conv_out
    for name in ("weight", "bias"):
        getattr(ours, name).data[:48] = getattr(theirs, name).data
        getattr(ours, name).data[48:] = 0.0
    ours.bias.data[48:] = 100.0
    call = edit_call(size=(32, 32))
    one, other = (
        decoder.predict(links_of(decoder, [call]), inputs_of(decoder, [call], training=False))
        for decoder in (plain, blending)
    )
    assert one[0].images[0].tobytes() == other[0].images[0].tobytes()


def test_blending_starts_near_the_source(editing):
    plain, blending = (editing(**BLEND | {"blend": one}) for one in (False, True))
    call = edit_call()
    same = replace(call, target={**call.target, "images": (call.image,)})
    far, near = (losses(one, [same])["diffusion"][0] for one in (plain, blending))
    assert near < far / 4


def test_the_model_learns_where_pictures_change_from_samples_that_know_it(editing):
    decoder = editing(**BLEND)
    calls = [knowing(edit_call(2), left_half((32, 32)), None), edit_call(1, 1)]
    before = losses(decoder, calls)["changed"]
    assert before[1] == 1.0 and before[0] > 0
    (alone, count), _ = losses(decoder, calls[:1])["changed"], None
    assert count == 1.0 and torch.allclose(alone, before[0], atol=1e-6)
    unknown = losses(decoder, [edit_call(2)])["changed"]
    assert unknown[1] == 0.0 and float(unknown[0].detach()) == 0.0
    optimizer = torch.optim.Adam(decoder.model.conv_out.parameters(), 0.1)
    for _ in range(20):
        optimizer.zero_grad()
        losses(decoder, calls)["changed"][0].backward()
        optimizer.step()
    assert losses(decoder, calls)["changed"][0] < 0.8 * before[0]


def test_a_share_of_the_loss_is_its_weight(editing):
    call = knowing(edit_call(), left_half((32, 32)))
    one, two = (editing(**BLEND, changed_loss=w) for w in (0.5, 1.0))
    assert torch.allclose(2 * losses(one, [call])["changed"][0], losses(two, [call])["changed"][0])


def test_what_may_change_weighs_more(editing):
    plain, weighing = editing(), editing(changed_weight=4)
    call, everywhere = edit_call(), np.ones((32, 32), dtype=bool)

    def value(decoder, *changes):
        return losses(decoder, [knowing(call, *changes)])["diffusion"][0]

    usual = value(plain, None)
    assert torch.allclose(value(weighing, None), usual)
    assert torch.allclose(value(weighing, ~everywhere), usual)
    assert torch.allclose(value(weighing, everywhere), 5 * usual)
    assert usual < value(weighing, left_half((32, 32))) < 5 * usual


@pytest.mark.parametrize("family", ["unet", "sdxl"])
def test_maps_of_the_image_encoder_reach_the_model(editing, family):
    decoder, calls = editing(family, shared_channels=MAPS), [edit_call(2), edit_call(1, 1)]
    assert decoder.uses_image_features
    maps = tuple(one.requires_grad_() for one in maps_of(calls))
    losses(decoder, calls, maps, luck=1.0)["diffusion"][0].backward()
    assert all(one.grad.abs().sum((1, 2, 3)).min() > 0 for one in maps)
    inputs = inputs_of(decoder, calls, training=False, seed=1)
    first, second = (
        decoder.predict(links_of(decoder, calls), inputs | {"image_features": maps_of(calls, seed)})
        for seed in (0, 1)
    )
    assert [len(one.images) for one in first] == [2, 1]
    assert np.asarray(first[0].images[0]).tolist() != np.asarray(second[0].images[0]).tolist()


def test_a_dropped_source_takes_its_maps_with_it(editing):
    decoder, calls = editing(shared_channels=MAPS, condition_drop=0.5), [edit_call()]
    one, other = (losses(decoder, calls, maps_of(calls, s), luck=0.26) for s in (0, 1))
    assert torch.equal(one["diffusion"][0], other["diffusion"][0])


def test_maps_in_the_order_of_channels_last_have_a_gradient(editing):
    decoder, calls = editing(shared_channels=MAPS), [edit_call(), edit_call(1, 1)]
    maps = maps_of(calls)
    shuffled = tuple(one.contiguous(memory_format=torch.channels_last) for one in maps)
    usual, found = (losses(decoder, calls, some)["diffusion"][0] for some in (maps, shuffled))
    assert torch.allclose(usual, found)
    found.backward()


@pytest.mark.parametrize("maps", [None, (16, 24), (16, 24, 31)])
def test_maps_that_do_not_fit_are_refused(editing, maps):
    decoder, calls = editing(shared_channels=MAPS), [edit_call()]
    given = None if maps is None else tuple(torch.zeros(1, width, 2, 2) for width in maps)
    with pytest.raises(InputError, match=r"\(16, 24, 32\)\. Received"):
        losses(decoder, calls, given)


def test_the_coarsest_maps_are_taken_where_the_encoder_gives_more(editing):
    decoder, calls = editing(shared_channels=MAPS[1:]), [edit_call()]
    more, same = maps_of(calls), maps_of(calls)[1:]
    one, other = (losses(decoder, calls, some)["diffusion"][0] for some in (more, same))
    assert torch.equal(one, other)


def test_a_model_that_knows_no_source_is_widened_for_all_that_it_sees(editing):
    model = FAMILIES["unet"]["model"] | {"in_channels": 48}
    decoder, calls = editing(model=model, shared_channels=MAPS), [edit_call()]
    assert decoder.model.config.in_channels == 2 * 48 + 64
    blind = (losses(decoder, calls, maps_of(calls, seed))["diffusion"][0] for seed in (0, 1))
    assert torch.equal(*blind)


WRONG_MASKS = [
    (np.zeros((32, 32)),),
    (left_half((32, 40)),),
    (left_half((32, 32)), None),
    (np.zeros(3, bool),),
    5,
    None,
]


@pytest.mark.parametrize("masks", WRONG_MASKS, ids=str)
def test_a_mask_that_is_none_is_refused(editing, masks):
    decoder, call = editing(changed_weight=1), edit_call()
    call = replace(call, target={**call.target, "changed": masks})
    with pytest.raises(InputError, match="one boolean mask"):
        decoder.prepare(call, training=True)


@pytest.mark.parametrize(
    "changes", [{"image_drop": 0.1}, {"image_guidance_scale": 1.5}, {"source": "folder"}]
)
def test_a_model_that_blends_is_never_without_its_source(editing, changes):
    given = {**BLEND, **changes}
    if "source" in changes:
        given |= {"model": {}, "vae": {}}
    with pytest.raises(ValueError, match=r"A model (that blends|of a source)"):
        editing(**given)


def test_guidance_by_the_source_is_refused_where_a_model_blends(editing):
    with pytest.raises(ConfigError, match="keeps its source"):
        editing(**BLEND).read_options({"image_guidance_scale": 1.5})


def test_a_decoder_in_half_precision_takes_maps(editing):
    decoder, calls = editing(shared_channels=MAPS).to(torch.bfloat16), [edit_call()]
    assert losses(decoder, calls, maps_of(calls))["diffusion"][0].isfinite()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (BLEND | {"scheduler": {}}, "prediction_type='epsilon'"),
        (BLEND | {"model": UNET | {"out_channels": 48}}, "predicts 64"),
    ],
)
def test_models_that_cannot_blend_are_refused(editing, changes, message):
    with pytest.raises(ConfigError, match=message):
        editing(**changes)


@pytest.mark.parametrize("changes", [BLEND, {"shared_channels": MAPS}])
def test_other_families_know_neither(editing, changes):
    with pytest.raises(ValueError, match="for the families unet and sdxl"):
        editing("sd3", **changes)


@pytest.mark.parametrize("family", ["unet", "sdxl"])
def test_conformance(family):
    changes = BLEND | {"shared_channels": MAPS, "changed_weight": 2}
    checks = [check for check in DECODER_CHECKS if check.topic != "isolation"]
    case = DecoderCase("diffusers.image_editing", settings(family, **changes), calls=edit_call)
    results = run_checks(checks, case)
    assert [result for result in results if result.status == "failed"] == []


@pytest.mark.parametrize(("channels", "faults"), [((16, 24, 32), 0), ((16, 24, 33), 1)])
def test_a_recipe_is_told_of_maps_that_do_not_fit_before_it_runs(tmp_path, channels, faults):
    from superlink.diagnosis.recipes import check_recipe
    from superlink.registry import default_registry

    sizes = {"hidden_size": 32, "num_layers": 1, "num_heads": 2, "image_size": 64}
    decoder = settings() | {"shared_channels": list(channels), "guidance_scale": 1.0}
    recipe = {
        "name": "edits",
        "model": {
            "backbone": {"name": "tiny_llava", "config": sizes | {"encoder": "conv"}},
            "decoders": [{"name": "diffusers.image_editing", "config": decoder}],
        },
        "data": {"edits": {"task": "editing", "format": "scenes", "options": {"num_edits": 4}}},
        "stages": [{"name": "all", "data": "edits", "steps": 1, "batch_size": 2}],
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    found = check_recipe(tmp_path / "recipe.yaml", (), default_registry())
    assert len(found.problems) == faults
    assert all("model.decoders.0.config: shared_channels" in one for one in found.problems)
