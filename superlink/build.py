"""From names and configs to models: build, attach, load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field

from . import checkpoint
from .errors import CheckpointError, ConfigError, PluginError, SuperLinkError
from .interfaces import Backbone, DecoderSpec, LoraChoice
from .link import RegionConfig
from .link.routing import LinkMode
from .linked import BoundDecoder, Origin
from .model import SuperLinkModel
from .registry import Registry, default_registry, validate_config

__all__ = [
    "BackboneChoice",
    "DecoderChoice",
    "ModelConfig",
    "attach",
    "build_model",
    "load",
    "restore",
]


class BackboneChoice(BaseModel):
    """A backbone by name."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = "tiny_llava"
    """Name of a backbone; `superlink plugins` lists them."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Its own settings."""
    lora: LoraChoice | None = None
    """LoRA on its language model; the rest of the backbone is frozen then."""


class DecoderChoice(BaseModel):
    """A decoder by name, and how it is bound to one model."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str
    """Name of a decoder; `superlink plugins` lists them."""
    tokens: tuple[str, ...] | None = None
    """Routing tokens that call it; None binds all that it declares."""
    num_queries: int | None = Field(default=None, ge=1)
    """Super-link queries behind each token; None takes what it declares."""
    separate_banks: bool = False
    """Whether each token gets queries and a connector of its own, whatever the decoder declares."""
    link: LinkMode = "queries"
    """What it is told of a route: `queries` the states of super-link queries, `token_rows` that of
    the routing token itself, as in LISA, `text` the words of its phrase alone."""
    loss_weight: float = Field(default=1.0, ge=0)
    """Factor of its losses in the sum."""
    weights: Path | None = None
    """Safetensors that its weights start from, by name, when the model is built. A saved model has
    weights of its own, and does not need the file again."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Its own settings."""


class ModelConfig(BaseModel):
    """A backbone and the decoders linked to it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    backbone: BackboneChoice = BackboneChoice()
    """The multimodal LLM."""
    decoders: tuple[DecoderChoice, ...] = Field(min_length=1)
    """The task decoders, each once."""
    init_std: float = Field(default=0.02, gt=0)
    """Spread of the queries' first values."""
    max_length: int | None = Field(default=None, ge=8)
    """Training samples with more tokens are dropped, never cut."""
    regions: RegionConfig | None = None
    """Sizes of a region encoder, `{}` for the usual ones; without it the model takes no regions."""


def build_model(
    config: ModelConfig | Mapping[str, Any], registry: Registry | None = None
) -> SuperLinkModel:
    """Build a model from names.

    Args:
        config: What to build, as an instance or a mapping.
        registry: Where names are looked up; None takes everything that is installed.
    """
    registry = registry or default_registry()
    config = validate_config(ModelConfig, config, "a model")
    backbone, origin = _build_backbone(config.backbone, registry)
    return _link(backbone, origin, config, registry)


def attach(
    model: Any,
    processor: Any = None,
    decoders: Sequence[str | DecoderChoice | Mapping[str, Any]] = (),
    *,
    lora: LoraChoice | Mapping[str, Any] | None = None,
    registry: Registry | None = None,
    init_std: float = 0.02,
    max_length: int | None = None,
    regions: RegionConfig | Mapping[str, Any] | None = None,
) -> SuperLinkModel:
    """Give a multimodal LLM super links; `detach()` takes them off again.

    Args:
        model: An image-text-to-text model of transformers (loaded, or the Hub id or folder of one),
            or a `Backbone`.
        processor: The processor of a loaded transformers model.
        decoders: Names, or choices with tokens and settings.
        lora: LoRA on the language model; the rest of it is frozen then.
        registry: Where names are looked up; None takes everything that is installed.
        init_std: Spread of the queries' first values.
        max_length: Training samples with more tokens are dropped.
        regions: Sizes of a region encoder, `{}` for the usual ones; None: there is none.
    """
    registry = registry or default_registry()
    choices = [{"name": d} if isinstance(d, str) else d for d in decoders]
    choice: dict[str, Any] = {"name": "transformers", "lora": lora}
    if isinstance(model, str | Path):
        here = Path(model).is_dir()  # a checkpoint must find it from wherever it is loaded
        choice["config"] = {"source": str(Path(model).resolve() if here else model)}
    raw = {
        "backbone": choice,
        "decoders": choices,
        "init_std": init_std,
        "max_length": max_length,
        "regions": regions,
    }
    config = validate_config(ModelConfig, raw, "attach")
    if isinstance(model, str | Path):
        if processor is not None:
            raise ConfigError(
                f"A model by its name brings its processor. Received: model={str(model)!r} and a "
                f"{type(processor).__name__}. Leave the processor out."
            )
        return _link(*_build_backbone(config.backbone, registry), config, registry)
    from .backbones.loading import wrap  # a heavy import, needed here only

    backbone = model if isinstance(model, Backbone) else wrap(model, processor)
    # Where its weights come from nobody knows: a checkpoint holds all of it.
    name = backbone.spec_name
    origin = None if name is None else Origin(name, {}, fingerprint="")
    return _link(backbone, origin, config, registry)


def _build_backbone(choice: BackboneChoice, registry: Registry) -> tuple[Backbone, Origin]:
    """A backbone by name, and where it comes from, down to the commit."""
    backbone = registry.build("backbone", choice.name, choice.config)
    pinned = {} if backbone.revision is None else {"revision": backbone.revision}
    config = {**choice.config, **pinned} if "source" in choice.config else choice.config
    return backbone, Origin(choice.name, config, checkpoint.fingerprint(backbone.base_state_dict()))


def load(
    folder: str | Path, registry: Registry | None = None, *, device: str = "cpu"
) -> SuperLinkModel:
    """Load a checkpoint folder, ready to predict.

    Args:
        folder: What `save`, `superlink train` or `superlink demo` wrote.
        registry: Where names are looked up; None takes everything that is installed.
        device: Where the model shall run, as torch names it: `cpu`, `cuda`.

    Raises:
        CheckpointError: The folder is no checkpoint, or does not fit what is installed.
    """
    folder = Path(folder)
    registry = registry or default_registry()
    saved = checkpoint.read_config(folder)
    for entry in saved["decoders"]:
        _check_installed(entry, registry, folder)
    backbone = _load_backbone(saved["backbone"], folder, registry)
    digest = checkpoint.fingerprint(backbone.base_state_dict())
    if digest != saved["backbone"]["fingerprint"]:
        raise CheckpointError(
            f"The backbone of {folder} has other weights than the one that the links were trained "
            f"on. Expected fingerprint {saved['backbone']['fingerprint']}. Received: {digest}. "
            "Load the same revision of it."
        )
    fields = DecoderChoice.model_fields.keys() - {"weights"}  # the folder has weights of its own
    config = ModelConfig(
        decoders=tuple(
            DecoderChoice(**{key: entry[key] for key in fields & entry.keys()})
            for entry in saved["decoders"]
        ),
        max_length=saved["max_length"],
        regions=saved.get("regions"),
    )
    # What lies in the folder must be written again by the next save, which may replace the folder.
    known = "" if saved["backbone"]["saved"] else digest
    origin = Origin(saved["backbone"]["name"], saved["backbone"]["config"], known)
    model = _link(backbone, origin, config, registry)
    if model.vocabulary.ids != saved["token_ids"]:
        raise CheckpointError(
            f"The tokenizer gives other ids to the control tokens than in {folder}. Expected "
            f"{saved['token_ids']}. Received: {model.vocabulary.ids}"
        )
    _load_adapter(model, saved["backbone"], folder)
    checkpoint.load_weights(model, folder)
    try:
        return model.to(device).eval()
    except (RuntimeError, AssertionError) as error:  # torch raises either
        raise ConfigError(
            f"Expected a device that torch has here. Received: device={device!r}. {error}"
        ) from error


def restore(model: SuperLinkModel, folder: str | Path, registry: Registry | None = None) -> None:
    """Put the weights of a checkpoint into a model that was built from the same config.

    Raises:
        CheckpointError: The checkpoint has an adapter and the model has none, or the other way.
    """
    folder = Path(folder)
    saved = checkpoint.read_config(folder)["backbone"]
    if bool(saved.get("adapter")) != model.backbone.has_adapter():
        raise CheckpointError(
            f"Either both have LoRA or none. Received: {folder} with adapter="
            f"{bool(saved.get('adapter'))}, a model with {model.backbone.has_adapter()}."
        )
    own = model.backbone.base_state_dict()
    if saved["saved"] or checkpoint.fingerprint(own) != saved["fingerprint"]:
        fresh = _load_backbone(saved, folder, registry or default_registry()).base_state_dict()
        with torch.no_grad():
            for name, weight in own.items():
                weight.copy_(fresh[name])
    _load_adapter(model, saved, folder)
    checkpoint.load_weights(model, folder)


def _load_backbone(saved: Mapping[str, Any], folder: Path, registry: Registry) -> Backbone:
    """The backbone of a checkpoint, from the folder or from its source."""
    if not saved["saved"]:
        return registry.build("backbone", saved["name"], saved["config"])
    source = folder / "backbone"
    try:
        config = {**saved["config"], "source": str(source)}
        return registry.build("backbone", saved["name"], config)
    except (SuperLinkError, RuntimeError, *checkpoint.UNREADABLE) as error:
        raise CheckpointError(
            f"The backbone in {source} cannot be loaded. Expected a model and its processor as "
            f"safetensors and JSON. Copy the whole folder again. {error}"
        ) from error


def _load_adapter(model: SuperLinkModel, saved: Mapping[str, Any], folder: Path) -> None:
    if saved.get("adapter"):
        try:
            model.backbone.load_adapter(folder / "adapter")
        except (KeyError, *checkpoint.UNREADABLE) as error:
            raise CheckpointError(
                f"The adapter in {folder / 'adapter'} cannot be loaded. Copy the whole folder "
                f"again. {error}"
            ) from error


def _check_installed(entry: Mapping[str, Any], registry: Registry, folder: Path) -> None:
    name, distribution, version = entry["name"], entry["distribution"], entry["version"]
    try:
        registry.decoder(name)
    except PluginError as error:
        source = f"{distribution}=={version}" if distribution else "the plugin that offers it"
        raise CheckpointError(
            f"{folder} needs the decoder {name!r}, which is not available here. Install it: "
            f"pip install {source}"
        ) from error


def _link(
    backbone: Backbone, origin: Origin | None, config: ModelConfig, registry: Registry
) -> SuperLinkModel:
    bound = [_bind(choice, registry) for choice in config.decoders]
    if config.backbone.lora is not None:
        backbone.add_lora(config.backbone.lora)
    try:
        return SuperLinkModel(
            backbone,
            bound,
            origin=origin,
            init_std=config.init_std,
            max_length=config.max_length,
            regions=config.regions,
        )
    except Exception:  # whatever it was, whoever handed the backbone in gets it back as it was
        if config.backbone.lora is not None:
            backbone.remove_lora()
        raise


def _whole_paths(config: Mapping[str, Any]) -> dict[str, Any]:
    """A decoder's settings, in which each `source` that is a folder has its whole path: a
    checkpoint must find it from wherever it is loaded."""

    def found(key: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return _whole_paths(value)
        here = key == "source" and isinstance(value, str) and Path(value).is_dir()
        return str(Path(value).resolve()) if here else value

    return {key: found(key, value) for key, value in config.items()}


def _bind(choice: DecoderChoice, registry: Registry) -> BoundDecoder:
    spec = registry.decoder(choice.name)
    decoder = registry.build("decoder", choice.name, choice.config)
    if choice.weights is not None:
        checkpoint.load_first_weights(decoder, choice.weights, choice.name)
    return BoundDecoder(
        spec=spec,
        decoder=decoder,
        tokens=_tokens(choice, spec),
        num_queries=choice.num_queries or spec.num_queries,
        config=_whole_paths(choice.config),
        loss_weight=choice.loss_weight,
        separate_banks=choice.separate_banks,
        link=choice.link,
        distribution=registry.distribution_of("decoder", choice.name),
    )


def _tokens(choice: DecoderChoice, spec: DecoderSpec) -> tuple[str, ...]:
    tokens = spec.routing_tokens if choice.tokens is None else choice.tokens
    if not tokens or (unknown := set(tokens) - set(spec.routing_tokens)):
        raise ConfigError(
            f"The decoder {spec.name!r} answers to {', '.join(spec.routing_tokens)}. "
            f"Received: tokens={sorted(unknown) if tokens else tokens}"
        )
    return tokens
