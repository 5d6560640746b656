"""The model `superlink` of lmms-eval. The harness imports this; it needs lmms-eval."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from rich.progress import track

from ...errors import ConfigError, MissingDependencyError
from ..answering import Answering
from ..processes import started_processes
from .entry import open_model
from .requests import ChatRequest, answer_requests

try:
    from lmms_eval.api.instance import Instance
    from lmms_eval.api.model import lmms
    from loguru import logger
except ImportError as error:
    raise MissingDependencyError(
        "Models of superlink run under lmms-eval, which is not installed whole. "
        f"Run: pip install lmms-eval. {error}"
    ) from error

__all__ = ["HarnessModel"]


class HarnessModel(lmms):  # type: ignore[misc]
    """A chat model of lmms-eval: `--model superlink --model_args pretrained=FOLDER`.

    Args:
        pretrained: What `open_model` opens, or a model that is open already.
        batch_size: Questions answered together.
        device: Where to run; None takes a GPU where there is one.
        routes: `allowed` measures the model as users get it; `forbidden` keeps it from calling a
            decoder. A bare model has none either way.
        max_new_tokens: Where a task does not say how long an answer may be.
        max_batch_size: Of no use here; the harness gives it.
        opening: Of a bare model, see `open_model`: `backbone`, `dtype`, ...

    Raises:
        ConfigError: `routes` is neither.
    """

    is_simple = False

    def __init__(
        self,
        pretrained: str | Path | Answering,
        batch_size: int | str = 1,
        device: str | None = None,
        routes: Literal["allowed", "forbidden"] = "allowed",
        max_new_tokens: int = 1024,
        max_batch_size: int | None = None,
        **opening: Any,
    ) -> None:
        super().__init__()
        if routes not in ("allowed", "forbidden"):
            raise ConfigError(f"routes is 'allowed' or 'forbidden'. Received: {routes!r}")
        processes = started_processes()
        self._rank, self._world_size = processes.rank, processes.count
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.device = torch.device(
            f"cuda:{processes.local_rank}" if device == "cuda" and processes.count > 1 else device
        )
        self.batch_size = int(batch_size)
        self.max_new_tokens = max_new_tokens
        self.routes = routes
        self.model: Answering = (
            open_model(pretrained, device=str(self.device), **opening)
            if isinstance(pretrained, str | Path)
            else pretrained
        )

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """The answer to each request, in text."""
        asked = (self._request(*request.args) for request in requests)
        options = {"max_routes": 0} if self.routes == "forbidden" else {}
        answers = answer_requests(
            self.model,
            asked,
            batch_size=self.batch_size,
            max_new_tokens=self.max_new_tokens,
            **options,
        )
        texts, num_routed = [], 0
        for text, reply in track(
            answers,
            "answering",
            total=len(requests),
            console=Console(stderr=True),
            disable=self.rank != 0,
        ):
            texts.append(text)
            num_routed += bool(reply.routes)
        if num_routed:
            logger.warning(
                f"{num_routed} of {len(texts)} answers called a decoder, which no task here asks "
                "for. routes=forbidden measures the text without."
            )
        return texts

    def _request(
        self, context: str, messages: Any, options: Any, index: int, task: str, split: str
    ) -> ChatRequest:
        """A request of the harness with its pictures, which it hands out one by one."""
        document = self.task_dict[task][split][index]
        return ChatRequest(messages(document), dict(options), key=f"{task}/{split}/{index}")

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        """Not served."""
        raise _generation_only("loglikelihood")

    def generate_until_multi_round(self, requests: Sequence[Instance]) -> list[str]:
        """Not served."""
        raise _generation_only("generate_until_multi_round")


def _generation_only(asked: str) -> NotImplementedError:
    return NotImplementedError(
        f"Models of superlink answer in text. Received: a task of the kind {asked}. Choose tasks "
        "whose output_type is generate_until."
    )
