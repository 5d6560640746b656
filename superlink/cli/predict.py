"""`superlink predict`: one question, one reply."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image
from rich.table import Table
from rich.text import Text

from ..errors import InputError
from ..interfaces import REGION_MARK, ImagePrediction, InstancePrediction, Region, Reply
from ..interfaces.images import open_image
from .making import check_outputs, no_picture, options_by_decoder, picture_lines, write_made
from .output import quiet_libraries, stderr, stdout
from .regions import REGION_HELP, read_region

__all__ = ["app", "draw_picture", "show_gaps"]

app = typer.Typer(add_completion=False)


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="Checkpoint folder.")],
    prompt: Annotated[
        str | None,
        typer.Argument(
            help="What to ask. With --classes: the wording, by default 'Find: {classes}'."
        ),
    ] = None,
    image: Annotated[
        list[Path] | None, typer.Option(help="Picture to ask about; several are possible.")
    ] = None,
    region: Annotated[list[str] | None, typer.Option(help=REGION_HELP)] = None,
    picture: Annotated[Path | None, typer.Option(help="Write the reply as a picture.")] = None,
    made: Annotated[
        Path | None,
        typer.Option(help="Folder for the pictures that the model makes, 001.png and so on."),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="What a decoder is asked for: seed=1, or diffusers.text_to_image.seed=1.",
        ),
    ] = None,
    answer: Annotated[
        str | None,
        typer.Option(help="Force routes as in this answer template: '<p>apple</p>[DET]'."),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...|FILE.txt",
            help="Force a route to each of these classes; a file has one a line.",
        ),
    ] = None,
    classes_per_reply: Annotated[
        int,
        typer.Option(min=1, help="With --classes: how many are asked for in one question."),
    ] = 20,
    token: Annotated[
        str,
        typer.Option(help="With --classes: the routing token behind each, [SEG] for masks."),
    ] = "[DET]",
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Lowest score that is shown and drawn.")
    ] = 0.25,
    best: Annotated[
        bool, typer.Option("--best", help="Show the best instance of each route alone.")
    ] = False,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Tokens to write at most.")] = 128,
    max_routes: Annotated[
        int | None, typer.Option(min=0, help="Routing tokens to write at most; 0 forbids them.")
    ] = None,
    forbidden: Annotated[
        list[str] | None, typer.Option("--forbid", help="Routing token that must not come.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail where a call cannot be served.")
    ] = False,
    device: Annotated[str, typer.Option(help="Where to run, as torch names it: cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the whole reply as JSON, and nothing else.")
    ] = False,
) -> None:
    """Ask a model about a picture.

    With --classes, any number of classes are looked for: in as many questions as that takes, whose
    answers are forced and come as one reply, the best hundred instances in all.

    Example: superlink predict demo/model "Find: apple" --image demo/scene.png --picture out.png

    Example: superlink predict demo/model "the left apple" --best --image demo/scene.png

    Example: superlink predict demo/model --classes apple,dog --image demo/scene.png

    Example: superlink predict MODEL "segment <region>" --region point:60,40 --image scene.png

    Example: superlink predict MODEL "draw two red apples" --made pictures --option seed=1
    """
    images = [open_image(path) for path in image or ()]
    check_outputs(picture, made)
    names = None if classes is None else _class_names(classes)
    _check_question(prompt, names, answer, len(images))
    regions = [read_region(text) for text in region or ()]
    if regions and not images:
        raise InputError("A --region lies on a picture: give it with --image. Received: no --image")
    if regions and names is not None:
        raise InputError("--region stands for a <region> of a prompt. Received: --classes as well")
    if prompt and REGION_MARK in prompt and not regions:
        stderr.print(f"{REGION_MARK} is text here, as no --region was given.", soft_wrap=True)
    quiet_libraries(threads)
    from ..build import load  # here, as the help and mistakes in the arguments need none of it
    from ..tasks.finding import find_classes

    linked = load(model, device=device)
    if names is None:
        reply = linked.predict(
            prompt or "",
            images,
            regions=regions,
            answer=answer,
            max_new_tokens=max_new_tokens,
            max_routes=max_routes,
            forbidden=forbidden or (),
            strict=strict,
            decoder_options=options_by_decoder(linked, option or (), progress=not as_json),
        )
    else:
        reply = find_classes(
            linked,
            images[0],
            names,
            token=token,
            question=prompt or "Find: {classes}",
            classes_per_reply=classes_per_reply,
            strict=strict,
        )
    reply = reply.best() if best else reply
    if as_json:
        typer.echo(json.dumps(reply.to_json(), indent=2))
    else:
        _show(reply, threshold)
    paths = write_made(reply, made) if made is not None else []
    if made is not None and not paths:
        stderr.print(Text(no_picture(linked)), soft_wrap=True)
    if picture is not None:
        draw_picture(images[-1] if images else None, reply, threshold, picture, regions)
        paths.append(picture)
    for path in paths if not as_json else ():
        stderr.print(f"picture {path}", soft_wrap=True)
    if not paths and any(isinstance(p, ImagePrediction) for p in reply.predictions):
        stderr.print("The pictures are not kept: --made FOLDER writes them.", soft_wrap=True)


def _class_names(text: str) -> list[str]:
    """The names of `--classes`: between commas, or the lines of a file that are not blank."""
    if not text.endswith(".txt"):
        return text.split(",")
    try:
        lines = Path(text).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"Expected a text file in UTF-8 with a class a line. Received: --classes {text} "
            f"({error})"
        ) from error
    return [line for line in lines if line.strip()]


def _check_question(
    prompt: str | None, names: list[str] | None, answer: str | None, num_images: int
) -> None:
    """Raise before the model is loaded where the arguments do not say what is asked."""
    if names is None and prompt is None:
        raise InputError(
            "Expected a prompt, as 'Find: apple', or --classes, as apple,dog. Received: neither"
        )
    if names is not None and (answer is not None or num_images != 1):
        raise InputError(
            "--classes makes the answer itself, of one picture. Received: "
            f"{num_images} times --image{'' if answer is None else ', and --answer'}"
        )


def draw_picture(
    image: Image.Image | None,
    reply: Reply,
    threshold: float,
    picture: Path,
    regions: Sequence[Region] = (),
) -> None:
    """Write the picture of a reply; `InputError` where that is not possible."""
    from ..visualization import draw_reply

    drawn = draw_reply(image, reply, threshold, regions=regions)
    try:
        picture.parent.mkdir(parents=True, exist_ok=True)
        drawn.save(picture)
    except OSError as error:
        raise InputError(f"The picture {picture} cannot be written: {error}") from error


def _show(reply: Reply, threshold: float) -> None:
    stdout.print(Text(reply.text))
    numbers: list[str] = []
    table = Table("phrase", "score", "x1", "y1", "x2", "y2", box=None, pad_edge=False)
    for prediction in reply.predictions:
        if isinstance(prediction, ImagePrediction):
            for line in picture_lines(prediction):
                stdout.print(line)
            continue
        if not isinstance(prediction, InstancePrediction):
            stdout.print_json(data=prediction.to_json())
            continue
        found = prediction.above(threshold)
        counts = found.labels.bincount(minlength=len(found.sought)).tolist()
        phrases = (phrase or "it" for phrase in found.sought)
        numbers += [f"{n} x {phrase}" for n, phrase in zip(counts, phrases, strict=True)]
        for instance in found.to_json()["instances"]:
            corners = [f"{value:.1f}" for value in instance["bbox"]]
            table.add_row(Text(instance["phrase"]), f"{instance['score']:.2f}", *corners)
            for point in instance.get("keypoints", ()):
                place = [f"{value:.1f}" for value in point["point"]]
                score = f"{point['score']:.2f}" if "score" in point else ""
                table.add_row(Text(f"  {point.get('name', '')}"), score, *place)
    if numbers:
        stdout.print(Text(f"found {', '.join(numbers)}"))
    if table.row_count:
        stdout.print(table)
    show_gaps(reply)


def show_gaps(reply: Reply) -> None:
    """Tell what a reply lacks: its end, or calls that could not be served."""
    if not reply.complete:
        stderr.print("the answer was cut: allow more with --max-new-tokens", style="yellow")
    for failure in reply.failures:
        stderr.print(Text(f"not served: {failure.reason}", "yellow"))
