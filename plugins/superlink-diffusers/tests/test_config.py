import pytest
import torch

from superlink.errors import ConfigError
from superlink.registry import validate_config
from superlink_diffusers.config import ImageEditingConfig, TextToImageConfig

from .conftest import FAMILIES, UNET, VAE

SIZED = {"addition_embed_type": "text_time"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "a/b", "model": {"sample_size": 8}}, "leave model and vae out"),
        ({"source": "a/b", "vae": {"type": "pixels"}}, "leave model and vae out"),
        ({"family": "sd3"}, "needs a source, or a model"),
        ({"family": "sd2"}, "family"),
        ({"caption_loss": 0.1}, "text encoders of a source"),
        ({"caption_loss": 0.1, "source": "a/b", "connector": "plain"}, "which the mapper makes"),
        ({"condition_drop": 0}, "set condition_drop to 0.1 or so"),
        ({"dtype": "float16"}, "float16 cannot be trained"),
        ({"train": "unet"}, "train"),
        ({"vea": {}}, "unknown key 'vea'"),
    ],
)
def test_settings_that_do_not_fit_each_other_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        validate_config(TextToImageConfig, settings, "test")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"condition_drop": 0.9, "image_drop": 0.6}, "must not exceed 1"),
        (
            {"family": "sd3", "model": {"num_layers": 1}, "image_guidance_scale": 2},
            "for the families unet and sdxl",
        ),
    ],
)
def test_settings_of_editing_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        validate_config(ImageEditingConfig, settings, "test")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": UNET | {"wide": 3}}, "UNet2DConditionModel has no setting 'wide'"),
        ({"model": UNET | {"block_out_channels": (16,)}}, "refuses its settings"),
        ({"vae": {"type": "pixels", "size": 4}}, "A space of pixels has no setting 'size'"),
        ({"vae": {"type": "NoSuchVae"}}, "vae needs the name of a class of diffusers"),
        ({"vae": {"block_out_channels": (8,)}}, "vae needs the name of a class of diffusers"),
        ({"scheduler": {"type": "NoSuch"}}, "scheduler needs the name of a class"),
        ({"scheduler": {"beta": 3}}, "DDIMScheduler has no setting 'beta'"),
        ({"image_size": (36, 32)}, "multiples of 8.*Received: image_size=36x32. Choose 32x32"),
        ({"model": FAMILIES["sdxl"]["model"] | SIZED}, "Choose the family sdxl"),
        (
            {"model": UNET | {"cross_attention_dim": (32, 16)}},
            "all blocks must have the same cross_attention_dim",
        ),
    ],
)
def test_parts_that_cannot_be_made_are_refused(drawing, changes, message):
    with pytest.raises(ConfigError, match=message):
        drawing(**changes)


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        ("sdxl", {"addition_embed_type": None}, "Choose the family unet"),
        ("pixart", {"use_additional_conditions": True}, "told no sizes of pictures"),
        ("pixart", {"caption_channels": None}, "Set it to the condition's width"),
        ("sana", {"guidance_embeds": True}, "not told how much it is guided"),
        ("sd3", {"pos_embed_max_size": 4}, "knows places up to 16 pixels"),
    ],
)
def test_models_that_a_family_does_not_run_are_refused(drawing, family, changes, message):
    with pytest.raises(ConfigError, match=message):
        drawing(family, model=FAMILIES[family]["model"] | changes)


def test_the_autoencoder_of_sdxl_in_float16_is_refused(drawing):
    vae = VAE | {"force_upcast": True}
    with pytest.raises(ConfigError, match="Choose bfloat16"):
        drawing("sdxl", vae=vae, dtype="float16", train="connector")


@pytest.mark.parametrize("family", ["sd3", "flux"])
def test_flows_need_a_scheduler_of_flows(drawing, family):
    with pytest.raises(ConfigError, match="FlowMatchEulerDiscreteScheduler"):
        drawing(family, scheduler={"type": "DDIMScheduler"})


@pytest.mark.parametrize("family", ["unet", "pixart"])
def test_pipelines_that_scale_need_a_scheduler_that_does(drawing, family):
    with pytest.raises(ConfigError, match="use_flow_sigmas"):
        drawing(family, scheduler={"type": "FlowMatchEulerDiscreteScheduler"})


def test_a_unet_learns_flows_with_a_scheduler_that_scales(drawing):
    kind = {"type": "DPMSolverMultistepScheduler", "prediction_type": "flow_prediction"}
    decoder = drawing(scheduler=kind | {"use_flow_sigmas": True})
    assert type(decoder.objective).__name__ == "FlowMatching"


def test_the_condition_is_as_wide_as_the_model_takes_it(drawing):
    widths = {family: drawing(family).cond_size for family in FAMILIES}
    assert widths == {"unet": 32, "sdxl": 32, "sd3": 32, "pixart": 24, "sana": 24, "flux": 32}
    pooled = {family: drawing(family).pooled is not None for family in FAMILIES}
    assert {family for family, there in pooled.items() if there} == {"sdxl", "sd3", "flux"}


def test_the_condition_is_as_long_as_that_of_the_text_encoders_or_as_asked(drawing):
    assert drawing(condition_length=None).length == 77
    connector = drawing(condition_length=9).build_connector(20, "[GEN]")
    assert connector(torch.randn(2, 5, 20)).shape == (2, 9, 32)
    assert drawing(connector="plain").build_connector(20, "[GEN]") is None
