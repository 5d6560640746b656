"""What a user gets: a reply with its text, its routes and the predictions of its calls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from .canvas import Canvas
from .keypoints import KeypointSet
from .structures import Call, Route

__all__ = [
    "Event",
    "InstancePrediction",
    "Prediction",
    "Reply",
    "ReplyEvent",
    "ResultEvent",
    "RouteEvent",
    "RouteFailure",
    "TextEvent",
]

_LEAST_POINT_SCORE = 0.3  # of a keypoint that is drawn


class Prediction(ABC):
    """The result of one call; decoders return their own kinds."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The prediction in plain JSON types, in pixels of the original image."""

    @abstractmethod
    def draw(self, canvas: Canvas) -> None:
        """Draw the prediction."""


@dataclass(frozen=True)
class InstancePrediction(Prediction):
    """Instances with boxes and, where the decoder gives them, masks and keypoints. The best comes
    first."""

    bboxes: Tensor
    """(N, 4) x1, y1, x2, y2 in pixels of the original image."""
    scores: Tensor
    """(N,) between 0 and 1."""
    labels: Tensor
    """(N,) index of the route within its call."""
    phrases: tuple[str, ...]
    """The phrase of each route of the call."""
    masks: Tensor | None = None
    """(N, H, W) of the original image's size."""
    keypoints: Tensor | None = None
    """(N, K, 2) in pixels of the original image."""
    keypoint_scores: Tensor | None = None
    """(N, K) between 0 and 1."""
    keypoint_set: KeypointSet | None = None
    """What the K keypoints are called, and which of them a picture joins."""

    @property
    def sought(self) -> tuple[str, ...]:
        """The phrases that instances can have: those of the call without its keypoints."""
        return self.phrases[: len(self.phrases) - len(self.keypoint_set or ())]

    def select(self, keep: Tensor) -> InstancePrediction:
        """The instances that `keep`, indices or a mask (N,), picks."""
        optional = (self.masks, self.keypoints, self.keypoint_scores)
        masks, keypoints, keypoint_scores = (
            None if value is None else value[keep] for value in optional
        )
        return replace(
            self,
            bboxes=self.bboxes[keep],
            scores=self.scores[keep],
            labels=self.labels[keep],
            masks=masks,
            keypoints=keypoints,
            keypoint_scores=keypoint_scores,
        )

    def above(self, threshold: float) -> InstancePrediction:
        """The instances whose score is at least `threshold`."""
        return self.select(self.scores >= threshold)

    def best(self) -> InstancePrediction:
        """The instance of each route with the highest score: what an expression means that refers
        to one thing."""
        first: dict[int, int] = {}
        sure = self.scores.nan_to_num(nan=-torch.inf)  # a score that is none beats nothing
        for index in sure.argsort(descending=True, stable=True).tolist():
            first.setdefault(int(self.labels[index]), index)
        return self.select(torch.tensor([*first.values()], dtype=torch.long))

    def to_json(self) -> dict[str, Any]:
        """`{"instances": [{"phrase", "label", "score", "bbox", ...}]}`; a mask is left out, its
        area given."""
        instances = []
        for index, label in enumerate(self.labels.tolist()):
            instance: dict[str, Any] = {
                "phrase": self.phrases[label],
                "label": label,
                "score": round(float(self.scores[index]), 4),
                "bbox": [round(value, 2) for value in self.bboxes[index].tolist()],
            }
            if self.masks is not None:
                instance["mask_area"] = int(self.masks[index].sum())
            if self.keypoints is not None:
                instance["keypoints"] = self._points_json(index)
            instances.append(instance)
        return {"instances": instances}

    def _points_json(self, index: int) -> list[dict[str, Any]]:
        """The keypoints of one instance: `{"name", "point", "score"}`, what is known of each."""
        points: list[dict[str, Any]] = []
        places = [] if self.keypoints is None else self.keypoints[index].tolist()
        for number, (x, y) in enumerate(places):
            point: dict[str, Any] = {}
            if self.keypoint_set is not None:
                point["name"] = self.keypoint_set.names[number]
            point["point"] = [round(x, 2), round(y, 2)]
            if self.keypoint_scores is not None:
                point["score"] = round(float(self.keypoint_scores[index, number]), 4)
            points.append(point)
        return points

    def draw(self, canvas: Canvas) -> None:
        """Draw boxes with phrase and score, one colour a phrase; the best lies on top.

        Keypoints with a score below 0.3 are left out.
        """
        for index in reversed(range(len(self.bboxes))):
            phrase = self.phrases[int(self.labels[index])]
            color = canvas.color_of(phrase)
            if self.masks is not None:
                canvas.mask(self.masks[index], color)
            x1, y1, x2, y2 = self.bboxes[index].tolist()
            label = f"{phrase} {float(self.scores[index]):.2f}".strip()
            canvas.box((x1, y1, x2, y2), label, color)
            if self.keypoints is not None:
                points = self._sure_points(self.keypoints[index], index)
                if self.keypoint_set is not None:
                    canvas.limbs(points, self.keypoint_set.limb_indices(), color)
                canvas.points(points, color)

    def _sure_points(self, points: Tensor, index: int) -> Tensor:
        """The points (K, 2) of an instance, not finite where their score is low."""
        if self.keypoint_scores is None:
            return points
        unsure = self.keypoint_scores[index] < _LEAST_POINT_SCORE
        return points.masked_fill(unsure[:, None], torch.nan)


@dataclass(frozen=True)
class RouteFailure:
    """Why a call could not be served."""

    call: Call
    """The call."""
    reason: str
    """What was missing."""


@dataclass(frozen=True)
class Reply:
    """What a user gets for one conversation."""

    text: str
    """The answer without routing tokens and phrase marks."""
    raw: str
    """The answer as the LLM wrote it; it goes into the next turn of a conversation."""
    routes: tuple[Route, ...] = ()
    """The routes of this answer; `span` counts characters of `text`."""
    calls: tuple[Call, ...] = ()
    """The calls that were served; their `routes` are indices into `routes`."""
    predictions: tuple[Prediction, ...] = ()
    """One for each call."""
    failures: tuple[RouteFailure, ...] = field(default=())
    """The calls that could not be served."""
    complete: bool = True
    """Whether the LLM ended the answer itself; False where it ran into the limit of new tokens."""

    def best(self) -> Reply:
        """The reply with the best instance of each route alone."""
        kept = (p.best() if isinstance(p, InstancePrediction) else p for p in self.predictions)
        return replace(self, predictions=tuple(kept))

    def to_json(self) -> dict[str, Any]:
        """The reply in plain JSON types."""
        return {
            "text": self.text,
            "routes": [
                {"token": r.token, "phrase": r.phrase, "span": list(r.span)} for r in self.routes
            ],
            "calls": [
                {"decoder": call.decoder, "routes": list(call.routes), **prediction.to_json()}
                for call, prediction in zip(self.calls, self.predictions, strict=True)
            ],
            "complete": self.complete,
            "failures": [
                {"decoder": failure.call.decoder, "reason": failure.reason}
                for failure in self.failures
            ],
        }


@dataclass(frozen=True)
class TextEvent:
    """A piece of text was written."""

    text: str
    """What a user reads, without routing tokens and phrase marks."""


@dataclass(frozen=True)
class RouteEvent:
    """A routing token was written, and the states of its slots are there."""

    route: Route
    """The route; its `span` counts characters of the whole text."""


@dataclass(frozen=True)
class ResultEvent:
    """A decoder has served a call."""

    call: Call
    """The call."""
    prediction: Prediction
    """What the decoder made of it."""


@dataclass(frozen=True)
class ReplyEvent:
    """The answer is finished."""

    reply: Reply
    """All of it, failures included."""


Event = TextEvent | RouteEvent | ResultEvent | ReplyEvent
"""What a stream tells."""
