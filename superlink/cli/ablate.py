"""`superlink ablate`: variants of a recipe, several seeds, and what is claimed of them."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ..errors import ConfigError
from .output import quiet_libraries, stderr, stdout

if TYPE_CHECKING:
    from ..evaluation.cards import ResultCard

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def ablate(
    experiment: Annotated[
        Path, typer.Argument(help="YAML that names recipe, variants, measurements and claims.")
    ],
    output: Annotated[
        Path | None, typer.Option(help="Folder of the experiment. [default: runs/NAME]")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Seeds in the place of the file's, as 0,1,2.")
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            metavar="VARIANT",
            help="Run one variant; the card has finished runs of the others as well.",
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the card as JSON, and nothing else.")
    ] = False,
) -> None:
    """Train variants of a recipe with several seeds, and test what is claimed of them.

    The file names a recipe; variants, each with changes as `superlink train --set` takes them;
    what each run is measured on, in the words of `superlink eval`; and claims, as the order
    "8 > 4 > 1" of the variants on a metric. The card in the folder of the experiment has means,
    deviations, a plot, and whether each claim agrees, disagrees, or cannot be told.

    Run it again after a stop: finished runs are kept, and the one that was stopped goes on.

    Example: superlink ablate queries.yaml --seeds 0,1,2 --output runs/queries
    """
    quiet_libraries(threads)
    from ..ablation import ablate as run  # here, as it imports all that training needs
    from ..ablation import load_experiment
    from ..registry import default_registry

    given = None if seeds is None else _seeds(seeds)
    loaded = load_experiment(experiment, given, default_registry())
    folder = output or Path("runs") / loaded.name
    command = shlex.join(["superlink", *sys.argv[1:]])
    card = run(loaded, folder, only=only, command=command, progress=not as_json)
    if as_json:
        typer.echo((folder / "card.json").read_text(encoding="utf-8"), nl=False)
        return
    stdout.print(_table(card))
    for claim in card.claims:
        stdout.print(Text(f"- {claim.sentence()}"), soft_wrap=True)
    stderr.print(f"card {folder / 'card.json'}", soft_wrap=True)


def _seeds(text: str) -> list[int]:
    try:
        return [int(seed) for seed in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"Expected --seeds as 0,1,2. Received: {text!r}") from error


def _table(card: ResultCard) -> Table:
    """A line for each metric of each variant."""
    table = Table("metric", "mean ± standard deviation", box=None, pad_edge=False)
    for name, spread in card.spreads.items():
        table.add_row(name, str(spread))
    return table
