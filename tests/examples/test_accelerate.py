"""The configs of accelerate are whole, and mean what they say, to accelerate itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from accelerate.commands.config import config_args
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import DeepSpeedPlugin, FullyShardedDataParallelPlugin
from accelerate.utils.dataclasses import DistributedType
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env
from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy

FOLDER = Path(__file__).parents[2] / "examples" / "accelerate"
KINDS = {
    "ddp": DistributedType.MULTI_GPU,
    "fsdp2": DistributedType.FSDP,
    "deepspeed_zero2": DistributedType.DEEPSPEED,
    "deepspeed_zero3": DistributedType.DEEPSPEED,
}


def launched(name):
    """What `accelerate launch` makes of a config."""
    line = ["--config_file", str(FOLDER / f"{name}.yaml"), "-m", "superlink", "train", "r.yaml"]
    arguments, config, _ = _validate_launch_command(launch_command_parser().parse_args(line))
    # As `launch_command` does before it starts DeepSpeed.
    arguments.deepspeed_fields_from_accelerate_config = ",".join(config.deepspeed_config)
    return arguments


@pytest.fixture
def environment(monkeypatch):
    """Put what accelerate hands to its processes into the environment: `environment("fsdp2")`."""

    def put(name):
        arguments = launched(name)
        if arguments.use_deepspeed:
            _, variables = prepare_deepspeed_cmd_env(arguments)
        else:
            variables = prepare_multi_gpu_env(arguments)
        for key, value in variables.items():
            monkeypatch.setenv(key, value)
        return variables

    return put


def test_every_config_is_tested():
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_config_is_read_by_accelerate(name):
    config = config_args.load_config_from_file(str(FOLDER / f"{name}.yaml"))
    assert isinstance(config, config_args.ClusterConfig)
    assert config.distributed_type == KINDS[name]
    assert (config.num_processes, config.num_machines) == (8, 1)


@pytest.mark.parametrize("name", KINDS)
def test_precision_and_accumulation_are_left_to_the_recipe(name, environment):
    variables = environment(name)
    assert variables["ACCELERATE_MIXED_PRECISION"] == "no"
    assert "gradient_accumulation_steps" not in (FOLDER / f"{name}.yaml").read_text()


def test_ddp_starts_a_process_for_each_device():
    arguments = launched("ddp")
    assert arguments.multi_gpu and not arguments.use_fsdp and not arguments.use_deepspeed
    assert arguments.num_processes == 8
    assert (arguments.module, arguments.training_script) == (True, "superlink")


def test_fsdp_is_the_second_version_and_wraps_the_layers_that_the_model_names(environment):
    environment("fsdp2")
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2
    assert plugin.reshard_after_forward is True
    assert plugin.auto_wrap_policy is transformer_auto_wrap_policy
    assert plugin.transformer_cls_names_to_wrap is None  # the model's `_no_split_modules`
    assert not plugin.cpu_ram_efficient_loading and not plugin.activation_checkpointing


@pytest.mark.parametrize(("name", "stage"), [("deepspeed_zero2", 2), ("deepspeed_zero3", 3)])
def test_deepspeed_cuts_what_its_stage_says(name, stage, environment):
    pytest.importorskip("deepspeed")
    environment(name)
    config = DeepSpeedPlugin().deepspeed_config
    assert config["zero_optimization"]["stage"] == stage
    assert config["zero_optimization"]["offload_optimizer"]["device"] == "none"


@pytest.mark.parametrize(("name", "stage"), [("deepspeed_zero2", 2), ("deepspeed_zero3", 3)])
def test_deepspeed_is_told_its_stage(name, stage, environment):
    variables = environment(name)
    assert variables["ACCELERATE_USE_DEEPSPEED"] == "true"
    assert variables["ACCELERATE_DEEPSPEED_ZERO_STAGE"] == str(stage)
    assert variables["ACCELERATE_DEEPSPEED_ZERO3_INIT"] == "false"


@pytest.mark.parametrize("name", KINDS)
def test_no_key_is_unknown_to_accelerate(name):
    """`accelerate launch` hands unknown keys of inner mappings on without a word."""
    content = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    inner = {key for part in content.values() if isinstance(part, dict) for key in part}
    assert inner <= set(vars(launched(name)))
