"""What the log of a stage says: losses that are no number or do not fall, samples that are lost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...training.progress import task_losses
from ...training.recipe import ChatGuard
from .bounds import CHAT_RISE, DROPPED, FALL
from .finding import Finding
from .run import StageLog

__all__ = ["chat_findings", "log_findings"]

_FEWEST = 10
"""Entries from which on the begin and the end of a stage are compared, a fifth each."""
_SMALL = 0.05
"""A loss that begins below this has little to fall."""


def log_findings(log: StageLog) -> Iterator[Finding]:
    """One for each loss of a stage, one where it stopped, and one for samples that it left out."""
    if log.stopped:
        yield _stopped(log)
    entries = [(entry.get("step", 0), task_losses(entry)) for entry in log.history]
    entries = [(step, losses) for step, losses in entries if losses]
    if bad := [
        (s, name) for s, losses in entries for name in losses if not math.isfinite(losses[name])
    ]:
        yield _not_finite(log.stage.name, *bad[0])
    else:
        for name in dict.fromkeys(name for _, losses in entries for name in losses):
            yield from _loss(log, name, [losses[name] for _, losses in entries if name in losses])
    yield from _left_out(log)


def chat_findings(logs: Sequence[StageLog], guard: ChatGuard | None) -> Iterator[Finding]:
    """What became of the loss on plain text, where the recipe measured it."""
    after = [log.totals["chat_loss"] for log in logs if "chat_loss" in log.totals]
    if guard is None or not after or "chat_loss_before" not in logs[0].totals:
        return
    before = logs[0].totals["chat_loss_before"]
    rise = after[-1] - before
    bound = CHAT_RISE if guard.max_rise is None else replace(CHAT_RISE, warning=guard.max_rise)
    status = bound.judge(rise)
    done = status == "ok"
    yield Finding(
        check="chat",
        subject=guard.data,
        status=status,
        measured=f"{before:.3f} to {after[-1]:.3f} nats per token",
        bound=f"a rise of {bound}",
        symptom="" if done else f"The LLM forgets the text of {guard.data}.",
        advice="" if done else "Mix text into the stages, or train less of the LLM.",
        anchor="" if done else "the-llm-forgets-how-to-talk",
        figures={"before": before, "after": after[-1], "rise": rise},
    )


def _stopped(log: StageLog) -> Finding:
    return Finding(
        check="losses",
        subject=log.stage.name,
        status="problem",
        measured="stopped before its end",
        bound="finite",
        symptom=log.stopped,
        advice="Lower the rates or lengthen the warm-up; look at the samples that it names.",
        anchor="the-loss-does-not-fall",
    )


def _not_finite(stage: str, step: int, name: str) -> Finding:
    return Finding(
        check="losses",
        subject=f"{stage}: {name}",
        status="problem",
        measured=f"not finite from step {step} on",
        bound="finite",
        symptom=f"The loss {name} is no number from step {step} on.",
        advice="Lower the rates or lengthen the warm-up, and begin again from before that step.",
        anchor="the-loss-does-not-fall",
        figures={"step": float(step)},
    )


def _loss(log: StageLog, name: str, values: Sequence[float]) -> Iterator[Finding]:
    if len(values) < _FEWEST:
        return
    fifth = len(values) // 5
    first, last = sum(values[:fifth]) / fifth, sum(values[-fifth:]) / fifth
    ratio = last / first if first > 0 else 1.0
    status = FALL.judge(ratio)
    small = status == "warning" and first < _SMALL
    if small:
        status = "ok"
    done = status == "ok"
    fell = "rises" if ratio > 1.05 else "does not fall"
    yield Finding(
        check="losses",
        subject=f"{log.stage.name}: {name}",
        status=status,
        measured=f"{first:.3f} to {last:.3f}",
        bound=f"below {_SMALL:g} at first" if small else f"a ratio of {FALL}",
        symptom="" if done else f"The loss {name} {fell} in stage {log.stage.name}.",
        advice="" if done else _advice(log, name),
        anchor="" if done else "the-loss-does-not-fall",
        figures={"first": first, "last": last, "ratio": ratio},
    )


def _advice(log: StageLog, name: str) -> str:
    if name == "lm" and log.stage.lm_weight == 0:
        return f"`lm_weight` of stage {log.stage.name} is 0."
    return "See what the stage trains, and how fast: `learning_rates`."


def _left_out(log: StageLog) -> Iterator[Finding]:
    """Samples that are too long, and those that could not be made."""
    last: dict[str, Any] = {}
    for entry in log.history:
        last |= {k: v for k, v in entry.items() if k in ("dropped_samples", "bad_samples")}
    steps = max((int(entry.get("step", 0)) for entry in log.history), default=0)
    taken = max(1, steps * log.stage.batch_size)
    dropped = _total("dropped", log.totals, last)
    bad = _total("bad", log.totals, last)
    if not (dropped or bad):
        return
    status = DROPPED.judge(dropped / taken)
    if bad and status == "ok":
        status = "warning"
    yield Finding(
        check="samples",
        subject=log.stage.name,
        status=status,
        measured=f"{dropped:.0f} of {taken} too long, {bad:.0f} cannot be used",
        bound=f"{DROPPED} of them too long",
        symptom="" if status == "ok" else f"Stage {log.stage.name} did not train all its samples.",
        advice=""
        if status == "ok"
        else "Raise `model.max_length`, or ask for less in a question; mend the records.",
        anchor="" if status == "ok" else "samples-are-missing",
        figures={"dropped": dropped, "bad": bad, "samples": float(taken)},
    )


def _total(name: str, totals: Mapping[str, float], last: Mapping[str, Any]) -> float:
    return float(totals.get(name, last.get(f"{name}_samples", 0)))
