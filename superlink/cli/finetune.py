"""`superlink finetune`: a COCO file and its images in, a checkpoint and a result card out."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import track
from rich.table import Table
from rich.text import Text

from ..errors import ConfigError
from .output import libraries_on_stderr, quiet_libraries, stderr, stdout

if TYPE_CHECKING:
    from ..evaluation import ResultCard
    from .finetune_plan import Plan

__all__ = ["app"]

app = typer.Typer(add_completion=False)

_TOP_CLASSES = 20
_SEEN = 100
"""Training images that are measured at most."""


@app.command()
def finetune(
    annotations: Annotated[Path, typer.Option(help="COCO file: images, annotations, categories.")],
    images: Annotated[Path, typer.Option(help="Folder of the images.")],
    model: Annotated[
        Path | None,
        typer.Argument(help="Checkpoint to start from. [default: the one that superlink ships]"),
    ] = None,
    val_annotations: Annotated[
        Path | None, typer.Option(help="COCO file of images to measure on, in place of a share.")
    ] = None,
    val_images: Annotated[
        Path | None, typer.Option(help="Their folder, where it is another one.")
    ] = None,
    val_share: Annotated[
        float, typer.Option(help="Share of the images that is held out and measured.")
    ] = 0.2,
    output: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/finetune"),
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps on the images. [default: 500]")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Time for them, in place of a number of steps.")
    ] = None,
    masks: Annotated[bool, typer.Option("--masks", help="Learn masks as well as boxes.")] = False,
    classes: Annotated[
        str | None, typer.Option(help="Classes to find, with commas between. [default: all]")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the split and the training.")] = 0,
    val_limit: Annotated[
        int, typer.Option(min=1, help="Images to measure on at most, of those held out.")
    ] = 500,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change the recipe: stages.1.batch_size=4."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write the recipe, show what it does, and stop.")
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the outcome as JSON, and nothing else.")
    ] = False,
) -> None:
    """Teach a model your own classes, from a COCO file and its images.

    It is measured before and after, on images that it was not trained on.

    Images that cannot be read and annotations that are broken are left out and told. The folder of
    the run gets the recipe, both parts of the data, the trained model, and a result card of the
    images that were held out. A run that was stopped goes on when the command is given again.

    Example: superlink finetune --annotations instances.json --images images --output runs/mine
    """
    if steps is not None and minutes is not None:
        raise ConfigError("--steps and --minutes say the same thing. Give one of them.")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "superlink finetune runs in one process. For several, write the recipe with --dry-run, "
            "and start `accelerate launch -m superlink train RUN/recipe.yaml`."
        )
    quiet_libraries(threads)
    from ..demo import MODEL  # here, as these import all that training needs
    from .finetune_data import Request
    from .finetune_plan import make_plan

    request = Request(
        model=str((model or MODEL).resolve()),
        annotations=str(annotations.resolve()),
        images=str(images.resolve()),
        val_annotations=None if val_annotations is None else str(val_annotations.resolve()),
        val_images=None if val_images is None else str(val_images.resolve()),
        val_share=val_share,
        classes=tuple(name.strip() for name in (classes or "").split(",") if name.strip()),
        masks=masks,
        seed=seed,
        steps=steps,
        minutes=minutes,
        changes=tuple(changes or ()),
    )
    command = shlex.join(["superlink", *sys.argv[1:]])

    def tracked(items: Iterable[Any], what: str, total: int) -> Iterable[Any]:
        hidden = as_json or not stderr.is_terminal
        return track(items, what, total, console=stderr, transient=True, disable=hidden)

    card = None
    with libraries_on_stderr():
        plan = make_plan(request, output, command, tracked, claim=not dry_run)
        if not as_json:
            _show(plan, request.model, output)
        if not dry_run:
            card = _run(plan, request.model, output, command, val_limit, not as_json)
    if as_json:
        typer.echo(json.dumps(_outcome(plan, output, card), indent=2))
    elif card is not None:
        stdout.print(_table(card.metrics))
        stderr.print(f"\nmodel   {output}/model\ncard    {output}/card.md", highlight=False)


def _show(plan: Plan, model: str, output: Path) -> None:
    """Tell on stderr what will be done."""
    stage = plan.recipe.stages[-1]
    training, held_out = plan.num_images
    weights = stage.data if isinstance(stage.data, dict) else dict.fromkeys(stage.names, 1)
    share = weights.get("train", 0) / sum(weights.values())
    passes = stage.steps * stage.batch_size * share / training
    facts = {
        "start": model,
        "images": f"{training:,} to train on, {held_out:,} held out, seed {plan.recipe.seed}",
        "training": f"{stage.steps:,} steps of {stage.batch_size} samples, about {passes:,.0f} "
        "passes over the images",
        "recipe": f"{output}/recipe.yaml",
    }
    for name, fact in facts.items():
        stderr.print(Text(f"{name:<10} {fact}"), soft_wrap=True)
    for reason, number in plan.left_out.items():
        stderr.print(Text(f"left out   {number:,} x {reason}", "yellow"), soft_wrap=True)
    for warning in plan.warnings:
        stderr.print(Text(f"warning    {warning}", "yellow"), soft_wrap=True)
    if missing := plan.missing():
        told = ", ".join(missing[:_TOP_CLASSES]) + (", ..." if missing[_TOP_CLASSES:] else "")
        line = Text(f"never seen in training, {len(missing)} classes: {told}")
        stderr.print(line, soft_wrap=True)
    table = Table("class", box=None, pad_edge=False)
    for part in ("to train on", "held out"):
        table.add_column(part, justify="right")
    found = [(name, n) for name, n in plan.objects.items() if sum(n)]
    for name, (here, there) in sorted(found, key=lambda item: -sum(item[1]))[:_TOP_CLASSES]:
        table.add_row(Text(name), f"{here:,}", f"{there:,}")
    if rest := found[_TOP_CLASSES:]:
        table.add_row(Text(f"{len(rest)} others", "dim"), "", "")
    stderr.print(table)


def _run(
    plan: Plan, model: str, output: Path, command: str, limit: int, progress: bool
) -> ResultCard:
    """Measure, train, measure again, and write the card of both."""
    import torch

    from ..evaluation.checkpoints import measure_detector, with_suffix
    from ..training import train

    device = "cuda" if torch.cuda.is_available() else "cpu"
    told: dict[str, Any] = {"command": command, "progress": progress, "device": device}
    name = plan.recipe.name
    before = measure_detector(
        Path(model), plan.held_out, output / "before", name=f"before {name}", limit=limit, **told
    )
    result = train(plan.recipe, output, progress=progress)
    after = measure_detector(
        result.folder, plan.held_out, output / "after", name=f"after {name}", limit=limit, **told
    )
    seen = measure_detector(
        result.folder, plan.training, output / "seen", name=f"{name}, seen", limit=_SEEN, **told
    )
    metrics = {
        **after.metrics,
        **with_suffix(before.metrics, "before"),
        **with_suffix(seen.metrics, "training_images"),
    }
    number = min(_SEEN, plan.num_images[0])
    notes = (
        "`before` is the model that the training started from, on the same images.",
        f"`training_images` are {number} of the images that it was trained on: what is much better "
        "on these than on the others was learnt by heart.",
        *after.notes,
    )
    pictures = {
        f"{when}: {title}": f"{folder}/{file}"
        for when, folder, one in (("before", "before", before), ("after", "after", after))
        for title, file in one.pictures.items()
    }
    card = replace(
        after,
        name=name,
        seed=plan.recipe.seed,
        cpu_minutes=result.cpu_minutes,
        metrics=metrics,
        notes=notes,
        pictures=pictures,
    )
    card.write(output)
    return card


def _table(metrics: Mapping[str, float]) -> Table:
    """The main metrics, before and after."""
    table = Table("metric", box=None, pad_edge=False)
    for column in ("before", "after", "training images"):
        table.add_column(column, justify="right")
    for name in [name.removesuffix("/before") for name in metrics if name.endswith("/before")]:
        values = (metrics.get(key) for key in (f"{name}/before", name, f"{name}/training_images"))
        table.add_row(name, *("" if value is None else f"{value:.3f}" for value in values))
    return table


def _outcome(plan: Plan, output: Path, card: ResultCard | None) -> dict[str, Any]:
    training, held_out = plan.num_images
    found: dict[str, Any] = {
        "recipe": f"{output}/recipe.yaml",
        "images": {"training": training, "held_out": held_out},
        "objects": {name: {"training": n, "held_out": m} for name, (n, m) in plan.objects.items()},
        "left_out": dict(plan.left_out),
        "warnings": list(plan.warnings),
    }
    if card is None:
        return found
    paths = {"model": f"{output}/model", "card": f"{output}/card.json"}
    return {**found, **paths, "cpu_minutes": card.cpu_minutes, "metrics": dict(card.metrics)}
