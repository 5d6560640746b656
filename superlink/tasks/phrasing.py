"""How questions and answers are worded: templates as JSON beside the code, and lists of classes."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Literal

from ..data.schema import AnnotatedImage
from ..errors import ConfigError, InputError
from ..link.escaping import Escaper
from ..link.routing import PHRASE_MARKS, STANDARD_TOKENS

__all__ = [
    "AbsentClasses",
    "check_token",
    "choose_names",
    "choose_template",
    "class_answer",
    "class_question",
    "escape_controls",
    "fill_request",
    "load_templates",
    "with_article",
]

Templates = Mapping[str, Mapping[str, tuple[str, ...]]]
AbsentClasses = int | Literal["all"]
"""How many classes that an image does not show are asked for beside those that it shows."""
_ARTICLE = re.compile("(the|an?) ", re.IGNORECASE)
_SENTENCE_ENDS = (".", "!", "?", "\u2026", "\u3002", "\uff01", "\uff1f")
_BEFORE_ARTICLE = re.compile("(the|every) (?={classes})")
"""What a template says before its classes, and none says twice: find the `the left apple`."""


@cache
def load_templates(task: str) -> Templates:
    """The templates of a task: purpose, then group (`plain` or `varied`), then texts."""
    content = json.loads((files(__package__) / "templates" / f"{task}.json").read_text("utf-8"))
    return {
        purpose: {group: tuple(texts) for group, texts in groups.items()}
        for purpose, groups in content.items()
    }


def choose_template(task: str, purpose: str, rng: random.Random, *, varied: bool) -> str:
    """The first plain template, or any of the varied ones."""
    groups = load_templates(task)[purpose]
    return rng.choice(groups["varied"]) if varied else groups["plain"][0]


def fill_request(template: str, **texts: str) -> str:
    """A template with somebody's words in it, as they are.

    Where they end a sentence themselves, the template's own mark behind them is left out.
    """
    (text,) = texts.values()
    if template.endswith((".", "?")) and text.endswith(_SENTENCE_ENDS):
        template = template[:-1]
    return template.format(**texts)


def check_token(token: str) -> None:
    """Raise where the routing token of an answer could not be one."""
    if not re.fullmatch(r"\[[A-Z0-9_]+\]", str(token)):
        raise ConfigError(
            "A routing token is capitals, digits and underscores in brackets: [DET]. "
            f"Received: token={token!r}"
        )


def choose_names(
    record: AnnotatedImage, num_absent: AbsentClasses, rng: random.Random
) -> list[str]:
    """The classes to ask for: all present ones, and some that are known to be absent.

    Args:
        record: What is asked about.
        num_absent: So many absent classes, in an order that is drawn; where the image shows
            nothing, at least one. `all` gives every category in the order of the record, and then
            those of which it has nothing but ignored regions.
        rng: Where the draws come from.

    Raises:
        ConfigError: `num_absent` is neither a number from 0 on nor `all`.
        InputError: There is no class to ask for.
    """
    if num_absent != "all" and (not isinstance(num_absent, int) or num_absent < 0):
        raise ConfigError(
            "Absent classes are a number from 0 on, or 'all'. "
            f"Received: absent_classes={num_absent!r}"
        )
    if num_absent == "all":
        names = list(dict.fromkeys([*record.categories, *(item.name for item in record.ignored)]))
    else:
        names = _present_and_absent(record, num_absent, rng)
    if not names:
        raise InputError(
            "A question needs a class to ask for. "
            f"Received: no category that is known to be here or absent in {record.source}"
        )
    return names


def class_question(task: str, names: Sequence[str], rng: random.Random, *, varied: bool) -> str:
    """The question for `names`: a plain list, or in free wording, `find the apple and the dog`."""
    template = choose_template(task, "find", rng, varied=varied)
    if any(_ARTICLE.match(name) for name in names):
        template = _BEFORE_ARTICLE.sub("", template)
    last = rng.choice((", ", " and ")) if varied else ", "
    # Where the first of them has an article, the others may have one, too.
    article = "the " if varied and "the {classes}" in template and rng.random() < 0.5 else ""
    first = f", {article}".join(names[:-1])
    return template.format(classes=f"{first}{last}{article}{names[-1]}" if first else names[-1])


def with_article(name: str) -> str:
    """`the apple`; `the left apple` and `an apple` as they are."""
    return name if _ARTICLE.match(name) else f"the {name}"


def class_answer(
    task: str, names: Sequence[str], token: str, rng: random.Random, *, varied: bool
) -> str:
    """The answer that puts `token` behind each name; see `escape_controls`."""
    routes = ", ".join(f"<p>{escape_controls(name, token)}</p>{token}" for name in names)
    return choose_template(task, "answer", rng, varied=varied).format(routes=routes)


def escape_controls(text: str, *tokens: str) -> str:
    """`text` of an answer in which nothing calls a decoder; `tokens` behind it may.

    What looks like a phrase mark or a routing token in it, as in a class `[DET]`, reads as before.
    """
    return _escaper(tokens).escape(text)


@cache
def _escaper(tokens: tuple[str, ...]) -> Escaper:
    return Escaper((*PHRASE_MARKS, *STANDARD_TOKENS, *tokens))


def _present_and_absent(record: AnnotatedImage, num_absent: int, rng: random.Random) -> list[str]:
    present = sorted({item.name for item in record.objects})
    # Where a class is ignored somewhere, it is not known to be absent.
    unsure = {item.name for item in record.ignored}.union(present)
    absent = [name for name in record.categories if name not in unsure]
    num_absent = min(len(absent), max(num_absent, 0 if present else 1))
    names = [*present, *rng.sample(absent, num_absent)]
    rng.shuffle(names)
    # An image of crowds alone still has to be asked something.
    return names or sorted(unsure)
