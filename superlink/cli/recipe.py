"""`superlink recipe`: look at a recipe, find what is wrong in it, and tell an editor its keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from .output import libraries_on_stderr, quiet_libraries, stdout

__all__ = ["app"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Look at a recipe, find what is wrong in it, and tell an editor its keys.",
)

File = Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe's YAML file.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe: stages.0.steps=10."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]


@app.command()
def show(recipe: File, changes: Changes = None, as_json: AsJson = False) -> None:
    """Print a recipe with all that it leaves to defaults.

    What is printed is a recipe itself, and means the same. Nothing is looked up or built.

    Example: superlink recipe show recipe.yaml --set stages.0.steps=100 > whole.yaml
    """
    from ..training import load_recipe  # all of training, as the names of a recipe come from there

    whole = load_recipe(recipe, changes or ()).model_dump(mode="json")
    typer.echo(json.dumps(whole, indent=2) if as_json else _yaml(whole), nl=as_json)


@app.command()
def validate(
    recipe: File,
    changes: Changes = None,
    devices: Annotated[int, typer.Option(min=1, help="On how many devices it shall run.")] = 1,
    no_data: Annotated[
        bool, typer.Option("--no-data", help="Open no data set, where it is not at hand here.")
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Find what would end a run, and say what the run will do, before it starts.

    Told with line and key: keys and names that do not exist, with the nearest that does; plugins
    and libraries to install; files that are not there; and, once keys and names are right, module
    paths that lead nowhere; a stage that trains nothing; samples that cannot be made. The model is
    built without its weights, and no step is tried. Then follows, for each stage, what is trained
    how fast and what is frozen, samples and tokens of a step, memory, and what is written. The exit
    status is 1 where something is wrong.

    Examples: superlink recipe validate recipe.yaml

    superlink recipe validate recipe.yaml --set stages.0.batch_size=64 --devices 8 --no-data
    """
    quiet_libraries(threads)
    from ..diagnosis.recipes import check_recipe
    from ..registry import default_registry
    from .recipe_report import print_report

    with libraries_on_stderr():
        found = check_recipe(
            recipe, changes or (), default_registry(), devices=devices, read_data=not no_data
        )
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
    elif found.problems:
        for problem in found.problems:  # never wrapped, so that an editor finds file and line
            typer.echo(problem)
    else:
        print_report(found, stdout)
    if found.problems:
        raise typer.Exit(1)


@app.command()
def schema() -> None:
    """Print the JSON schema of recipes, for editors that complete and check YAML.

    Example: superlink recipe schema > recipe.schema.json, and as the first line of a recipe:
    # yaml-language-server: $schema=recipe.schema.json
    """
    from ..training import Recipe

    typer.echo(json.dumps(Recipe.model_json_schema(), indent=2))


def _yaml(whole: dict[str, Any]) -> str:
    return yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=100)
