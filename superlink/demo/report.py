"""The report of the demo: one HTML page with everything inside."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from PIL import Image

from ..data.scenes import attribution
from ..evaluation import ResultCard
from ..model import SuperLinkModel
from ..visualization import draw_reply
from .modes import Mode
from .shipped import PHOTOGRAPHS, Measured, Shown
from .trained import Trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["write_report"]

_THRESHOLD = 0.25
_OTHERS = {
    "regions": "A second model, trained in {minutes} CPU-minutes from the parts of the first that "
    "see, takes regions: a point, a stroke, a box or a mask.",
    "poses": "A third one, trained from nothing in {minutes} CPU-minutes, writes <code>[POSE]"
    "</code> and <code>[KPT]</code>: it finds people and horses with the keypoints that it is "
    "asked for.",
}
"""What the page says of the other models, by their folders."""
_ABOUT = {
    PHOTOGRAPHS: "Nothing was pasted in here, so that every box is a mistake or luck: the model "
    "has seen drawings only. It shows how a link behaves far from its training data."
}


def write_report(
    output: Path,
    shipped: Sequence[Measured],
    photos: Sequence[Shown],
    trained: Trained | None,
) -> Path:
    """Write `report.html` into `output`.

    Args:
        output: The folder of the demo.
        shipped: The shipped models: that for all modes of perception first.
        photos: What the first says to photographs.
        trained: What was trained beside them, and its answers.
    """
    perceiving, *others = shipped
    card = perceiving.card
    page = _template("report.html").substitute(
        command=html.escape(card.command),
        threshold=_THRESHOLD,
        minutes=f"{card.cpu_minutes:.0f}",
        others=" ".join(
            _OTHERS[one.folder].format(minutes=f"{one.card.cpu_minutes:.0f}") for one in others
        ),
        numbers="".join(_numbers(one.card, one.modes) for one in shipped),
        groups=_groups([*(item for one in shipped for item in one.shown), *photos]),
        trained="" if trained is None else _trained(trained),
        metrics=_metrics(card),
        other_results="".join(map(_results, others)),
        pose_line=_pose_line(output) if any(one.folder == "poses" for one in others) else "",
        notes="".join(f"<li>{html.escape(note)}</li>" for note in card.notes),
        parts=_parts(perceiving.model),
        output=html.escape(str(output)),
        attribution=html.escape(attribution()).replace("\n", "<br>"),
        versions=html.escape(", ".join(f"{k} {v}" for k, v in card.versions.items())),
    )
    path = output / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _results(one: Measured) -> str:
    """The table of another model."""
    return (
        f"<h2>Results of the {html.escape(one.card.name)}</h2>\n"
        f"<table><tr><th>metric</th><th>value</th></tr>{_metrics(one.card)}</table>\n"
    )


def _pose_line(output: Path) -> str:
    """How to ask the model for poses."""
    return html.escape(
        f'superlink predict {output}/poses/model "Where are the nose and the left knee of the '
        f'person?" --image {output}/pose.png --picture out.png'
    )


def _template(name: str) -> Template:
    return Template(files(__package__).joinpath(name).read_text(encoding="utf-8"))


def _numbers(card: ResultCard, modes: Sequence[Mode]) -> str:
    """The first metric of each mode, large."""
    return "".join(
        f"<div><b>{card.metrics[key]:.2f}</b>{mode.task.replace('_', ' ')}: {metric}</div>"
        for mode in modes
        for metric in mode.metrics[:1]
        if (key := f"{mode.task}/{metric}/generated") in card.metrics
    )


def _groups(shown: Sequence[Shown]) -> str:
    """A heading and a grid for each group."""
    groups: dict[str, list[Shown]] = {}
    for item in shown:
        groups.setdefault(item.group, []).append(item)
    return "".join(
        f"<h2>{html.escape(name)}</h2>\n<p>{_ABOUT.get(name, '')}</p>\n"
        f'<div class="grid">{"".join(map(_figure, items))}</div>\n'
        for name, items in groups.items()
    )


def _trained(trained: Trained) -> str:
    card = trained.card
    return _template("trained.html").substitute(
        minutes=f"{card.cpu_minutes:.1f}",
        seed=card.seed,
        forced=f"{card.metrics['detection/box_AP50/forced']:.2f}",
        generated=f"{card.metrics['detection/box_AP50/generated']:.2f}",
        scenes="".join(map(_figure, trained.shown)),
        curves=_svg(_loss_figure(trained.result.history)),
        metrics=_metrics(card),
        stages="".join(
            f"<tr><td>{stage.name}</td><td>{stage.steps}</td><td>{stage.batch_size}</td>"
            f"<td>{'everything' if stage.run_decoders else 'LLM and links, on text'}</td></tr>"
            for stage in trained.recipe.stages
        ),
    )


def _metrics(card: ResultCard) -> str:
    return "".join(
        f"<tr><td><code>{html.escape(key)}</code></td><td>{value:.3f}</td></tr>"
        for key, value in card.metrics.items()
    )


def _figure(item: Shown) -> str:
    picture = draw_reply(item.image, item.reply, _THRESHOLD, text=False, regions=item.regions)
    caption = f"<b>{html.escape(item.question)}</b><br>{html.escape(item.reply.text) or '—'}"
    return (
        f'<figure><img src="{_data_url(picture)}" alt="{html.escape(item.question)}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _data_url(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _loss_figure(history: Sequence[Mapping[str, Any]]) -> Figure:
    """One panel for each stage: the loss, and its largest parts."""
    from matplotlib.figure import Figure  # of an extra, whose lack the demo reports at its start

    stages = list(dict.fromkeys(entry["stage"] for entry in history))
    figure = Figure(figsize=(5.2 * len(stages), 3.2), layout="constrained")
    for axes, stage in zip(figure.subplots(1, len(stages), squeeze=False)[0], stages, strict=True):
        entries = [e for e in history if e["stage"] == stage and "loss" in e]
        names = sorted({key for entry in entries for key in entry if key.startswith("loss/")})
        names = sorted(names, key=lambda name: -float(entries[0].get(name, 0)))[:5]
        for name in ("loss", *names):
            points = [(e["step"], float(e[name])) for e in entries if name in e]
            label = name.removeprefix("loss/").removeprefix("mmdet.grounding_dino/")
            axes.plot(*zip(*points, strict=True), label=label, lw=2 if name == "loss" else 1)
        axes.set(title=stage, xlabel="step", yscale="log")
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    return figure


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()[buffer.getvalue().index("<svg") :]


def _parts(model: SuperLinkModel) -> str:
    """Parameters by part of the model."""
    vision = sum(p.numel() for n, p in model.backbone.named_parameters() if "vision" in n)
    parts = {
        "image encoder": vision,
        "language model": _size(model.backbone) - vision,
        "super-link queries and routing tokens": _size(model.queries),
        "connectors": _size(model.connectors),
        "task decoders": _size(model.decoders),
    }
    return "".join(f"<tr><td>{k}</td><td>{v / 1e6:.3f} M</td></tr>" for k, v in parts.items())


def _size(module: Any) -> int:
    return sum(p.numel() for p in module.parameters())
