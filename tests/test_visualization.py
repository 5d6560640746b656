"""Pictures of replies: coordinates stay those of the image, words stay readable."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor

from superlink.errors import InputError
from superlink.interfaces import (
    Call,
    InstancePrediction,
    KeypointSet,
    Prediction,
    Region,
    Reply,
    Route,
    RouteFailure,
)
from superlink.visualization import PALETTE, PictureCanvas, draw_reply, draw_target, grid

CALL = Call(0, 1, "toy", (0, 1), 0)


def _reply(**options):
    prediction = InstancePrediction(
        torch.tensor([[8.0, 8.0, 24.0, 24.0], [40.0, 40.0, 60.0, 56.0]]),
        torch.tensor([0.9, 0.2]),
        torch.tensor([0, 1]),
        ("cat", "dog"),
        **options,
    )
    routes = (Route(0, 1, "[DET]", "cat"), Route(0, 1, "[DET]", "dog"))
    return Reply("a cat, a dog", "", routes, (CALL,), (prediction,))


def _where(picture, index):
    """Where the picture has exactly one colour of the palette: (H, W)."""
    return (np.asarray(picture) == ImageColor.getrgb(PALETTE[index])).all(-1)


def test_canvas_enlarges_small_pictures_and_leaves_large_ones():
    assert PictureCanvas(Image.new("RGB", (64, 32))).image.size == (512, 256)
    assert PictureCanvas(Image.new("RGB", (1, 1))).image.size == (480, 480)
    assert PictureCanvas(Image.new("RGB", (700, 500))).image.size == (700, 500)


def test_canvas_leaves_the_image_as_it_was():
    image = Image.new("RGB", (500, 500))
    PictureCanvas(image).box((0, 0, 100, 100), "cat")
    assert not np.asarray(image).any()


def test_box_lies_on_the_edges_of_its_pixels():
    canvas = PictureCanvas(Image.new("RGB", (64, 64)))
    canvas.box((8, 16, 24, 40))
    rows, columns = np.nonzero(_where(canvas.image, 0))
    edges = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    assert (edges / canvas.scale).tolist() == [8, 16, 24, 40]


@pytest.mark.parametrize("bbox", [(0, 0, 64, 64), (50, 0, 64, 5), (-9, -9, 80, 80), (5, 5, 5, 5)])
def test_label_stays_in_the_picture(bbox):
    canvas = PictureCanvas(Image.new("RGB", (64, 64)))
    canvas.box(bbox, "a long label 0.50")
    (((x1, y1, x2, y2), *_),) = canvas._labels
    assert 0 <= x1 < x2 <= canvas.image.width and 0 <= y1 < y2 <= canvas.image.height


def test_labels_of_boxes_at_one_place_do_not_cover_each_other():
    canvas = PictureCanvas(Image.new("RGB", (64, 64)))
    for color in range(3):
        canvas.box((20, 20, 50, 50), "cat 0.50", color)
    plates = [plate for plate, *_ in canvas._labels]
    for i, a in enumerate(plates):
        for b in plates[:i]:
            assert a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]


def test_mask_tints_its_pixels_only():
    canvas = PictureCanvas(Image.new("RGB", (480, 480), "white"))
    mask = torch.zeros(480, 480)
    mask[100:200, 100:300] = 1
    canvas.mask(mask, 1)
    changed = (np.asarray(canvas.image) != 255).any(-1)
    assert (changed == mask.numpy().astype(bool)).all()


def test_mask_of_another_rank_is_refused():
    with pytest.raises(InputError, match=r"\(H, W\)"):
        PictureCanvas(Image.new("RGB", (9, 9))).mask(torch.zeros(1, 9, 9))


def test_points_lie_where_they_belong():
    canvas = PictureCanvas(Image.new("RGB", (64, 64)))
    canvas.points(torch.tensor([[10.0, 20.0], [float("nan"), 3.0]]), 2)
    rows, columns = np.nonzero(_where(canvas.image, 2))
    assert columns.mean() / canvas.scale == pytest.approx(10, abs=0.2)
    assert rows.mean() / canvas.scale == pytest.approx(20, abs=0.2)


def _length(picture, index, axis):
    """How far a colour of the palette reaches along an axis, in pixels of the picture."""
    found = np.nonzero(_where(picture, index))[axis]
    return found.max() - found.min() if len(found) else 0


def test_limbs_join_their_points():
    canvas = PictureCanvas(Image.new("RGB", (64, 64)))
    canvas.limbs(torch.tensor([[10.0, 20.0], [50.0, 20.0], [10.0, 60.0]]), [(0, 1)], 2)
    rows, columns = np.nonzero(_where(canvas.image, 2))
    reach = [columns.min(), columns.max(), rows.mean()]
    assert np.array(reach) / canvas.scale == pytest.approx([10, 50, 20], abs=0.3)


def test_limbs_to_points_that_are_not_known_are_left_out():
    canvas = PictureCanvas(Image.new("RGB", (64, 64)))
    points = torch.tensor([[10.0, 20.0], [float("nan"), 20.0], [20.0, float("inf")]])
    canvas.limbs(points, [(0, 1), (1, 2), (2, 0)])
    canvas.limbs(torch.zeros(0, 2), [])
    assert not np.asarray(canvas.image).any()


def test_limbs_leave_labels_readable():
    image = Image.new("RGB", (64, 64))
    plain, crossed = PictureCanvas(image), PictureCanvas(image)
    for canvas in (plain, crossed):
        canvas.box((20, 30, 50, 60), "cat", 0)
    crossed.limbs(torch.tensor([[0.0, 28.0], [64.0, 28.0]]), [(0, 1)], 1)
    (((x1, y1, x2, y2), *_),) = crossed._labels
    area = (slice(int(y1), int(y2)), slice(int(x1), int(x2)))
    assert (np.asarray(plain.image)[area] == np.asarray(crossed.image)[area]).all()


def _posed(**options):
    """The picture of one cat without a box, whose nose and tail lie 40 pixels apart."""
    prediction = InstancePrediction(
        torch.tensor([[10.0, 20.0, 11.0, 21.0]]),
        torch.ones(1),
        torch.tensor([0]),
        ("",),
        keypoints=torch.tensor([[[10.0, 20.0], [50.0, 20.0]]]),
        **options,
    )
    canvas = PictureCanvas(Image.new("RGB", (64, 64)))
    prediction.draw(canvas)
    color = canvas.color_of("")
    return _where(canvas.image, color)[:, 25 * canvas.scale : 35 * canvas.scale].any(), _length(
        canvas.image, color, 1
    ) / canvas.scale


def test_a_prediction_draws_the_limbs_of_its_keypoints():
    known = KeypointSet(("nose", "tail"), limbs=(("nose", "tail"),))
    assert _posed(keypoint_set=known) == (True, pytest.approx(41, abs=1.5))
    assert _posed(keypoint_set=KeypointSet(known.names)) == (False, pytest.approx(41, abs=1.5))
    assert _posed() == (False, pytest.approx(41, abs=1.5))


def test_keypoints_with_a_low_score_are_left_out():
    known = KeypointSet(("nose", "tail"), limbs=(("nose", "tail"),))
    scores = torch.tensor([[0.9, 0.1]])
    joined, length = _posed(keypoint_set=known, keypoint_scores=scores)
    assert not joined and length < 6


def test_a_target_shows_the_limbs_between_its_labelled_keypoints():
    target = {
        "bboxes": torch.tensor([[5.0, 15.0, 55.0, 62.0]]),
        "labels": torch.tensor([0]),
        "names": ("cat",),
        "keypoints": torch.tensor([[[10.0, 20.0], [50.0, 20.0], [30.0, 60.0]]]),
        "keypoints_visible": torch.tensor([[2, 1, 0]]),
        "keypoint_set": KeypointSet(
            ("nose", "tail", "paw"), limbs=(("nose", "tail"), ("nose", "paw"))
        ),
    }
    image = Image.new("RGB", (64, 64))
    picture, scale = draw_target(image, [target]), PictureCanvas(image).scale
    inside = _where(picture, PictureCanvas(image).color_of("cat"))
    assert inside[18 * scale : 22 * scale, 28 * scale : 32 * scale].any()
    assert not inside[25 * scale : 60 * scale, 10 * scale : 50 * scale].any()


def test_palette_begins_again():
    canvas = PictureCanvas(Image.new("RGB", (64, 64)))
    canvas.box((8, 8, 24, 24), color=len(PALETTE) + 1)
    assert _where(canvas.image, 1).any()


def test_palette_colors_are_told_apart():
    colors = np.array([ImageColor.getrgb(color) for color in PALETTE], float)
    distances = np.linalg.norm(colors[:, None] - colors[None], axis=-1)
    assert distances[~np.eye(len(colors), dtype=bool)].min() > 60


def test_reply_shows_instances_above_the_threshold():
    image = Image.new("RGB", (64, 64))
    cat, dog = map(PictureCanvas(image).color_of, ("cat", "dog"))
    assert not _where(draw_reply(image, _reply()), dog)[:512].any()
    assert _where(draw_reply(image, _reply()), cat)[:512].any()
    assert _where(draw_reply(image, _reply(), threshold=0.1), dog)[:512].any()


def test_names_have_one_colour_in_all_pictures_and_no_two_the_same():
    first, second = (PictureCanvas(Image.new("RGB", (9, 9))) for _ in range(2))
    assert first.color_of("apple") == second.color_of(" Apple")
    names = [f"name {index}" for index in range(len(PALETTE))]
    assert len({second.color_of(name) for name in names[:-1]} | {second.color_of("apple")}) == 12
    assert 0 <= second.color_of("one too many") < len(PALETTE)


def test_words_of_a_reply_have_the_colour_of_what_was_found():
    image = Image.new("RGB", (64, 64))
    routes = (Route(0, 1, "[DET]", "cat", (2, 5)), Route(0, 1, "[DET]", "dog", (9, 12)))
    reply = Reply("a cat, a dog", "", routes, (CALL,), _reply().predictions)
    strip = np.asarray(draw_reply(image, reply, threshold=0.95))[512:]
    for name in ("cat", "dog"):
        color = ImageColor.getrgb(PALETTE[PictureCanvas(image).color_of(name)])
        assert (strip == color).all(-1).sum() > 50


def test_reply_text_stands_below_the_picture():
    image = Image.new("RGB", (64, 64), "white")
    plain = draw_reply(image, Reply("", ""))
    words = draw_reply(image, Reply("one two three " * 40, ""))
    assert plain.width == words.width == 512
    assert words.height > plain.height
    strip = np.asarray(words)[512:]
    assert (strip.min(axis=(0, 2))[-3:] == 255).all()  # no line runs out at the right


def test_reply_names_its_failures():
    failed = Reply("ok", "", failures=(RouteFailure(CALL, "no image"),))
    image = Image.new("RGB", (64, 64))
    assert draw_reply(image, failed).height > draw_reply(image, Reply("ok", "")).height


def test_reply_with_masks_and_keypoints_is_drawn():
    masks = torch.zeros(2, 64, 64, dtype=torch.bool)
    masks[0, 10:20, 10:20] = True
    reply = _reply(masks=masks, keypoints=torch.full((2, 3, 2), 12.0))
    assert draw_reply(Image.new("L", (64, 64)), reply).mode == "RGB"


def test_a_prediction_may_replace_the_picture():
    class Painted(Prediction):
        def to_json(self):
            return {}

        def draw(self, canvas):
            canvas.image = Image.new("RGB", (100, 50), "red")

    picture = draw_reply(Image.new("RGB", (64, 64)), Reply("red", "", (), (CALL,), (Painted(),)))
    assert picture.width == 100 and picture.getpixel((50, 25)) == (255, 0, 0)


def test_grid_puts_pictures_in_rows():
    pictures = [Image.new("RGB", size, "black") for size in ((10, 20), (30, 10), (5, 5))]
    sheet = grid(pictures, columns=2, gap=4)
    assert sheet.size == (2 * 34 + 4, 2 * 24 + 4)
    black = (np.asarray(sheet) == 0).all(-1).sum()
    assert black == 10 * 20 + 30 * 10 + 5 * 5


@pytest.mark.parametrize(("count", "columns"), [(0, 2), (2, 0)])
def test_grid_without_cells_is_refused(count, columns):
    with pytest.raises(InputError, match="at least one"):
        grid([Image.new("RGB", (4, 4))] * count, columns)


def test_what_was_marked_has_a_rim_and_its_inside_is_left_alone():
    image = Image.new("RGB", (480, 480), (90, 120, 90))
    drawn = draw_reply(image, Reply("", ""), text=False, regions=[Region.box(100, 100, 200, 180)])
    pixels = np.asarray(drawn)
    assert (pixels[105:175, 105:195] == (90, 120, 90)).all()
    assert (pixels[99, 110:190] == 255).all()
    assert (pixels[:90] == (90, 120, 90)).all()
