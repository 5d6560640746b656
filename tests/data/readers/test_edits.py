"""Edited images: folders with metadata, and tables as that of InstructPix2Pix."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image

from superlink.data import read_edit_folder, read_edit_table
from superlink.errors import InputError

ROW = {"file_name": "a.png", "instruction": "make it blue", "edited_file_name": "b.png"}


def _png(color):
    buffer = io.BytesIO()
    Image.new("RGB", (10, 8), color).save(buffer, "PNG")
    return buffer.getvalue()


def _folder(root, *rows, name="metadata.jsonl"):
    for file, color in (("a.png", "red"), ("b.png", "blue")):
        (root / file).write_bytes(_png(color))
    texts = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (root / name).write_text("\n".join(texts))
    return root


def test_folder_has_both_images_and_the_instruction(tmp_path):
    (record,) = read_edit_folder(_folder(tmp_path, ROW))
    assert record.instruction == "make it blue" and record.key == "metadata.jsonl#line 1"
    assert record.open().getpixel((0, 0)) == (255, 0, 0)
    assert record.open_edited().getpixel((0, 0)) == (0, 0, 255)
    assert record.changed is None and record.captions is None


def test_folder_of_csv_and_columns_of_other_names(tmp_path):
    lines = ("was,do,is", "a.png,make it blue,b.png")
    columns = {"source": "was", "instruction": "do", "edited": "is"}
    (record,) = read_edit_folder(_folder(tmp_path, *lines, name="metadata.csv"), columns=columns)
    assert (record.image, record.edited) == (tmp_path / "a.png", tmp_path / "b.png")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"instruction": " "}, "it has no instruction"),
        ({"file_name": None}, "it does not have one image"),
        ({"file_name": "c.png"}, "its image is not in the folder"),
        ({"edited_file_name": "c.png"}, "of its edited image: its image is not in the folder"),
        ({"edited_file_name": 3}, "of its edited image: it does not have one image"),
    ],
)
def test_broken_lines_are_named_with_file_and_line_or_counted(tmp_path, change, reason):
    folder = _folder(tmp_path, ROW, ROW | change)
    with pytest.raises(InputError, match=rf"line 2 in .*metadata\.jsonl: {reason}"):
        read_edit_folder(folder)
    records = read_edit_folder(folder, broken="skip")
    assert len(records) == 1 and records.problems.reasons() == {reason: 1}


def _dataset(**columns):
    import datasets

    datasets.disable_progress_bars()
    images = {"input_image", "original_image", "edited_image", "b"}
    kinds = {n: datasets.Image() if n in images else datasets.Value("string") for n in columns}
    coded = {
        name: [{"bytes": v, "path": None} if name in images and v else v for v in values]
        for name, values in columns.items()
    }
    return datasets.Dataset.from_dict(coded, features=datasets.Features(kinds))


@pytest.mark.parametrize("source", ["input_image", "original_image"])
def test_columns_of_instruct_pix2pix_are_known(source):
    pytest.importorskip("datasets")
    columns = {source: [_png("red")], "edited_image": [_png("blue")]}
    words = {"original_prompt": ["a red box"], "edited_prompt": ["a blue box"]}
    table = _dataset(**columns, edit_prompt=["make it blue"], **words)
    (record,) = read_edit_table(table)
    assert record.instruction == "make it blue"
    assert record.captions == ("a red box", "a blue box")
    assert record.open().getpixel((0, 0)) == (255, 0, 0)
    assert record.open_edited().getpixel((0, 0)) == (0, 0, 255)


def test_tables_with_missing_columns_or_images_are_named():
    pytest.importorskip("datasets")
    table = _dataset(input_image=[_png("red")], b=[None], edit_prompt=["do it"])
    with pytest.raises(InputError, match=r"no column 'edited_image'.*columns=\{edited: NAME\}"):
        read_edit_table(table)
    with pytest.raises(InputError, match="row 0 in dataset: of its edited image: it does not have"):
        read_edit_table(table, columns={"edited": "b"})


def test_table_image_that_cannot_be_decoded_names_its_row():
    pytest.importorskip("datasets")
    table = _dataset(input_image=[b"no"], edited_image=[_png("red")], edit_prompt=["do it"])
    records = read_edit_table(table)
    with pytest.raises(InputError, match="row 0 in 'dataset'"):
        records[0].open()
