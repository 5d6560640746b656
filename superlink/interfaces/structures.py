"""What flows between the parts: samples, routes, calls, queries, outputs.

Letters for shapes: B samples, T tokens, R routes, Q queries per route, C width, N instances, K
keypoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor

from ..errors import InputError
from .geometry import Geometry
from .regions import REGION_MARK, Region, RegionPart

__all__ = [
    "IMAGE",
    "BackboneOutput",
    "Call",
    "CallInput",
    "DecoderInputs",
    "ImageFeatures",
    "ImagePart",
    "LinkedQueries",
    "LossTerm",
    "Message",
    "Part",
    "Route",
    "Sample",
    "SuperLinkOutput",
]

Role = Literal["system", "user", "assistant"]
LossTerm = tuple[Tensor, Tensor | float]
"""A loss as (sum, count): whoever adds several of them up divides once, by the count of all."""


@dataclass(frozen=True)
class ImagePart:
    """The place of the next image of the sample inside a message."""


IMAGE = ImagePart()
Part = str | ImagePart | RegionPart


@dataclass(frozen=True)
class Message:
    """One message of a conversation.

    Datasets and users write a routing token alone, `<p>red car</p>[DET]`; superlink inserts the
    slots. Control strings are honoured in messages of the assistant, and escaped elsewhere unless
    `allow_control` is set.
    """

    role: Role
    """Who speaks."""
    content: str | tuple[Part, ...]
    """Text, or text, `IMAGE` and `REGION` parts in their order."""
    allow_control: bool = False
    """Whether routing tokens in a message that is not the assistant's are meant as such."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The content as a tuple, also where it is text alone."""
        return (self.content,) if isinstance(self.content, str) else self.content

    def text_with(self, image: str) -> str:
        """The text with a placeholder in the place of each image, and marks for regions."""
        others = {ImagePart: image, RegionPart: REGION_MARK}
        return "".join(p if isinstance(p, str) else others[type(p)] for p in self.parts)

    @property
    def num_images(self) -> int:
        """How many images stand in this message."""
        return sum(isinstance(part, ImagePart) for part in self.parts)

    @property
    def num_regions(self) -> int:
        """How many regions stand in this message."""
        return sum(isinstance(part, RegionPart) for part in self.parts)

    @property
    def text(self) -> str:
        """The text without its images and regions."""
        return "".join(part for part in self.parts if isinstance(part, str))


@dataclass(frozen=True)
class Sample:
    """One conversation with its images and, for training and evaluation, the targets of its
    calls."""

    messages: tuple[Message, ...]
    """The conversation; with targets it ends with the assistant's answer."""
    images: tuple[Image.Image, ...] = ()
    """The images in the order of their `IMAGE` parts, as every stream shall see them (flipped,
    cropped)."""
    geometries: tuple[Geometry, ...] = ()
    """For each image, the map from the original image to the one given here; identity where left
    out."""
    targets: tuple[Mapping[str, Any] | None, ...] = ()
    """One mapping for each call, in the order of the conversation. Decoders say which keys they
    read. For instances:
    `bboxes` (N, 4) in pixels of the original image, `labels` (N,) indices of routes within the
    call."""
    key: str = ""
    """A stable name; random draws of decoders depend on it, not on the layout of devices."""
    regions: tuple[Region, ...] = ()
    """The regions in the order of their `REGION` parts, in pixels of the images given here; each
    without an `image` gets the last one before it."""

    def __post_init__(self) -> None:
        self._place_regions()
        expected = sum(message.num_images for message in self.messages)
        if expected != len(self.images):
            raise InputError(
                "A sample needs one image for each IMAGE part of its messages. "
                f"Expected {expected} images. Received: {len(self.images)} images, key={self.key!r}"
            )
        if not self.geometries:
            identities = tuple(
                Geometry.identity((image.height, image.width)) for image in self.images
            )
            object.__setattr__(self, "geometries", identities)
        if len(self.geometries) != len(self.images):
            raise InputError(
                "A sample needs one geometry for each image, or none at all. "
                f"Received: {len(self.geometries)} geometries for {len(self.images)} images, "
                f"key={self.key!r}"
            )

    def _place_regions(self) -> None:
        """Give each region the index of its image, anew where another sample had found it."""
        expected = sum(message.num_regions for message in self.messages)
        if expected != len(self.regions):
            raise InputError(
                f"A sample needs one region for each REGION part, {REGION_MARK}, of its messages. "
                f"Expected {expected} regions. Received: {len(self.regions)}, key={self.key!r}"
            )
        seen, before = 0, []
        for part in (part for message in self.messages for part in message.parts):
            seen += isinstance(part, ImagePart)
            if isinstance(part, RegionPart):
                before.append(seen - 1)
        placed = [
            replace(region, image=last, placed=True)
            if region.image is None or (region.placed and region.image != last)
            else region
            for region, last in zip(self.regions, before, strict=True)
        ]
        for index, region in enumerate(placed):
            if region.image is None or not 0 <= region.image < len(self.images):
                raise InputError(
                    "A region lies on an image that stands before it in the conversation, or on "
                    f"the one that it names. Received: region {index} of a sample with "
                    f"{len(self.images)} images, image={region.image}, key={self.key!r}"
                )
        object.__setattr__(self, "regions", tuple(placed))


@dataclass(frozen=True)
class Route:
    """One occurrence of a routing token."""

    row: int
    """Index of the sample in its batch."""
    turn: int
    """Index of the message in its conversation."""
    token: str
    """The routing token, for instance `[DET]`."""
    phrase: str = ""
    """The text that the route stands for, without its marks."""
    span: tuple[int, int] = (0, 0)
    """First and last + 1 character of the phrase in the visible text of its message."""
    position: int = -1
    """Index of the routing token in the row of `input_ids`; the slots stand right behind it."""


@dataclass(frozen=True)
class Call:
    """One use of a decoder: the routes of one turn of one sample that belong together."""

    row: int
    """Index of the sample in its batch."""
    turn: int
    """Index of the message in its conversation."""
    decoder: str
    """Name of the decoder that the emitted token picks."""
    routes: tuple[int, ...]
    """Indices into the batch's routes, in the order of the text."""
    image: int | None = None
    """Index of the image, in its sample, that the call speaks of."""


@dataclass(frozen=True)
class CallInput:
    """What a decoder gets to make its own image stream of a call from."""

    image: Image.Image | None
    """The image that the call speaks of; None where the conversation has none."""
    geometry: Geometry | None
    """The map from the original image to `image`."""
    target: Mapping[str, Any] | None
    """The target of the call in pixels of the original image; None in inference."""
    tokens: tuple[str, ...]
    """The routing token of each route."""
    phrases: tuple[str, ...]
    """The phrase of each route."""
    key: str = ""
    """A stable name of the sample, for seeds."""


class DecoderInputs(dict[str, Any]):
    """A batch of prepared calls: the decoder's own keys, and what the core adds.

    `image_index`: (calls,) the image of each call among those of the batch, -1 where it has none.

    `image_features`: for decoders that share the image encoder of the backbone, a tuple of maps
    (calls, C, H, W).
    """


@dataclass(frozen=True)
class LinkedQueries:
    """The condition of a decoder: what its connector made of the states of the slots."""

    states: Tensor
    """(R, C) after pooling, or (R, Q, C)."""
    calls: Tensor
    """(R,) for each route the index of its call in this decoder's batch, ascending."""
    tokens: tuple[str, ...]
    """The routing token of each route."""
    phrases: tuple[str, ...]
    """The phrase of each route."""
    num_calls: int
    """How many calls the batch holds."""

    def counts(self) -> Tensor:
        """How many routes each call has, as (calls,)."""
        return torch.bincount(self.calls, minlength=self.num_calls)

    def phrases_of(self, call: int) -> tuple[str, ...]:
        """The phrases of one call, in the order of its routes."""
        return tuple(p for p, c in zip(self.phrases, self.calls.tolist(), strict=True) if c == call)

    def first(self, num_calls: int) -> LinkedQueries:
        """The routes of the first calls alone."""
        if num_calls == self.num_calls:
            return self
        num_routes = int((self.calls < num_calls).sum())
        return LinkedQueries(
            states=self.states[:num_routes],
            calls=self.calls[:num_routes],
            tokens=self.tokens[:num_routes],
            phrases=self.phrases[:num_routes],
            num_calls=num_calls,
        )

    def padded(self) -> tuple[Tensor, Tensor]:
        """The states as (calls, routes, ...) padded with zeros, and the mask (calls, routes) of the
        real ones."""
        counts = self.counts()
        mask = torch.arange(int(counts.max()), device=counts.device) < counts[:, None]
        states = self.states.new_zeros(*mask.shape, *self.states.shape[1:])
        return states.masked_scatter(
            mask.view(*mask.shape, *[1] * (states.dim() - 2)), self.states
        ), mask


@dataclass
class ImageFeatures:
    """What the image encoder of a backbone made of a batch of images."""

    maps: tuple[Tensor, ...]
    """Feature maps (images, C, H, W), finest first; empty where the encoder gives none."""
    raw: Any = None
    """The backbone's own form, handed back to its forward so that the encoder runs once."""
    grids: tuple[Tensor, ...] = ()
    """For each image (P, C) what the encoder made of its P cells, in the order of
    `Backbone.region_shares`; empty where the backbone tells none."""


@dataclass
class BackboneOutput:
    """One forward of a backbone."""

    last_hidden_state: Tensor
    """(B, T, C), as it enters the output head."""
    logits: Tensor
    """(B, T, V), the routing tokens among the V."""
    cache: Any = None
    """The key-value cache with what the next step needs beside it."""


@dataclass
class SuperLinkOutput:
    """One training forward: a loss to step on, and its parts to look at."""

    loss: Tensor
    """The weighted sum of the language loss and the losses of all decoders."""
    losses: dict[str, LossTerm] = field(default_factory=dict)
    """`lm` and `<decoder>/<name>` as (sum, count)."""
    logits: Tensor | None = None
    """(B, T, V); with labels (B, K, V), of the K columns that predict a label or hold a slot."""
    links: dict[str, LinkedQueries] = field(default_factory=dict)
    """By decoder, the condition of the routes in the batch."""
