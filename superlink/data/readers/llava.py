"""Reading dialogues in the form of LLaVA's instruction data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from ...errors import InputError
from ..problems import BrokenPolicy, Problems
from ..records import Records
from ..schema import Dialogue
from .files import RawColumn, present_files, read_items, read_json, read_lines, refuse_empty

__all__ = ["ROLES", "DialogueDataset", "dialogue_fault", "read_llava", "turns_of"]

Turns = tuple[tuple[Literal["system", "user", "assistant"], str], ...]

ROLES: dict[str, Literal["system", "user", "assistant"]] = {
    "assistant": "assistant",
    "gpt": "assistant",
    "human": "user",
    "system": "system",
    "user": "user",
}


def read_llava(
    annotations: str | Path,
    images: str | Path | None = None,
    *,
    broken: BrokenPolicy = "error",
) -> DialogueDataset:
    """Read dialogues: `{"id", "image", "conversations": [{"from", "value"}]}`.

    `image` is a file name, a list of them, or absent. `from` is human or user, gpt or assistant,
    or system. An answer before the first question is left out.

    Args:
        annotations: A JSON list, or with the suffix .jsonl one JSON object a line.
        images: The folder that file names are relative to; not needed for text alone.
        broken: What to do with a dialogue that cannot be used: `error` raises, `skip` leaves it
            out and counts it.

    Raises:
        InputError: The file is missing or something else, holds no dialogue, or names images and
            there is no folder.
    """
    path = Path(annotations)
    return DialogueDataset(path, None if images is None else Path(images), Problems(broken))


class _Turn(msgspec.Struct, frozen=True):
    speaker: str = msgspec.field(name="from")
    value: str


class _Row(msgspec.Struct, frozen=True, omit_defaults=True):
    conversations: list[_Turn]
    id: str | int | None = None
    image: str | list[str] | None = None

    @property
    def images(self) -> list[str]:
        return [self.image] if isinstance(self.image, str) else self.image or []

    @property
    def turns(self) -> Turns:
        return turns_of((turn.speaker, turn.value) for turn in self.conversations)

    @property
    def fault(self) -> str:
        if unknown := sorted({turn.speaker for turn in self.conversations} - ROLES.keys()):
            return f"nobody knows who {unknown[0]!r} is, in 'from'"
        return dialogue_fault(self.turns, len(self.images))


class DialogueDataset(Records[Dialogue]):
    """The dialogues of a file, in its order; see `read_llava`."""

    def __init__(self, path: Path, folder: Path | None, problems: Problems) -> None:
        self.path, self.folder, self.problems = path, folder, problems
        self._names: list[str] = []
        rows, names = [], []
        for place, row in _read_rows(path, problems):
            item = place if row.id is None else f"{place}, id {row.id}"
            if fault := row.fault:
                problems.add(path, item, fault)
            else:
                self._names.append(item)
                names.append(tuple(row.images))
                # The text alone is kept, without what is not used: objects would cost ten times it.
                rows.append(msgspec.Raw(msgspec.json.encode(row)))
        kept = self._keep_present(names)
        self._names = [self._names[i] for i in kept]
        self._rows = RawColumn([rows[i] for i in kept])
        refuse_empty(len(self), path, problems, "dialogue")

    def __len__(self) -> int:
        return len(self._names)

    def record(self, index: int) -> Dialogue:
        """One dialogue; its images are files, which are not opened."""
        row = msgspec.json.decode(self._rows[index], type=_Row)
        images = tuple(self.folder / name for name in row.images) if self.folder else ()
        return Dialogue(row.turns, images, f"{self.path.name}#{self._names[index]}")

    def _keep_present(self, names: list[tuple[str, ...]]) -> list[int]:
        """Indices of the dialogues whose images are all there; the others become problems."""
        needed = {name for some in names for name in some}
        if needed and self.folder is None:
            raise InputError(
                f"Dialogues in {str(self.path)!r} are about images, as {min(needed)!r}. "
                "Give the folder of the images: images=FOLDER."
            )
        present = present_files(self.folder, needed) if self.folder and needed else set()
        kept = []
        for index, some in enumerate(names):
            if present.issuperset(some):
                kept.append(index)
            else:
                reason = f"an image of it is not in the folder {self.folder}"
                self.problems.add(self.path, self._names[index], reason)
        return kept


def turns_of(said: Iterable[tuple[str, str]]) -> Turns:
    """Turns with their roles, without answers before the first question; see `dialogue_fault`."""
    turns = [(ROLES[speaker], text) for speaker, text in said]
    first = next((i for i, (role, _) in enumerate(turns) if role == "user"), len(turns))
    return tuple(turn for i, turn in enumerate(turns) if i > first or turn[0] != "assistant")


def dialogue_fault(turns: Turns, num_images: int) -> str:
    """Why turns cannot become a dialogue about `num_images` images; empty where they can."""
    roles = [role for role, _ in turns]
    marks = sum(text.count("<image>") for _, text in turns)
    if "user" not in roles or roles[-1] != "assistant":
        return "it needs a question, and an answer at its end"
    if marks != num_images:
        return "it does not have as many images as marks <image>"
    if any("<image>" in text for role, text in turns if role != "user"):
        return "a mark <image> stands in a turn that is not the user's"
    return ""


def _read_rows(path: Path, problems: Problems) -> Iterator[tuple[str, _Row]]:
    """Rows, and how errors call each."""
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        for number, row in read_lines(path, _Row, problems):
            yield f"line {number}", row
    else:
        raw = read_json(path, list[msgspec.Raw], "list of dialogues")
        for index, row in read_items(path, raw, _Row, "dialogues", problems):
            yield f"dialogues[{index}]", row
