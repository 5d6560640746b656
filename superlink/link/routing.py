"""Routing tokens <-> ids <-> decoders: expand text, escape text, find routes, group calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from torch import Tensor

from ..errors import PluginConflictError, RoutingError
from ..interfaces import REGION_MARK, Call, Message, Route
from .escaping import Escaper

__all__ = [
    "PHRASE_MARKS",
    "STANDARD_TOKENS",
    "Binding",
    "LinkMode",
    "ParsedText",
    "RoutingVocabulary",
    "written_tokens",
]

PHRASE_MARKS = ("<p>", "</p>")
STANDARD_TOKENS = ("[DET]", "[SEG]", "[GRD]", "[POSE]", "[KPT]", "[GEN]", "[EDIT]")
"""Routing tokens that decoders of this field share."""
LinkMode = Literal["queries", "token_rows", "text"]
"""What a decoder is told of a route. `queries`: the states of super-link queries behind the token.
`token_rows`: as in LISA, the state of the token itself, with those of rows behind it where there is
more than one. `text`: the words of the phrase, and no state of the LLM."""
_NAMED_IMAGE = re.compile(r"(?:image|picture) (\d{1,4})", re.IGNORECASE)


@dataclass(frozen=True)
class Binding:
    """One routing token bound to a decoder, for one model."""

    token: str
    """The routing token."""
    decoder: str
    """Name of the decoder that it calls."""
    bank: str
    """Name of the query bank behind it."""
    num_queries: int
    """Vectors that the decoder is told for each occurrence."""
    needs_image: bool = True
    """Whether a call without an image cannot be served."""
    follows: str = ""
    """The token whose run just before it is completed by a run of this one; empty: none."""
    names_image: bool = False
    """Whether a phrase as `image 2` picks the image of its call."""
    link: LinkMode = "queries"
    """What the decoder is told of a route."""

    @property
    def num_slots(self) -> int:
        """Slots behind each occurrence."""
        return {"queries": self.num_queries, "token_rows": self.num_queries - 1, "text": 0}[
            self.link
        ]

    def states_at(self, position: int) -> range:
        """The positions whose last states a route at `position` gives to its decoder."""
        if self.link == "text":
            return range(0)
        first = position + (self.link == "queries")
        return range(first, first + self.num_queries)


@dataclass(frozen=True)
class ParsedText:
    """A message taken apart."""

    text: str
    """What a user sees: without routing tokens, phrase marks and special tokens."""
    routes: tuple[tuple[str, str, tuple[int, int]], ...]
    """(token, phrase, span in `text`) of each route."""


class RoutingVocabulary:
    """The control tokens of one model.

    `tokens` lists them in the order of the link's rows: phrase marks and routing tokens, which
    have logits, then the slots of each bank, which have none; last `<region>`, where it is used.

    Args:
        bindings: One for each routing token.
        special_tokens: Control strings of the backbone, escaped in what users type.
        regions: Whether the model takes regions.
    """

    def __init__(
        self,
        bindings: Iterable[Binding],
        special_tokens: Iterable[str] = (),
        *,
        regions: bool = False,
    ) -> None:
        self.bindings: dict[str, Binding] = {}
        for binding in bindings:
            if taken := self.bindings.get(binding.token):
                raise PluginConflictError(
                    f"A routing token calls one decoder. Received: {binding.token} for "
                    f"{taken.decoder!r} and {binding.decoder!r}. Bind one of them to another of "
                    "its tokens, or leave one out."
                )
            self.bindings[binding.token] = binding
        self.banks = _bank_sizes(self.bindings.values())
        self.controls = (*PHRASE_MARKS, *self.bindings)
        self.slots = {
            bank: tuple(f"<|{bank}_{i}|>" for i in range(size)) for bank, size in self.banks.items()
        }
        self.region_token = (REGION_MARK,) if regions else ()
        slots = (slot for bank in self.slots.values() for slot in bank)
        self.tokens = (*self.controls, *slots, *self.region_token)
        self.ids: dict[str, int] = {}
        specials = {token for token in special_tokens if len(token) > 1}
        # Tokens of other models as well: data that serves several escapes them all.
        self._typed = Escaper({*specials, *self.tokens, *STANDARD_TOKENS, REGION_MARK})
        self._linked = Escaper(self.tokens)
        self._slots = Escaper(token for token in self.tokens if token not in self.controls)
        self._controls = _any_of(self.controls)
        self._routing = _any_of(self.bindings)
        self._hidden = specials - {*self.controls}
        self._pieces = _any_of((*self.controls, *self._hidden))

    def check_bound(self, tokens: Iterable[str]) -> None:
        """Raise `RoutingError` where a decoder answers to none of these routing tokens."""
        if unbound := sorted(set(tokens) - set(self.bindings)):
            raise RoutingError(
                f"No decoder of this model answers to {', '.join(unbound)}. Its routing tokens "
                f"are {', '.join(self.bindings)}: use one of them, or give the model a decoder "
                "that declares the other; `superlink plugins` lists them."
            )

    def special_in_phrases(self, text: str) -> str:
        """The first special token of the backbone that stands in a phrase of `text`; or nothing."""
        phrases = re.findall(f"{PHRASE_MARKS[0]}(.*?){PHRASE_MARKS[1]}", text, re.DOTALL)
        found = ([s for s in self._hidden if s in phrase] for phrase in phrases)
        return next((min(specials) for specials in found if specials), "")

    @property
    def widest(self) -> int:
        """Slots behind the routing token that has most of them."""
        return max(self.banks.values())

    def held_back(self, text: str) -> int:
        """How many characters at the end of a text may still become a hidden special token."""
        longest = max(map(len, self._hidden), default=0)
        for length in range(min(longest - 1, len(text)), 0, -1):
            if any(token.startswith(text[-length:]) for token in self._hidden):
                return length
        return 0

    def bind_ids(self, ids: Sequence[int]) -> None:
        """Tell the ids that the tokenizer gave to `tokens`."""
        self.ids = dict(zip(self.tokens, ids, strict=True))
        self._bindings_by_id = {self.ids[token]: b for token, b in self.bindings.items()}

    def binding_of(self, token_id: int) -> Binding | None:
        """The binding of a routing token's id; None for any other id."""
        return self._bindings_by_id.get(token_id)

    def slot_ids(self, binding: Binding) -> list[int]:
        """The ids that follow the token of `binding`."""
        return [self.ids[slot] for slot in self.slots[binding.bank]]

    def expand(self, text: str) -> str:
        """Put its slots behind each routing token; slots that stand there already are escaped."""
        return self._routing.sub(
            lambda m: m.group() + "".join(self.slots[self.bindings[m.group()].bank]),
            self._slots.escape(text),
        )

    def escape(self, text: str) -> str:
        """Make every control string in `text` harmless, so that `unescape` gives `text` back."""
        return self._typed.escape(text)

    def unescape(self, text: str) -> str:
        """Undo `escape`."""
        return self._typed.unescape(text)

    def spell(self, ids: Sequence[int], decode: Callable[[Sequence[int]], str]) -> str:
        """The text of what the LLM wrote, in which a control token stands for its id alone.

        A model can also write `[DET]` letter by letter; that calls nobody, and is escaped.
        """
        names = {self.ids[token]: token for token in self.controls}
        text = decode(ids)
        if self._controls.findall(text) == [names[i] for i in ids if i in names]:
            return text
        runs = groupby(ids, key=lambda i: names.get(i, ""))
        return "".join(
            token * len(list(run)) if token else self._linked.escape(decode(list(run)))
            for token, run in runs
        )

    def parse(self, text: str) -> ParsedText:
        """Take a message of the assistant apart: routes, and what a user sees, unescaped."""
        visible, routes = "", []
        start, phrase = None, None  # of the phrase that is open, of the one that just closed
        for piece in self._pieces.split(text):
            if piece == PHRASE_MARKS[0]:
                start, phrase = len(visible), None
            elif piece == PHRASE_MARKS[1]:
                phrase = None if start is None else (start, len(visible))
                start = None
            elif piece in self.bindings:
                span = phrase or (len(visible), len(visible))
                routes.append((piece, visible[slice(*span)], span))
                # the phrase stays: `<p>a dog</p>[DET][SEG]` is one phrase with two routes
            elif piece not in self._hidden:
                visible += self.unescape(piece)
                phrase = None if piece.strip() else phrase
        return ParsedText(visible, tuple(_stripped(visible, *route) for route in routes))

    def is_trusted(self, message: Message) -> bool:
        """Whether control strings in a message are meant as such."""
        return message.role == "assistant" or message.allow_control

    def locate(self, row: int, messages: Sequence[Message], ids: Tensor) -> list[Route]:
        """The routes of one sample with their positions in its `ids` (T,).

        Raises:
            RoutingError: The ids do not hold the routes of the text, each with its slots.
        """
        parsed = [
            (turn, *route)
            for turn, message in enumerate(messages)
            if self.is_trusted(message)
            for route in self.parse(message.text).routes
        ]
        row_ids = ids.tolist()
        found = [position for position, i in enumerate(row_ids) if i in self._bindings_by_id]
        expected = [self.ids[token] for _, token, _, _ in parsed]
        if [row_ids[position] for position in found] != expected:
            raise RoutingError(
                "The tokenizer did not keep the routing tokens of a sample. Expected "
                f"{[token for _, token, _, _ in parsed]}, received ids "
                f"{[row_ids[position] for position in found]} at {found}. Check that the chat "
                "template repeats each message once and as it is."
            )
        for position in found:
            slots = self.slot_ids(self._bindings_by_id[row_ids[position]])
            if row_ids[position + 1 : position + 1 + len(slots)] != slots:
                raise RoutingError(
                    f"Expected {len(slots)} slots behind the routing token at position {position}. "
                    f"Received: {row_ids[position : position + 1 + len(slots)]}"
                )
        return [
            Route(row, turn, token, phrase, span, position)
            for (turn, token, phrase, span), position in zip(parsed, found, strict=True)
        ]

    def group(self, routes: Sequence[Route], messages: Sequence[Sequence[Message]]) -> list[Call]:
        """The calls of a batch: routes of one turn of one sample with one token, in text order.

        A run of a token that follows another belongs to the run just before it. A call that begins
        with such a token `lacks_leader`. Routes that name different images are different calls.
        """
        groups: dict[tuple[int, int, str, int | None], list[list[int]]] = {}
        for index, route in enumerate(routes):
            follows = self.bindings[route.token].follows
            image = self._image(route, messages[route.row][: route.turn + 1])
            mine = groups.setdefault((route.row, route.turn, follows or route.token, image), [])
            if not mine or (not follows and routes[mine[-1][-1]].token != route.token):
                mine.append([])
            mine[-1].append(index)
        calls = [
            Call(
                row=row,
                turn=turn,
                decoder=self.bindings[routes[indices[0]].token].decoder,
                routes=tuple(indices),
                image=image,
            )
            for (row, turn, _, image), some in groups.items()
            for indices in some
        ]
        return sorted(calls, key=lambda call: call.routes[0])

    def _image(self, route: Route, messages: Sequence[Message]) -> int | None:
        """Index of the image that a route speaks of: the last one, or the one that it names."""
        count = sum(message.num_images for message in messages)
        named = _NAMED_IMAGE.fullmatch(route.phrase)
        if self.bindings[route.token].names_image and named:
            index = int(named[1]) - 1
            return index if 0 <= index < count else None
        return count - 1 if count else None

    def calls_of(self, decoder: str, calls: Sequence[Call], routes: Sequence[Route]) -> list[Call]:
        """The calls of one decoder; those that lack the image that they need come last."""
        mine = [call for call in calls if call.decoder == decoder]
        return sorted(mine, key=lambda call: self.lacks_image(call, routes))

    def lacks_leader(self, call: Call, routes: Sequence[Route]) -> bool:
        """Whether a call begins with a token that only completes others."""
        return bool(self.bindings[routes[call.routes[0]].token].follows)

    def lacks_image(self, call: Call, routes: Sequence[Route]) -> bool:
        """Whether a call has no image, and its decoder cannot do without."""
        return call.image is None and self.bindings[routes[call.routes[0]].token].needs_image


def written_tokens(text: str) -> set[str]:
    """The routing tokens that a text means to use: standard ones, and what follows a phrase."""
    behind = re.findall(r"</p>((?:\[[A-Z0-9_]+\])+)", text)
    tokens = {token for run in behind for token in re.findall(r"\[[A-Z0-9_]+\]", run)}
    return tokens | {token for token in STANDARD_TOKENS if token in text}


def _any_of(strings: Iterable[str]) -> re.Pattern[str]:
    """A pattern with one group that finds each of `strings`, the longest first."""
    longest_first = sorted(strings, key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, longest_first)) or '(?!)'})")


def _bank_sizes(bindings: Iterable[Binding]) -> Mapping[str, int]:
    """The slots of each bank."""
    firsts: dict[str, Binding] = {}
    for binding in bindings:
        first = firsts.setdefault(binding.bank, binding)
        if (first.num_queries, first.link) != (binding.num_queries, binding.link):
            raise RoutingError(
                f"Decoders that share the query bank {binding.bank!r} need the same num_queries "
                f"and link. Received: {first.num_queries} and {binding.num_queries}, "
                f"{first.link!r} and {binding.link!r}"
            )
    return {bank: binding.num_slots for bank, binding in firsts.items()}


def _stripped(
    visible: str, token: str, phrase: str, span: tuple[int, int]
) -> tuple[str, str, tuple[int, int]]:
    """A route whose phrase does not begin or end with blanks."""
    start = span[0] + len(phrase) - len(phrase.lstrip())
    text = phrase.strip()
    return (token, text, (start, start + len(text))) if text else (token, "", (span[1], span[1]))
