"""Find things of many classes in an image, as many questions as that takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from ..errors import ConfigError, InputError
from ..interfaces import Reply, Sample
from ..interfaces.images import open_image
from ..link import RoutingVocabulary
from ..model import Routing, SuperLinkModel
from ..replies import sample_from_prompt
from .chunks import Chunks, listed, listed_routes
from .phrasing import check_token

__all__ = ["find_classes"]


def find_classes(
    model: SuperLinkModel,
    image: str | Path | Image.Image,
    classes: Sequence[str],
    *,
    token: str = "[DET]",
    question: str = "Find: {classes}",
    classes_per_reply: int = 20,
    max_per_image: int | None = 100,
    batch_size: int = 8,
    routing: Routing = "forced",
    max_new_tokens: int = 512,
    **options: Any,
) -> Reply:
    """Ask an image for classes, however many, and give one reply.

    Each question names some of them. What is found for a class depends a little on the classes that
    share its question, and on their order; with `classes_per_reply=1` on none.

    Args:
        model: What answers.
        image: A path or a picture.
        classes: Their names; blanks around them do not count.
        token: The routing token behind each name: `[DET]` for boxes, `[SEG]` for masks.
        question: The wording, `{classes}` in the place of the names: that of the training serves
            best.
        classes_per_reply: The most classes of one question.
        max_per_image: The most instances of the reply, over all classes; None keeps all.
        batch_size: Questions that are answered together.
        routing: `forced` puts a route behind each name, and the LLM writes nothing; with
            `generated` it writes its own answers.
        max_new_tokens: Tokens that it may write in each of them.
        options: Further ones of `SuperLinkModel.answer`, as `strict`.

    Returns:
        Text and routes of all answers, and for each routing token in them one call. Labels of
        instances are indices into its `phrases`; where routing is forced these are `classes`.

    Raises:
        InputError: There is no class, or a name is blank, comes twice or holds a control token;
            `question` does not say where the names stand; questions are too long for the LLM.
        ConfigError: A number is below 1, or `token` is no routing token.
        RoutingError: No decoder of the model answers to `token`.
    """
    check_token(token)
    model.vocabulary.check_bound([token])
    names = _checked_names(classes, model.vocabulary)
    if question.count("{classes}") != 1:
        raise InputError(
            f"A question says once where the names stand, as 'Find: {{classes}}'. "
            f"Received: question={question!r}"
        )
    if batch_size < 1 or options.get("num_return_sequences", 1) != 1:
        raise ConfigError(
            "batch_size must be at least 1, and one reply comes back. Received: "
            f"batch_size={batch_size}, options={options}"
        )
    chunks = Chunks(classes_per_reply, max_per_image)
    sample = sample_from_prompt(
        question.replace("{classes}", listed(names)),
        [open_image(image)],
        answer=listed_routes(names, token) if routing == "forced" else None,
    )
    sample = replace(sample, key="an image" if isinstance(image, Image.Image) else str(image))

    def answer(samples: Sequence[Sample]) -> list[Reply]:
        return model.answer(samples, routing, max_new_tokens=max_new_tokens, **options)

    (reply,) = chunks.answer(answer, [sample], [names], batch_size=batch_size)
    return reply


def _checked_names(classes: Sequence[str], vocabulary: RoutingVocabulary) -> list[str]:
    """The names without blanks around them; see `find_classes` for what raises."""
    if isinstance(classes, str) or not len(classes):
        raise InputError(f"Expected a list of at least one class name. Received: {classes!r}")
    names: dict[str, str] = {}
    for index, name in enumerate(classes):
        where = f"classes[{index}]={name!r}"
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"A class name is a text that is not blank. Received: {where}")
        if vocabulary.escape(name) != name:
            raise InputError(
                "A class name holds neither routing tokens, nor phrase marks, nor special tokens "
                f"of the LLM. Received: {where}. Write the name in words."
            )
        key = name.strip().casefold()
        if key in names:
            raise InputError(
                "Each class is asked for once, whatever its capitals. "
                f"Received: {where} behind {names[key]!r}. Leave one of them out."
            )
        names[key] = name.strip()
    return list(names.values())
