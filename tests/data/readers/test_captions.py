"""Images with captions: folders with metadata, tables, COCO."""

from __future__ import annotations

import io
import json
import tarfile

import pytest
from PIL import Image

from superlink.data import read_caption_folder, read_caption_table, read_coco_captions
from superlink.errors import InputError


@pytest.fixture(autouse=True)
def quiet():
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def _png(color="red"):
    buffer = io.BytesIO()
    Image.new("RGB", (10, 8), color).save(buffer, "PNG")
    return buffer.getvalue()


def _folder(root, *lines, name="metadata.jsonl"):
    for file, color in (("a.png", "red"), ("sub/b.png", "blue")):
        (root / file).parent.mkdir(exist_ok=True)
        (root / file).write_bytes(_png(color))
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (root / name).write_text("\n".join(texts) + "\n")
    return root


A, B = {"file_name": "a.png", "text": "a red box"}, {"file_name": "sub/b.png", "text": "blau"}


def test_folder_of_json_lines_keeps_order_captions_and_files(tmp_path):
    records = read_caption_folder(_folder(tmp_path, B, "", A))
    assert [(r.image, r.caption, r.key) for r in records] == [
        (tmp_path / "sub/b.png", "blau", "metadata.jsonl#line 1"),
        (tmp_path / "a.png", "a red box", "metadata.jsonl#line 3"),
    ]
    assert records[0].open().getpixel((0, 0)) == (0, 0, 255)


def test_folder_of_csv_takes_quotes_and_lines_within_them(tmp_path):
    lines = ("file_name,text", 'a.png,"red, ""very"" red\nand square"', "sub/b.png,blue")
    records = read_caption_folder(_folder(tmp_path, *lines, name="metadata.csv"))
    assert [record.caption for record in records] == ['red, "very" red\nand square', "blue"]
    assert records[1].key == "metadata.csv#line 4"


def test_csv_of_a_spreadsheet_begins_with_a_mark(tmp_path):
    lines = ("\ufefffile_name,text", "a.png,red", "sub/b.png,blue")
    records = read_caption_folder(_folder(tmp_path, *lines, name="metadata.csv"))
    assert [record.caption for record in records] == ["red", "blue"]


def test_columns_may_have_other_names_and_texts_may_be_several(tmp_path):
    row = {"file": "a.png", "prompts": ["a box", " ", "a red box"], "text": "unused"}
    columns = {"image": "file", "text": "prompts"}
    (record,) = read_caption_folder(_folder(tmp_path, row), columns=columns)
    assert record.captions == ("a box", "a red box")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"file_name": "a.png", "text": " "}, "it has no text"),
        ({"file_name": "a.png"}, "it has no text"),
        ({"file_name": "a.png", "text": 3}, "it has no text"),
        ({"text": "a box"}, "it does not have one image"),
        ({"file_name": "c.png", "text": "a box"}, "its image is not in the folder"),
        ({"file_name": ["a.png"], "text": "a box"}, "it does not have one image"),
        ("{broken", "it is no JSON"),
        ("[1]", "its structure is wrong"),
    ],
)
def test_broken_lines_are_named_with_file_and_line_or_counted(tmp_path, line, reason):
    folder = _folder(tmp_path, A, line, B)
    with pytest.raises(InputError, match=rf"line 2 in .*metadata\.jsonl: {reason}"):
        read_caption_folder(folder)
    records = read_caption_folder(folder, broken="skip")
    assert [r.caption for r in records] == ["a red box", "blau"]
    assert [(p.item, p.reason.startswith(reason)) for p in records.problems] == [("line 2", True)]


@pytest.mark.parametrize("line", ["a.png", "a.png,a box,more"])
def test_csv_lines_of_another_length_are_broken(tmp_path, line):
    folder = _folder(tmp_path, "file_name,text", line, "a.png,box", name="metadata.csv")
    with pytest.raises(InputError, match=r"line 2 in .*another number of values"):
        read_caption_folder(folder)
    assert len(read_caption_folder(folder, broken="skip")) == 1


def test_folders_without_usable_metadata_are_refused(tmp_path):
    with pytest.raises(InputError, match="No such folder"):
        read_caption_folder(tmp_path / "none")
    with pytest.raises(InputError, match=r"metadata\.jsonl or metadata\.csv.*Received: none"):
        read_caption_folder(tmp_path)
    _folder(tmp_path, {"file_name": "a.png", "words": "box"})
    with pytest.raises(InputError, match=r"no column 'text'.*columns=\{text: NAME\}"):
        read_caption_folder(tmp_path)
    (tmp_path / "metadata.csv").write_text("file_name,text\na.png,box\n")
    with pytest.raises(InputError, match=r"one file.*metadata\.csv"):
        read_caption_folder(tmp_path)
    (tmp_path / "metadata.jsonl").unlink()
    (tmp_path / "metadata.csv").write_bytes(b"file_name,text\na.png,b\xe4r\n")
    with pytest.raises(InputError, match="no UTF-8"):
        read_caption_folder(tmp_path)
    (tmp_path / "metadata.csv").write_text("")
    with pytest.raises(InputError, match="no line to offer"):
        read_caption_folder(tmp_path)


def test_image_that_cannot_be_decoded_is_named_when_it_is_opened(tmp_path):
    folder = _folder(tmp_path, A)
    (folder / "a.png").write_bytes(b"no image")
    (record,) = read_caption_folder(folder)
    with pytest.raises(InputError, match=r"a\.png"):
        record.open()


def _dataset(rows):
    import datasets

    features = {"image": datasets.Image(), "caption": datasets.Value("string")}
    encoded = [{**row, "image": {"bytes": _png(), "path": None}} for row in rows]
    return datasets.Dataset.from_list(encoded, features=datasets.Features(features))


def test_open_data_set_and_its_file_are_read_alike(tmp_path):
    table = _dataset([{"caption": "a box"}, {"caption": "eine Kiste"}])
    table.to_parquet(tmp_path / "rows.parquet")
    saved = read_caption_table(tmp_path / "rows.parquet", cache=tmp_path / "cache")
    for records, key in ((read_caption_table(table), "dataset"), (saved, "rows.parquet")):
        assert [record.caption for record in records] == ["a box", "eine Kiste"]
        assert records[1].key == f"{key}#row 1"
        assert records[1].open().getpixel((0, 0)) == (255, 0, 0)


def test_table_rows_without_text_are_broken():
    table = _dataset([{"caption": None}, {"caption": "a box"}])
    with pytest.raises(InputError, match="row 0 in dataset: it has no text"):
        read_caption_table(table)
    records = read_caption_table(table, broken="skip")
    assert [record.key for record in records] == ["dataset#row 1"]
    assert records.problems.reasons() == {"it has no text": 1}


def test_shards_of_webdataset_are_one_table(tmp_path):
    for shard in range(2):
        with tarfile.open(tmp_path / f"shard-{shard}.tar", "w") as tar:
            for end, data in (("png", _png()), ("txt", f"picture {shard}".encode())):
                info = tarfile.TarInfo(f"{shard:03}.{end}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    records = read_caption_table(str(tmp_path / "*.tar"), cache=tmp_path / "cache")
    assert [record.caption for record in records] == ["picture 0", "picture 1"]
    assert records[0].open().size == (10, 8)


def _coco(root, images=("a.png", "b.png"), **changes):
    for name in images:
        (root / name).write_bytes(_png())
    content = {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(("a.png", "b.png"), 1)],
        "annotations": [
            {"id": 7, "image_id": 2, "caption": "A box."},
            {"id": 8, "image_id": 1, "caption": "One more box. "},
            {"id": 9, "image_id": 2, "caption": "A red thing."},
        ],
        **changes,
    }
    (root / "captions.json").write_text(json.dumps(content))
    return root / "captions.json", root


def test_coco_has_one_record_an_image_with_all_its_captions(tmp_path):
    first, second = read_coco_captions(*_coco(tmp_path))
    assert (first.key, first.captions) == ("a.png", ("One more box.",))
    assert (second.key, second.captions) == ("b.png", ("A box.", "A red thing."))
    assert second.image == tmp_path / "b.png" and second.open().size == (10, 8)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"id": 1, "image_id": 5, "caption": "x"}, "annotation 1 .*its image is not in the file"),
        ({"id": 1, "image_id": 1, "caption": " "}, "annotation 1 .*its caption is empty"),
        ({"id": 1, "image_id": 1}, r"annotations\[0\] .*its structure is wrong"),
    ],
)
def test_broken_captions_of_coco_are_named_or_counted(tmp_path, entry, reason):
    good = {"id": 2, "image_id": 2, "caption": "A box."}
    files = _coco(tmp_path, annotations=[entry, good])
    with pytest.raises(InputError, match=reason):
        read_coco_captions(*files)
    records = read_coco_captions(*files, broken="skip")
    assert [record.captions for record in records] == [("A box.",)]
    assert sum(not problem.harmless for problem in records.problems) == 1


def test_coco_image_without_file_or_caption(tmp_path):
    files = _coco(tmp_path, images=("b.png",))
    with pytest.raises(InputError, match=r"image a\.png .*not in the folder"):
        read_coco_captions(*files)
    assert [record.key for record in read_coco_captions(*files, broken="skip")] == ["b.png"]
    only = [{"image_id": 2, "caption": "A box."}]
    records = read_coco_captions(*_coco(tmp_path, annotations=only))
    assert [record.key for record in records] == ["b.png"]
    assert [problem.harmless for problem in records.problems] == [True]
