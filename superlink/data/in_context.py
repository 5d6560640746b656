"""Samples that show what is meant before they ask: example images of an annotated set, then one
more image of it."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ..errors import ConfigError, InputError
from .problems import Problems
from .prompting import has_pixels
from .records import Records
from .schema import AnnotatedImage, AnnotatedObject

__all__ = ["Answers", "InContextDataset", "InContextImages"]

Answers = Literal["masks", "names", "captions"]
"""What examples show of an image: objects of one class, the name of an object, or the caption."""
_SPARE = 8
"""So many more images are looked at than examples are wanted: some show nothing after all. The rest
is looked at where these give fewer than the fewest."""


@dataclass(frozen=True, eq=False)
class InContextImages:
    """Example images, and the image that is asked about in the same way."""

    examples: tuple[AnnotatedImage, ...]
    """The examples, at least one."""
    query: AnnotatedImage
    """The image that is asked about."""
    key: str
    """A stable name of the record."""
    answers: Answers = "masks"
    """What each example shows, and what is asked of the query."""
    name: str = ""
    """The class that all of them show, where masks are asked for."""

    def __post_init__(self) -> None:
        bare = [image.source for image in self.images if not _shows(image, self.answers, self.name)]
        if bare or not self.examples:
            raise InputError(
                "Examples and the query each need an object that is not empty, of the class that "
                "is asked for, or a caption where captions are. Received: "
                f"{len(self.examples)} examples, answers={self.answers!r}, name={self.name!r}, "
                f"nothing to show in {bare}"
            )

    @property
    def images(self) -> tuple[AnnotatedImage, ...]:
        """The examples, and then the query."""
        return (*self.examples, self.query)


class InContextDataset(Records[InContextImages]):
    """In-context samples made of any annotated images; index and seed decide which.

    Each image is the query once for each draw. No example is the query, or another example.

    Args:
        source: Annotated images. All of them are read once, unless they tell their classes by
            `classes_of`, as those of `read_coco` do.
        answers: What the examples show. Examples with masks share a class with their query; others
            are any images.
        min_examples: The fewest examples of a sample. Classes that fewer other images show are
            never asked for.
        max_examples: The most examples of a sample.
        draws: How many samples each image is the query of.
        seed: Of which class is asked for, and of which examples are taken.

    Raises:
        ConfigError: A number is too small, or there are no such answers.
        InputError: No image has enough others beside it.
    """

    def __init__(
        self,
        source: Sequence[AnnotatedImage],
        answers: Answers = "masks",
        *,
        min_examples: int = 1,
        max_examples: int = 5,
        draws: int = 1,
        seed: int = 0,
    ) -> None:
        if answers not in get_args(Answers):
            raise ConfigError(f"answers is one of {get_args(Answers)}. Received: {answers!r}")
        if not 1 <= min_examples <= max_examples or draws < 1:
            raise ConfigError(
                "A sample has at least one example, and an image at least one draw. Received: "
                f"min_examples={min_examples}, max_examples={max_examples}, draws={draws}"
            )
        self.source, self.answers = source, answers
        self.min_examples, self.max_examples = min_examples, max_examples
        self.draws, self.seed = draws, seed
        self.problems: Problems = getattr(source, "problems", Problems())
        self._pools = self._find_pools()
        self._queries = array(
            "q", sorted({index for pool in self._pools.values() for index in pool})
        )
        if not self._queries:
            raise InputError(
                f"Examples need {min_examples} other images that show the same class, or anything "
                f"at all where answers are no masks. Received: {len(source)} images without such, "
                f"answers={answers!r}"
            )

    def __len__(self) -> int:
        return len(self._queries) * self.draws

    def record(self, index: int) -> InContextImages:
        """One query with its examples.

        Raises:
            InputError: An image cannot be read, or so many masks turn out to be empty that no class
                has enough examples left.
        """
        draw, position = divmod(index, len(self._queries))
        number = self._queries[position]
        rng = random.Random(f"in context {self.seed} {draw} {number}")
        query = self.source[number]
        for name in self._names_of(query, rng):
            examples = self._examples(query, number, name, rng)
            if len(examples) >= self.min_examples:
                key = f"{query.key}#{draw}"
                return InContextImages(examples, query, key, self.answers, name)
        raise InputError(
            f"Examples need {self.min_examples} other images that show the same class, with pixels "
            f"of it. Received: none for {query.source}, once its masks were decoded. Ask for fewer "
            "by min_examples, or leave empty masks out of the set."
        )

    def _names_of(self, query: AnnotatedImage, rng: random.Random) -> Iterator[str]:
        """Classes that may be asked for, those that the query and enough other images show: any
        one, then the others, as it may turn out that their masks are empty."""
        if self.answers != "masks":
            yield ""
            return
        names = sorted({item.name for item in query.objects if has_pixels(item)} & {*self._pools})
        while names:
            yield names.pop(rng.randrange(len(names)))

    def _examples(
        self, query: AnnotatedImage, number: int, name: str, rng: random.Random
    ) -> tuple[AnnotatedImage, ...]:
        pool = self._pools[name]
        wanted = rng.randint(self.min_examples, self.max_examples)
        first = rng.sample(pool, min(len(pool), wanted + _SPARE))
        taken: list[AnnotatedImage] = []
        self._take(taken, first, wanted, query, number, name)
        if len(taken) < self.min_examples:
            rest = sorted({*pool} - {*first})
            rng.shuffle(rest)
            self._take(taken, rest, self.min_examples, query, number, name)
        return tuple(taken)

    def _take(
        self,
        taken: list[AnnotatedImage],
        indices: Sequence[int],
        count: int,
        query: AnnotatedImage,
        number: int,
        name: str,
    ) -> None:
        """Add the images at `indices` that can be examples, until there are `count`."""
        for index in indices:
            if len(taken) >= count:
                return
            if index == number:
                continue
            found = self.source[index]
            # One file may stand in a set twice; PIL's images are equal where their pixels are.
            known = any(found.image == other.image for other in (query, *taken))
            if not known and _shows(found, self.answers, name):
                taken.append(found)

    def _find_pools(self) -> dict[str, array[int]]:
        """The images that may stand together, by class; under no name where it does not matter."""
        pools: dict[str, array[int]] = {}
        for index in range(len(self.source)):
            for name in self._names(index):
                pools.setdefault(name, array("q")).append(index)
        return {name: pool for name, pool in pools.items() if len(pool) > self.min_examples}

    def _names(self, index: int) -> set[str]:
        """The pools that an image belongs to."""
        if self.answers == "captions" or not hasattr(self.source, "classes_of"):
            try:
                image = self.source[index]
            except InputError as error:
                self.problems.add(type(self.source).__name__, f"record {index}", str(error))
                return set()
            if self.answers == "captions":
                return {""} if image.caption else set()
            names = {item.name for item in image.objects if has_pixels(item)}
        else:
            names = self.source.classes_of(index)[0]
        return names if self.answers == "masks" else {""} if names else set()


def _shows(image: AnnotatedImage, answers: Answers, name: str) -> bool:
    """Whether an image has what its answer is made of."""
    if answers == "captions":
        return bool(image.caption)
    return any(_fits(item, name) for item in image.objects)


def _fits(item: AnnotatedObject, name: str) -> bool:
    return name in ("", item.name) and has_pixels(item)
