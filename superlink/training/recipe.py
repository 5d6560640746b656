"""Recipes: what names a model, its data and the stages of its training. `loading` reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from ..build import ModelConfig
from .misfits import Misfit, misfits

__all__ = ["ChatGuard", "DataChoice", "Recipe", "Stage"]

_Beta = Annotated[float, Field(ge=0, lt=1)]
_STRICT = ConfigDict(
    frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
)
"""No key goes unread, and the docstrings of fields are in the JSON schema."""


class DataChoice(BaseModel):
    """Records, and the task that makes conversations of them."""

    model_config = _STRICT

    task: str
    """Name of a task; `superlink plugins` lists them."""
    format: str
    """Name of one of its readers, or `package.module:callable`."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the reader."""
    conversation: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the task's conversation factory."""


class Stage(BaseModel):
    """One stage of training; each starts from the last one's weights."""

    model_config = _STRICT

    name: str = Field(pattern=r"^[a-z0-9_\-]+$")
    """Lower-case name, used for its folder."""
    data: str | tuple[str, ...] | dict[str, float]
    """Key of the recipe's `data`; or several, each with its weight. A list weighs by size."""
    temperature: float = Field(default=1.0, ge=0.05)
    """Evens the weights w of several data sets out: each is drawn by w ** (1 / temperature)."""
    block_size: int = Field(default=1, ge=1)
    """Samples in a row that come from one data set. 1 mixes within forwards; the samples of a
    forward make each forward hold one data set; `batch_size` makes each step do so."""
    steps: int = Field(ge=1)
    """Optimizer steps."""
    batch_size: int = Field(default=8, ge=1)
    """Samples of a step, over all devices."""
    micro_batch_size: int | None = Field(default=None, ge=1)
    """Samples per device and forward at most, where memory is short: a step accumulates the
    gradients of as many forwards as it needs. None: a device takes its share at once."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the computation; weights stay as they are, and decoders that ask for it in float32."""
    gradient_checkpointing: bool = False
    """True computes activations of the LLM anew in the backward pass: less memory, more time."""
    learning_rate: float = Field(default=1e-4, ge=0)
    """Of every parameter that no entry below names."""
    learning_rates: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """By module path; the longest path counts. 0 freezes."""
    weight_decay: float = Field(default=1e-4, ge=0)
    """Of matrices; vectors have none."""
    adam_betas: tuple[_Beta, _Beta] = (0.9, 0.999)
    """Memory of AdamW; a shorter second one suits short runs."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are clipped to this norm."""
    schedule: Literal["stable", "cosine", "linear", "constant"] = "stable"
    """What the learning rate does after its warm-up: it stays and falls at the end, falls to 0 on
    half a cosine or on a line, or stays to the end."""
    warmup_steps: int = Field(default=40, ge=0)
    """Steps in which the learning rate rises; a third of the stage at most."""
    decay_share: float = Field(default=0.3, ge=0, le=1)
    """With the schedule `stable`, the share of the steps, at the end, in which the learning rate
    falls to a fiftieth."""
    lm_weight: float = Field(default=1.0, ge=0)
    """Factor of the language loss."""
    loss_weighting: Literal["fixed", "uncertainty", "gradnorm"] = "fixed"
    """How the losses of language and decoders are weighed beside their factors: not at all, by
    learned uncertainty (arXiv 1705.07115), or so that their gradients at the LLM's last hidden
    states train at one rate (GradNorm, arXiv 1711.02257)."""
    link_loss: float = Field(default=0.0, ge=0)
    """Factor of the loss by which the condition of a route must name the words of its phrase, or
    without one those of the question."""
    run_decoders: bool = True
    """False trains the language model and the links alone."""
    stop_gradient: bool = False
    """True keeps the decoders' gradient from the queries and the LLM."""
    ema: float | None = Field(default=None, gt=0, lt=1)
    """Decay of the moving average of the weights, which is what the stage hands on."""
    num_workers: int = Field(default=0, ge=0)
    """Processes that read and prepare batches ahead; the batches are the same for any number."""
    max_bad_samples: int = Field(default=0, ge=0)
    """Samples that cannot be read or prepared and are passed over, each with a warning; one more
    ends the stage."""
    save_steps: int | None = Field(default=None, ge=1)
    """A checkpoint every so many steps; None writes none before the end of the stage."""

    @field_validator("data")
    @classmethod
    def _weights_are_positive(
        cls, data: str | tuple[str, ...] | dict[str, float]
    ) -> str | tuple[str, ...] | dict[str, float]:
        if isinstance(data, dict) and (not data or min(data.values()) <= 0):
            raise ValueError(f"each data set of a stage needs a positive weight, received {data}")
        if not data or (isinstance(data, tuple) and len(set(data)) < len(data)):
            raise ValueError(f"a stage needs data sets, each once, received {data}")
        return data

    @property
    def names(self) -> tuple[str, ...]:
        """The data sets of the stage."""
        return (self.data,) if isinstance(self.data, str) else tuple(self.data)


class ChatGuard(BaseModel):
    """A text set on which the language loss is measured before the first stage and after each."""

    model_config = _STRICT

    data: str
    """Key of the recipe's `data`: conversations, usually without routes."""
    samples: int = Field(default=64, ge=1)
    """How many of its samples."""
    max_rise: float | None = Field(default=None, ge=0)
    """By how much the loss per token may rise over a run, in nats; more is a loud warning."""


class Recipe(BaseModel):
    """What `superlink train` does."""

    model_config = _STRICT

    name: str = Field(pattern=r"^\w[\w.\-]*$")
    """What the run is called, and its folder."""
    seed: int = Field(default=0, ge=0, le=4_000_000)
    """Of weights, data and order."""
    model: ModelConfig
    """Backbone and decoders."""
    start: Path | None = None
    """A checkpoint folder whose weights the model starts from, by name. A region encoder or LoRA
    that it lacks starts fresh."""
    start_parts: tuple[str, ...] | None = None
    """Module paths, as `decoders`, that start from there; the rest starts fresh. None: all."""
    data: dict[str, DataChoice]
    """Data sets by name."""
    chat_guard: ChatGuard | None = None
    """Measures what a run does to the LLM's plain text."""
    stages: tuple[Stage, ...] = Field(min_length=1)
    """What is trained, one after the other."""

    def stage_seed(self, index: int) -> int:
        """The seed of one stage: of its data, and of draws that no sample makes."""
        return self.seed * 1000 + index

    @model_validator(mode="after")
    def _parts_fit(self) -> Recipe:
        if found := [*misfits(self.model_dump())]:
            raise ValidationError.from_exception_data("Recipe", [_error(one) for one in found])
        return self


def _error(found: Misfit) -> InitErrorDetails:
    kind = PydanticCustomError("misfit", "{text}", {"text": found.text})
    return InitErrorDetails(type=kind, loc=found.loc, input=found.value)
