"""The paper's recipes at 7B parameters, built without weights: who is trained in which stage."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from transformers import CLIPImageProcessorPil, LlavaConfig, LlavaProcessor

from superlink.backbones.words import CHAT_TEMPLATE, IMAGE_TOKEN, build_tokenizer
from superlink.diagnosis.recipes import check_recipe
from superlink.registry import default_registry
from superlink.training import load_recipe

# of mmdet's Swin transformer, which says that it starts without weights
pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated")

FOLDER = Path(__file__).parents[2] / "examples" / "paper"
TOWER, PROJECTION = 303_507_456, 20_979_712
LAYERS, TABLE = 6_476_271_616, 32_064 * 4096
LORA = 32 * 32 * (4 * (4096 + 4096) + 2 * (4096 + 11008))
"""32 layers, rank 32, on four square matrices and on two of the feed-forward block."""

PIXELS = "image_size: [64, 64]"
OFFLINE = (
    "model.decoders.0.weights=null",
    # What the two diffusion models are made of in place of weights from the Hub.
    f"model.decoders.2.config={{train: connector, {PIXELS}}}",
    f"model.decoders.3.config={{{PIXELS}}}",
)


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    """A folder with the config of LLaVA 1.5 7B and a processor, but no weights."""
    folder = tmp_path_factory.mktemp("llava")
    tokenizer = build_tokenizer(())
    side = {"height": 336, "width": 336}
    LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size={"shortest_edge": 336}, crop_size=side),
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
        image_token=IMAGE_TOKEN,
    ).save_pretrained(folder)
    config = LlavaConfig(image_token_index=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN))
    config.text_config.vocab_size = 32_064
    config.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def trained(llava):
    """For each stage of a recipe, the number of parameters by module and learning rate."""

    def trained(name, *overrides):
        changes = (f"model.backbone.config.source={llava}", *OFFLINE, *overrides)
        found = check_recipe(
            FOLDER / name, changes, default_registry(), devices=64, read_data=False
        )
        assert found.problems == []
        assert not found.memory.weights_loaded
        return {stage.name: _by_part(stage.modules) for stage in found.memory.stages}

    return trained


def _by_part(modules):
    numbers = Counter()
    for module in modules:
        short = module.path.removeprefix("backbone.model.").removeprefix("model.")
        numbers[short.split(".")[0], module.learning_rate] += module.parameters
    return dict(numbers)


LINK = ("queries", "connectors", "decoders")


def test_three_stages_of_the_paper(trained):
    stages = trained("visionllm_v2_7b.yaml")
    assert [*stages] == ["stage1_pretrain", "stage1_tune", "stage2", "stage3"]
    pretrain, tune, together, decoders = stages.values()
    regions = pretrain["regions", 1e-3]
    for stage in stages.values():  # in all stages
        assert stage["vision_tower", 0] == TOWER

    assert pretrain["multi_modal_projector", 1e-3] == PROJECTION
    assert pretrain["language_model", 0] == LAYERS + TABLE
    assert {rate for part, rate in pretrain if part in (*LINK, "lm_head")} == {0}

    assert tune["language_model", 2.5e-5] == LAYERS + TABLE
    assert tune["lm_head", 2.5e-5] == TABLE
    assert tune["multi_modal_projector", 2.5e-5] == PROJECTION
    assert tune["regions", 2.5e-5] == regions
    assert {rate for part, rate in tune if part in LINK} == {0}

    assert together["language_model", 1e-5] == together["lm_head", 1e-5] == TABLE
    assert together["language_model", 0] == LAYERS
    assert together["multi_modal_projector", 0] == PROJECTION
    assert together["regions", 1e-5] == regions

    assert decoders["language_model", 0] == LAYERS + TABLE
    assert decoders["lm_head", 0] == TABLE and decoders["regions", 0] == regions
    for part in LINK:  # the same in both
        assert together[part, 1e-4] == decoders[part, 1e-4] > 0
    assert ("queries", 0) not in together and ("connectors", 0) not in together


def test_lora_as_in_the_table_of_the_paper(trained, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    together, decoders = trained("visionllm_v2_7b_lora.yaml", f"start={tmp_path}").values()
    assert together["language_model", 1e-5] == LORA
    assert together["language_model", 0] == LAYERS + TABLE
    assert together["lm_head", 0] == TABLE
    assert decoders["language_model", 0] == LAYERS + TABLE + LORA
    assert decoders["queries", 1e-4] == together["queries", 1e-4]


def test_both_recipes_have_one_model_and_the_same_data():
    text, table = (
        load_recipe(FOLDER / name) for name in ("visionllm_v2_7b.yaml", "visionllm_v2_7b_lora.yaml")
    )
    assert text.model.decoders == table.model.decoders and text.data == table.data
    for one, other in zip(text.stages[2:], table.stages, strict=True):
        assert one.model_copy(update={"learning_rates": {}}) == other.model_copy(
            update={"learning_rates": {}}
        )
