"""How much of the gradient of each decoder's loss, and of the language loss, reaches each part."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from ...interfaces import LossTerm
from ...linked import LinkedModel
from ...training.monitor import trained_parts
from .bounds import RATIO_HIGH, RATIO_LOW
from .finding import Finding, Status

__all__ = ["GradientNorms"]

_LINK_PARTS = ("queries", "connectors", "backbone")
_NAMES = {
    "rows": "the token rows",
    "queries": "the queries",
    "connectors": "the connectors",
    "backbone": "the LLM",
}


class GradientNorms:
    """Collects, over batches, the norm of the gradient of each loss at each trained part.

    `queries` are the banks, `rows` those of the control tokens. The norm of a loss is the mean over
    batches that have it.

    Args:
        model: The linked model, with the switches of its training.
    """

    def __init__(self, model: LinkedModel) -> None:
        self._model = model
        self._parts = _parts(model)
        self._norms: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def add(self, losses: Mapping[str, LossTerm]) -> None:
        """Take the losses of a batch, by name, with their graph."""
        for name, loss in self._model.grouped(losses).items():
            for part, norm in self._reached(loss).items():
                self._norms[name][part].append(norm)

    def _reached(self, loss: Tensor) -> dict[str, float]:
        flat = [parameter for some in self._parts.values() for parameter in some]
        if not (flat and loss.requires_grad):
            return dict.fromkeys(self._parts, 0.0)
        found = iter(torch.autograd.grad(loss, flat, retain_graph=True, allow_unused=True))
        norms = {}
        for name, some in self._parts.items():
            gradients = [g for _, g in zip(some, found, strict=False) if g is not None]
            norms[name] = float(get_total_norm(gradients)) if gradients else 0.0
        return norms

    def norms(self) -> dict[str, dict[str, float]]:
        """By loss and part."""
        return {
            loss: {part: sum(values) / len(values) for part, values in parts.items()}
            for loss, parts in self._norms.items()
        }

    def findings(self) -> Iterator[Finding]:
        """One for the language loss, and one for each decoder that the samples call."""
        norms = self.norms()
        for loss in norms:
            if loss == "lm":
                yield self._of_language(norms[loss])
            elif loss in self._model.bound and self._model.bound[loss].link != "text":
                yield self._of_decoder(loss, norms)

    def _of_language(self, norms: Mapping[str, float]) -> Finding:
        norms = {part: norms[part] for part in ("rows", "queries", "backbone") if part in norms}
        missing = [] if any(norms.values()) else ["every part"]
        symptom = "The language loss trains nothing." if missing else ""
        return _finding("lm", norms, {}, missing, symptom, self._cause("lm"))

    def _of_decoder(self, name: str, norms: Mapping[str, Mapping[str, float]]) -> Finding:
        mine, language = norms[name], norms.get("lm", {})
        rows = self._model.bound[name].link == "token_rows"
        needed = ("rows", *_LINK_PARTS[1:]) if rows else _LINK_PARTS
        missing = [part for part in needed if part in mine and not mine[part] > 0]
        symptom = ""
        if missing:
            symptom = (
                f"The loss of {name} does not reach {', nor '.join(_NAMES[p] for p in missing)}."
            )
        ratios = {
            part: mine[part] / language[part]
            for part in ("backbone", "rows")
            if part in mine and language.get(part, 0.0) > 0
        }
        return _finding(name, mine, ratios, missing, symptom, self._cause(name))

    def _cause(self, loss: str) -> str:
        if self._model.weight_of(loss) == 0:
            key = "lm_weight" if loss == "lm" else f"loss_weight of {loss}"
            return f"{key} is 0: raise it."
        if self._model.stop_gradient and loss != "lm":
            return "`stop_gradient` is true in each stage that runs decoders: turn it off."
        return "A decoder that detaches its condition does that: ask `superlink check`."


def _parts(model: LinkedModel) -> dict[str, list[nn.Parameter]]:
    """The trained parameters by part, those of control tokens apart from those of banks."""
    banks = {id(p) for p in model.queries.banks.values()}
    parts: dict[str, list[nn.Parameter]] = {}
    for name, parameters in trained_parts(model).items():
        for parameter in parameters:
            rows = name == "queries" and id(parameter) not in banks
            parts.setdefault("rows" if rows else name, []).append(parameter)
    return parts


def _finding(
    loss: str,
    norms: Mapping[str, float],
    ratios: Mapping[str, float],
    missing: Sequence[str],
    symptom: str,
    cause: str,
) -> Finding:
    shown = [f"{part} {norms[part]:.2g}" for part in ("rows", *_LINK_PARTS) if part in norms]
    figures = dict(norms) | {f"{part}_to_lm": ratio for part, ratio in ratios.items()}
    status: Status = "ok"
    advice = ""
    if ratio := next(iter(ratios.items()), None):
        shown.append(f"{ratio[1]:.2g} of lm's at {ratio[0]}")
    if not all(map(math.isfinite, norms.values())):
        symptom = f"The gradient of {loss} is not finite."
        return Finding(
            *("gradients", loss, "problem", ", ".join(shown), "finite", symptom),
            advice="See the losses: one of them is not finite for these samples.",
            anchor="the-loss-does-not-fall",
            figures=figures,
        )
    bound = f"above 0; {RATIO_LOW.warning:g} to {RATIO_HIGH.warning:g} of lm's"
    if missing:
        status, advice = "problem", cause
    elif ratio and RATIO_LOW.judge(ratio[1]) != "ok":
        status, symptom = "warning", f"The loss of {loss} hardly counts beside the language loss."
        advice = "Raise the `loss_weight` of the decoder, or lower `lm_weight`."
    elif ratio and RATIO_HIGH.judge(ratio[1]) != "ok":
        status, symptom = "warning", f"The loss of {loss} drowns the language loss."
        advice = "Lower the `loss_weight` of the decoder, or raise `lm_weight`."
    return Finding(
        check="gradients",
        subject=loss,
        status=status,
        measured=", ".join(shown),
        bound=bound,
        symptom=symptom,
        advice=advice,
        anchor="" if status == "ok" else "a-loss-reaches-too-little",
        figures=figures,
    )
