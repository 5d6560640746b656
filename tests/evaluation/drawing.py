"""Models that draw, for the tests: what they understand, they draw without a mistake."""

from __future__ import annotations

import random
from types import SimpleNamespace

from PIL import Image

from superlink.data.icons import COLOURS, COUNTS, OBJECTS, POSITIONS, Arrangement, draw_arrangement
from superlink.data.scenes.captions import count_phrase
from superlink.interfaces import Call, ImagePrediction, Reply, Route

__all__ = ["Drawing", "picture_reply"]

CAPTIONS = {
    f"{count_phrase(name, count, colour)} {said}": Arrangement(name, colour, count, place)
    for name in OBJECTS
    for colour in COLOURS
    for count in COUNTS
    for place, said in POSITIONS.items()
}


def picture_reply(*images, text="Here it is.", decoder="toy"):
    """A reply with one call, of which each route made a picture."""
    if not images:
        return Reply(text, text)
    routes = tuple(Route(0, 1, "[GEN]") for _ in images)
    call = Call(0, 1, decoder, tuple(range(len(images))))
    made = ImagePrediction(images, ("",) * len(images), tuple(range(len(images))))
    return Reply(text, text, routes, (call,), (made,))


class Drawing:
    """Draws what `Draw {caption}.` asks for, as the built-in icons are drawn, and gives a picture
    that it is shown back."""

    vocabulary = None
    likelihoods = None

    def __init__(self, silent=()):
        self.silent, self.asked = silent, []
        decoder = SimpleNamespace(read_options=lambda options: options, reconstruct=list)
        self.bound = {"toy": SimpleNamespace(decoder=decoder)}

    def answer(self, samples, routing="generated", *, max_new_tokens=128, decoder_options=None):
        self.asked += [(sample.key, routing, decoder_options) for sample in samples]
        return [self._reply(sample) for sample in samples]

    def _reply(self, sample):
        if sample.images:
            return picture_reply(sample.images[0])
        caption = sample.messages[0].text.removeprefix("Draw ").removesuffix(".")
        if any(word in caption for word in self.silent):
            return picture_reply(text="I cannot.")
        rng = random.Random(f"{sample.key} {caption}")
        if caption in CAPTIONS:
            return picture_reply(draw_arrangement(CAPTIONS[caption], 48, rng))
        return picture_reply(Image.frombytes("RGB", (16, 16), rng.randbytes(16 * 16 * 3)))
