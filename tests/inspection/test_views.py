"""Pictures of samples: what is drawn lies where it should."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from superlink.inspection.views import (
    CELL,
    Marks,
    annotated_view,
    fitted,
    side_by_side,
    warped,
)
from superlink.interfaces import IMAGE, Geometry, KeypointSet, Message, Sample
from superlink.visualization import PictureCanvas

SIZE = (60, 120)  # height, width


def picture():
    """White, with one red and one blue pixel's worth of colour in the corners."""
    pixels = np.full((*SIZE, 3), 255, np.uint8)
    pixels[:20, :30] = (255, 0, 0)
    pixels[-20:, -30:] = (0, 0, 255)
    return Image.fromarray(pixels)


def sample(image, geometry, *targets):
    messages = (Message("user", (IMAGE, "?")), Message("assistant", "[DET]"))
    return Sample(messages, (image,), (geometry,), targets, "s")


def changed(drawn, plain):
    """The box of all pixels that differ."""
    difference = np.abs(np.asarray(drawn, int) - np.asarray(plain, int)).sum(-1) > 30
    rows, columns = np.nonzero(difference)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_picture_has_the_size_of_a_cell_and_its_note_the_original():
    target = {"bboxes": torch.tensor([[30.0, 20, 60, 40]]), "labels": torch.tensor([0])}
    view = annotated_view(sample(picture(), Geometry.identity(SIZE), target | {"names": ("cat",)}))
    assert view.picture.size == (CELL, CELL // 2)
    assert view.note == "120 x 60; 1 box: 1 x cat"


def test_boxes_without_a_name_lie_on_their_pixels():
    marks = Marks(torch.tensor([[30.0, 20, 60, 40]]), [0], [])
    assert changed(fitted(picture(), [marks]), fitted(picture())) == (120, 80, 240, 160)


@pytest.mark.parametrize("key", ["masks", "void"])
def test_masks_and_void_pixels_are_tinted(key):
    mask = torch.zeros(SIZE, dtype=torch.bool)
    mask[20:40, 30:60] = True
    marks = Marks.of({key: mask[None] if key == "masks" else mask}, ())
    found = changed(fitted(picture(), [marks]), fitted(picture()))
    assert found == pytest.approx((120, 80, 240, 160), abs=3)  # the border of an enlarged mask


def test_keypoints_that_are_not_labelled_are_not_drawn():
    points = torch.tensor([[[45.0, 30], [0, 0]]])
    marks = Marks.of({"keypoints": points, "keypoints_visible": torch.tensor([[2, 0]])}, ())
    x1, y1, x2, y2 = changed(fitted(picture(), [marks]), fitted(picture()))
    assert (x1 + x2) / 2 == pytest.approx(180, abs=2)
    assert (y1 + y2) / 2 == pytest.approx(120, abs=2)


def test_keypoints_are_joined_as_their_set_says_wherever_the_image_goes():
    target = {
        "keypoints": torch.tensor([[[20.0, 30], [100, 30], [60, 5]]]),
        "keypoints_visible": torch.tensor([[2, 2, 0]]),
        "keypoint_set": KeypointSet(("nose", "tail", "paw"), limbs=(("nose", "tail"),)),
    }
    marks = Marks.of(target, ())
    plain = np.asarray(fitted(picture()), int)
    drawn = np.asarray(fitted(picture(), [marks]), int)
    assert (drawn[118:123, 200:280] != plain[118:123, 200:280]).any(-1).any(0).all()
    source, stream = Geometry.identity(SIZE), Geometry.identity(SIZE).resized((30, 30))
    assert marks.moved(source, stream).limbs == marks.limbs == [(0, 1)]


def test_targets_follow_an_image_that_was_mirrored():
    mask = torch.zeros(1, *SIZE)
    mask[:, :20, :30] = 1
    target = {
        "bboxes": torch.tensor([[0.0, 0, 30, 20]]),
        "labels": torch.tensor([0]),
        "masks": mask,
        "keypoints": torch.tensor([[[15.0, 10]]]),
    }
    geometry = Geometry.identity(SIZE).mirrored()
    moved = Marks.of(target, ("red",)).moved(Geometry.identity(SIZE), geometry)
    assert moved.bboxes.tolist() == [[90, 0, 120, 20]]
    assert moved.points[0].tolist() == [[105, 10]]
    assert moved.masks[0].sum() == 600 and moved.masks[0][:20, 90:].all()
    view = annotated_view(sample(ImageOps.mirror(picture()), geometry, target))
    assert np.asarray(view.picture)[20, 40].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    "stream",
    [
        Geometry.identity(SIZE),
        Geometry.identity(SIZE).resized((30, 30)),
        Geometry.identity(SIZE).cropped((30, 10, 120, 60)),
        Geometry.identity(SIZE).mirrored(),
        Geometry.identity(SIZE).resized((120, 240)).padded((256, 256)),
    ],
    ids=["same", "resized", "cropped", "mirrored", "padded"],
)
def test_image_is_moved_as_its_points_are(stream):
    drawn = np.asarray(warped(picture(), Geometry.identity(SIZE), stream))
    assert drawn.shape[:2] == stream.size
    for point, color in (((15.0, 10.0), (255, 0, 0)), ((105.0, 50.0), (0, 0, 255))):
        x, y = stream.points_to_stream(torch.tensor(point)).long().tolist()
        if 0 <= x < stream.size[1] and 0 <= y < stream.size[0]:
            assert drawn[y, x] == pytest.approx(color, abs=2)


def test_letters_are_for_the_largest_of_a_name(monkeypatch):
    written = []
    monkeypatch.setattr(
        PictureCanvas, "box", lambda self, box, label="", color=0: written.append(label)
    )
    many = torch.tensor([[x, 10.0, x + 10, 20] for x in range(0, 110, 11)])
    fitted(picture(), [Marks(many, [0] * len(many), ["cat"])])
    assert len(written) == len(many)
    assert [label for label in written if label] == ["cat"] * 3
    assert written[:3] == ["cat"] * 3


def test_sample_without_an_image_says_so():
    view = annotated_view(Sample((Message("user", "hi"), Message("assistant", "hello")), key="s"))
    assert (view.picture, view.note) == (None, "no image; no target")


def colours(picture):
    """What the middle of the left and of the right half of a picture show."""
    height = picture.height // 2
    return [picture.getpixel((picture.width * part // 4, height)) for part in (1, 3)]


def test_pictures_to_make_stand_beside_the_image_or_alone():
    red, blue = (Image.new("RGB", (16, 16), name) for name in ("red", "blue"))
    target = {"images": (blue,), "captions": ("make it blue",)}
    edited = annotated_view(sample(red, Geometry.identity((16, 16)), target))
    assert colours(edited.picture) == [(255, 0, 0), (0, 0, 255)]
    assert max(edited.picture.size) == CELL
    assert edited.note == "a picture of 16 x 16 pixels: make it blue"
    messages = (Message("user", "Draw it."), Message("assistant", "[GEN]"))
    made = annotated_view(Sample(messages, targets=(target,)))
    assert colours(made.picture) == [(0, 0, 255)] * 2 and made.picture.size == (CELL, CELL)


def test_small_pictures_keep_their_pixels():
    pixels = Image.new("RGB", (2, 1), "red")
    pixels.putpixel((1, 0), (0, 0, 255))
    drawn = np.asarray(side_by_side([pixels]))
    assert drawn.shape == (CELL // 2, CELL, 3)
    assert {tuple(pixel) for pixel in drawn.reshape(-1, 3).tolist()} == {(255, 0, 0), (0, 0, 255)}
