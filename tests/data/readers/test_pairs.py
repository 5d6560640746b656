"""Images and maps of one name."""

from __future__ import annotations

import pytest
from PIL import Image

from superlink.data.problems import Problems
from superlink.data.readers.pairs import pair_files, upright_size
from superlink.errors import InputError


def _touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_pairs_are_found_in_folders_below(tmp_path):
    images = _touch(tmp_path / "images", "val/b.jpg", "val/a.JPG", ".hidden.jpg", "notes.txt")
    maps = _touch(tmp_path / "maps", "val/a.png", "val/b.png")
    assert pair_files(images, maps, Problems()) == [
        ("val/a", "val/a.JPG", "val/a.png"),
        ("val/b", "val/b.jpg", "val/b.png"),
    ]


def test_pairs_in_one_folder(tmp_path):
    _touch(tmp_path, "a.jpg", "a.png", "b.jpg", "b.png")
    assert len(pair_files(tmp_path, tmp_path, Problems())) == 2


@pytest.mark.parametrize(
    ("images", "maps", "reason"),
    [
        (["a.jpg", "b.jpg"], ["a.png"], "image b.jpg in .*: no map"),
        (["a.jpg"], ["a.png", "b.png"], "map b.png in .*: no image"),
        (["a.jpg", "b.jpg", "b.bmp"], ["a.png", "b.png"], "another suffix"),
    ],
)
def test_file_without_a_partner_is_a_problem(tmp_path, images, maps, reason):
    folders = _touch(tmp_path / "images", *images), _touch(tmp_path / "maps", *maps)
    with pytest.raises(InputError, match=reason):
        pair_files(*folders, Problems())
    problems = Problems("skip")
    assert pair_files(*folders, problems)[0][0] == "a"
    assert len(problems) == 1


def test_no_pairs_at_all(tmp_path):
    folders = _touch(tmp_path / "images", "a.jpg"), _touch(tmp_path / "maps", "b.png")
    with pytest.raises(InputError, match="no such pair among 1 images"):
        pair_files(*folders, Problems("skip"))
    with pytest.raises(InputError, match="No such folder of maps"):
        pair_files(folders[0], tmp_path / "gone", Problems("skip"))


def test_upright_size_is_that_of_the_opened_image(tmp_path):
    image = Image.new("RGB", (20, 10))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    image.save(tmp_path / "plain.jpg")
    assert upright_size(tmp_path / "turned.jpg") == (10, 20)
    assert upright_size(tmp_path / "plain.jpg") == (20, 10)
    with pytest.raises(InputError, match="gone"):
        upright_size(tmp_path / "gone.jpg")
