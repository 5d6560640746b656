"""The card of an experiment: means, spreads, and what they say to its claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..evaluation.cards import ResultCard, Spread
from ..registry.suggestions import suggest
from .claims import RULE, judge
from .experiment import Experiment
from .plotting import draw_plot
from .runs import CHAT, MINUTES, Run, RunResult

__all__ = ["card_metric", "spreads_of", "write_card"]

Results = Sequence[tuple[Run, RunResult]]
_PLOT = "plot.png"
_MAX_PANELS = 4


def spreads_of(experiment: Experiment, results: Results) -> dict[str, dict[str, Spread]]:
    """By metric that the card shows, its spread by variant.

    Raises:
        ConfigError: The experiment wants a metric that was not measured.
    """
    values: dict[str, dict[str, list[float]]] = {}
    for variant in experiment.variants:
        for run, result in results:
            for metric, value in result.metrics.items() if run.variant == variant else ():
                values.setdefault(metric, {}).setdefault(variant, []).append(value)
    return {
        metric: {variant: Spread.of(found) for variant, found in values[metric].items()}
        for metric in _shown(experiment, values)
    }


def write_card(
    experiment: Experiment,
    results: Results,
    spreads: Mapping[str, Mapping[str, Spread]],
    output: Path,
    command: str,
) -> ResultCard:
    """Write the card and its plot into `output`."""
    flat = {
        card_metric(metric, variant): spread
        for metric, found in spreads.items()
        for variant, spread in found.items()
    }
    claims = tuple(judge(c, spreads.get(c.metric or "", {})) for c in experiment.claims)
    draw_plot({metric: spreads[metric] for metric in _plotted(experiment, spreads)}, output / _PLOT)
    card = ResultCard(
        name=experiment.name,
        command=command,
        seed=experiment.seeds[0],
        cpu_minutes=sum(result.metrics[MINUTES] for _, result in results),
        metrics={name: spread.mean for name, spread in flat.items()},
        notes=_notes(experiment, results),
        data=_data(experiment, results),
        spreads=flat,
        claims=claims,
        pictures={"Mean and standard deviation, with a point for each seed": _PLOT},
    )
    card.write(output)
    return card


def card_metric(metric: str, variant: str) -> str:
    """A metric of a variant as cards call it: the variant before the routing, if there is one."""
    stem, _, last = metric.rpartition("/")
    if last in ("generated", "forced"):
        return f"{stem}/{variant}/{last}"
    return f"{metric}/{variant}"


def _shown(experiment: Experiment, values: Mapping[str, Any]) -> list[str]:
    """The metrics that the card shows, in the order of the experiment."""
    shown: list[str] = []
    for name, asked in experiment.measurements.items():
        mine = [metric for metric in values if metric.startswith(f"{name}/")]
        stems = list(dict.fromkeys(m.removeprefix(f"{name}/").rpartition("/")[0] for m in mine))
        for stem in asked.metrics or stems:
            if mine and stem not in stems:
                raise ConfigError(
                    f"The measurement {name!r} has no metric {stem!r}. {suggest(stem, stems)}"
                )
            keys = (f"{name}/{stem}/{routing}" for routing in asked.routings)
            shown += [key for key in keys if key in values]
    claimed = [claim.metric for claim in experiment.claims if claim.metric is not None]
    for metric in claimed:
        if values and metric not in values:
            raise ConfigError(f"A claim wants the metric {metric!r}. {suggest(metric, values)}")
    shown += [metric for metric in (*claimed, MINUTES, CHAT) if metric in values]
    return list(dict.fromkeys(shown))


def _plotted(experiment: Experiment, spreads: Mapping[str, Any]) -> list[str]:
    """The metrics that are claimed something of; else the first of each measurement."""
    claimed = [claim.metric for claim in experiment.claims if claim.metric is not None]
    firsts = {metric.split("/")[0]: metric for metric in reversed(list(spreads))}
    chosen = claimed or [firsts[name] for name in experiment.measurements]
    return list(dict.fromkeys(chosen))[:_MAX_PANELS]


def _notes(experiment: Experiment, results: Results) -> tuple[str, ...]:
    """The question, the rule, and what is true of all runs; single runs keep their own notes."""
    notes = [experiment.about] if experiment.about else []
    if any(claim.order for claim in experiment.claims):
        notes.append(RULE)
    first = results[0][1].notes
    notes += [note for note in first if all(note in result.notes for _, result in results)]
    return tuple(notes)


def _data(experiment: Experiment, results: Results) -> dict[str, Any]:
    wanted = len(experiment.seeds) * len(experiment.variants)
    counts = results[0][1].samples
    return {
        **{f"variant {name}": ", ".join(v) or "-" for name, v in experiment.variants.items()},
        "seeds": ", ".join(map(str, experiment.seeds)),
        "runs": f"{len(results)} of {wanted}",
        **{
            f"measurement {name}": {
                **asked.model_dump(mode="json", exclude_defaults=True, exclude={"metrics"}),
                "samples": counts[name],
            }
            for name, asked in experiment.measurements.items()
        },
    }
