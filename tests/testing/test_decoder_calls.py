"""Calls that decoders are checked with."""

from __future__ import annotations

from PIL import Image

from superlink.interfaces import CallInput
from superlink.testing.decoder_calls import draw_call, reordered


def test_tuples_of_a_target_have_an_entry_for_each_route():
    target = {"images": (Image.new("RGB", (8, 6)),), "captions": ("grey",), "size": (6, 8)}
    dummy = CallInput(None, None, target, ("[GEN]",), ("",))
    call = draw_call(dummy, "[GEN]", 3, 1)
    assert call.target["captions"] == ("grey",) * 3
    assert call.target["size"] == (6, 8)
    pictures = [image.tobytes() for image in call.target["images"]]
    assert len({*pictures}) == 3
    assert all(image.size == (8, 6) for image in call.target["images"])
    turned = reordered(call, [2, 0, 1]).target["images"]
    assert [image.tobytes() for image in turned] == [pictures[i] for i in (2, 0, 1)]
