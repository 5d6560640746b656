"""The prompts of GenEval, drawn into the folders that its scorer reads."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from ..data.schema import CaptionedImage
from ..errors import InputError
from ..interfaces import Sample
from ..tasks.generation import generation_conversation
from .answering import Answering, Routing
from .pictures import made_pictures
from .runner import ask

__all__ = ["draw_prompts", "read_prompts"]

_MADE_WITH = "made_with.json"
Prompt = Mapping[str, Any]


def read_prompts(path: str | Path) -> list[Prompt]:
    """The lines of GenEval's `evaluation_metadata.jsonl`, each with its `prompt`.

    Raises:
        InputError: The file cannot be read, or a line is no JSON object with a `prompt`.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The prompts {path} cannot be read: {error}") from error
    prompts = [_prompt(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line]
    if not prompts:
        raise InputError(f"Expected a prompt in each line of {path}. Received: an empty file")
    return prompts


def draw_prompts(
    model: Answering,
    prompts: Sequence[Prompt],
    folder: Path,
    *,
    routing: Routing = "generated",
    num_images: int = 4,
    seed: int = 0,
    max_new_tokens: int = 64,
    identity: Mapping[str, Any] | None = None,
    progress: Callable[[Sequence[int]], Any] = iter,
) -> int:
    """Draw each prompt some times: `00000/metadata.jsonl` and `00000/samples/0000.png` and so on.

    A run that was stopped goes on: prompts whose pictures are all there are left as they are. Each
    picture is drawn from another seed, which follows from `seed`, prompt and number alone.

    Args:
        model: What draws.
        prompts: Of `read_prompts`.
        folder: Where the folders of the prompts go.
        routing: Whether the LLM calls the decoder itself. Where it does not, a picture is missing,
            and the scorer does not count it.
        num_images: Pictures of each prompt; GenEval takes 4.
        seed: Of the pictures.
        max_new_tokens: Tokens that the LLM may write in an answer.
        identity: What else the pictures depend on, in JSON types, as the model's path.
        progress: Gets the numbers of the prompts that are left, and gives them back one by one.

    Returns:
        How many pictures were not drawn, as answers had none.

    Raises:
        InputError: The folder holds something else, or cannot be written to.
    """
    made_with = {**(identity or {}), "prompts": [*map(dict, prompts)], "seed": seed}
    made_with |= {"images": num_images, "routing": routing}
    try:
        _claim(folder, made_with)
        left = [i for i in range(len(prompts)) if _num_drawn(folder, i) < num_images]
        for index in progress(left):
            samples = [_sample(prompts[index], index, seed, n) for n in range(num_images)]
            replies = ask(model, samples, routing, max_new_tokens=max_new_tokens)
            firsts = [[image for image, _ in made_pictures(reply)][:1] for reply in replies]
            _write(folder / f"{index:05}", prompts[index], firsts)
        return sum(num_images - _num_drawn(folder, i) for i in range(len(prompts)))
    except OSError as error:
        raise InputError(f"Pictures cannot be written to {folder}: {error}") from error


def _prompt(line: str, place: str) -> Prompt:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise InputError(f"Expected a JSON object at {place}. Received: {error}") from error
    if not isinstance(found, dict) or not str(found.get("prompt", "")).strip():
        raise InputError(f"Expected an object with a `prompt` at {place}. Received: {line[:80]!r}")
    return found


def _claim(folder: Path, made_with: Mapping[str, Any]) -> None:
    """Take an empty folder, or go on in one that the same call began."""
    wanted = json.dumps(made_with, indent=2) + "\n"
    path = folder / _MADE_WITH
    if path.is_file() and path.read_text(encoding="utf-8") == wanted:
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            "Expected an empty folder, or one that the same command began with the same model. "
            f"Received: {folder}, which holds something else. Choose another one."
        )
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(wanted, encoding="utf-8")


def _num_drawn(folder: Path, index: int) -> int:
    return len([*(folder / f"{index:05}" / "samples").glob("*.png")])


def _sample(prompt: Prompt, index: int, seed: int, number: int) -> Sample:
    """The question of the task `generation`; decoders draw from its key."""
    record = CaptionedImage(
        Image.new("RGB", (1, 1)),  # nobody knows what is wanted
        ((str(prompt["prompt"]), ()),),
        key=f"geneval/{seed}/{index:05}/{number:04}",
    )
    made = generation_conversation(record, random.Random(0), False)
    return Sample(made.messages, key=made.key)


def _write(folder: Path, prompt: Prompt, drawn: Sequence[Sequence[Image.Image]]) -> None:
    """The folder of one prompt; a picture that a kill cuts short is none."""
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    (folder / "metadata.jsonl").write_text(json.dumps(prompt), encoding="utf-8")
    for number, pictures in enumerate(drawn):
        for picture in pictures:
            path = folder / "samples" / f"{number:04}.png"
            fresh = path.with_suffix(".new")
            picture.save(fresh, format="PNG")
            fresh.replace(path)
