"""The report of the demo: one HTML page with everything inside."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from PIL import Image

from ..data.scenes import attribution
from ..evaluation import ResultCard
from ..interfaces import InstancePrediction, Reply
from ..training import Recipe, TrainingResult
from ..visualization import PictureCanvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Shown", "write_report"]

_THRESHOLD = 0.25


@dataclass(frozen=True)
class Shown:
    """A question with its picture and reply."""

    kind: str
    """`scene` or `photo`."""
    question: str
    """What was asked."""
    image: Image.Image
    """What it was asked about."""
    reply: Reply
    """What came back."""


def write_report(
    output: Path, card: ResultCard, result: TrainingResult, recipe: Recipe, shown: Sequence[Shown]
) -> Path:
    """Write `report.html` into `output`."""
    template = Template(files(__package__).joinpath("report.html").read_text(encoding="utf-8"))
    page = template.substitute(
        command=html.escape(card.command),
        seed=card.seed,
        threshold=_THRESHOLD,
        minutes=f"{card.cpu_minutes:.1f}",
        forced=f"{card.metrics['detection/box_AP50/forced']:.2f}",
        generated=f"{card.metrics['detection/box_AP50/generated']:.2f}",
        curves=_svg(_loss_figure(result.history)),
        scenes="".join(_figure(item) for item in shown if item.kind == "scene"),
        photos="".join(_figure(item) for item in shown if item.kind == "photo"),
        metrics="".join(
            f"<tr><td><code>{html.escape(key)}</code></td><td>{value:.3f}</td></tr>"
            for key, value in card.metrics.items()
        ),
        notes="".join(f"<li>{html.escape(note)}</li>" for note in card.notes),
        parts=_parts(result),
        stages="".join(
            f"<tr><td>{stage.name}</td><td>{stage.steps}</td><td>{stage.batch_size}</td>"
            f"<td>{'everything' if stage.run_decoders else 'LLM and links, on text'}</td></tr>"
            for stage in recipe.stages
        ),
        model=html.escape(str(output / "model")),
        scene=html.escape(str(output / "scene.png")),
        attribution=html.escape(attribution()).replace("\n", "<br>"),
        versions=html.escape(", ".join(f"{k} {v}" for k, v in card.versions.items())),
    )
    path = output / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _figure(item: Shown) -> str:
    picture = _drawn(item)
    caption = f"<b>{html.escape(item.question)}</b><br>{html.escape(item.reply.text) or '—'}"
    return (
        f'<figure><img src="{_data_url(picture)}" alt="{html.escape(item.question)}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _drawn(item: Shown) -> Image.Image:
    """The boxes alone: the text of the reply stands in the caption."""
    canvas = PictureCanvas(item.image)
    for prediction in item.reply.predictions:
        if isinstance(prediction, InstancePrediction):
            prediction = prediction.above(_THRESHOLD)
        prediction.draw(canvas)
    return canvas.image


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


def _parts(result: TrainingResult) -> str:
    """Parameters by part of the model."""
    model = result.model
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
