"""Tables of the `datasets` library: what is found in them, whatever they are made of."""

from __future__ import annotations

import io
import json
import pickle
import sys
import tarfile

import pytest
from PIL import Image

from superlink.data.readers.tables import open_table, read_dialogues, read_table
from superlink.errors import ConfigError, InputError, MissingDependencyError

datasets = pytest.importorskip("datasets")

OBJECTS = {"bbox": [[1, 2, 4, 3], [0, 0, 20, 4]], "category": [1, 0]}


@pytest.fixture(autouse=True)
def quiet():
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def _png(color="red"):
    buffer = io.BytesIO()
    Image.new("RGB", (10, 8), color).save(buffer, "PNG")
    return buffer.getvalue()


def _features(category=None):
    box = datasets.List(datasets.Value("float32"), length=4)
    category = category or datasets.ClassLabel(names=["cat", "dog"])
    return datasets.Features(
        {
            "image": datasets.Image(),
            "objects": {"bbox": datasets.List(box), "category": datasets.List(category)},
        }
    )


def _parquet(folder, *objects, features=None):
    rows = [{"image": {"bytes": _png(), "path": None}, "objects": item} for item in objects]
    table = datasets.Dataset.from_list(rows, features=features or _features())
    table.to_parquet(folder / "rows.parquet")
    return folder / "rows.parquet"


def _read(path, **options):
    return read_table(path, cache=path.parent / "cache", **options)


def _lines(folder, *rows):
    path = folder / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    (folder / "images").mkdir(exist_ok=True)
    for name in ("a.png", "b.png"):
        (folder / "images" / name).write_bytes(_png())
    return path


def _tar(folder, *rows, suffix="png"):
    path = folder / "shard-0.tar"
    with tarfile.open(path, "w") as tar:
        for number, row in enumerate(rows):
            for end, data in ((suffix, _png()), ("json", json.dumps(row).encode())):
                info = tarfile.TarInfo(f"{number:03}.{end}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


def test_table_of_parquet_has_named_classes(tmp_path):
    dataset = _read(_parquet(tmp_path, OBJECTS, {"bbox": [], "category": []}))
    first, second = dataset
    assert [(item.name, item.bbox) for item in first.objects] == [
        ("dog", (1, 2, 5, 5)),
        ("cat", (0, 0, 10, 4)),  # cut at the image
    ]
    assert first.categories == ("cat", "dog") and first.key == "rows.parquet#0"
    assert first.open().getpixel((0, 0)) == (255, 0, 0)
    assert second.objects == ()
    assert pickle.loads(pickle.dumps(dataset))[0].objects[0].bbox == (1, 2, 5, 5)


def test_table_is_mapped_and_not_held(tmp_path):
    dataset = _read(_parquet(tmp_path, *[OBJECTS] * 300))
    assert len(dataset) == 300
    assert len(pickle.dumps(dataset)) < 20000


def test_table_of_json_lines_names_files(tmp_path):
    rows = [
        {"image": "a.png", "objects": [{"bbox": [1, 2, 4, 3], "category": "dog", "iscrowd": 0}]},
        {
            "image": "b.png",
            "objects": [
                {"bbox": [1, 2, 4, 3], "category": "cat", "iscrowd": 1},
                {"bbox": [50, 2, 4, 3], "category": "dog", "iscrowd": 0},
            ],
        },
    ]
    first, second = _read(_lines(tmp_path, *rows), images=tmp_path / "images")
    assert first.image == tmp_path / "images" / "a.png"
    assert first.objects[0].name == "dog" and first.categories == ("cat", "dog")
    assert second.objects == () and second.ignored[0].name == "cat"
    assert second.categories == ()  # a crowd, and a box outside: nobody knows


def test_table_of_webdataset(tmp_path):
    objects = {"bbox": [[1, 2, 5, 5]], "category": ["dog"], "area": [7.5]}
    path = _tar(tmp_path, {"objects": objects}, {"objects": objects})
    dataset = _read(path.parent / "shard-*.tar", boxes="xyxy")
    assert len(dataset) == 2
    assert dataset[1].objects[0].bbox == (1, 2, 5, 5) and dataset[1].objects[0].area == 7.5
    assert dataset[1].open().size == (10, 8)


def test_table_that_the_library_saved(tmp_path):
    table = open_table(_parquet(tmp_path, OBJECTS), "train", tmp_path / "cache")
    table.save_to_disk(tmp_path / "saved")
    datasets.DatasetDict({"val": table}).save_to_disk(tmp_path / "splits")
    assert len(read_table(tmp_path / "saved")) == 1
    assert len(read_table(tmp_path / "splits", split="val")) == 1
    with pytest.raises(InputError, match="KeyError: 'train'"):
        read_table(tmp_path / "splits")


def test_folder_with_splits(tmp_path):
    (tmp_path / "data").mkdir()
    path = _parquet(tmp_path, OBJECTS)
    path.rename(tmp_path / "data" / "validation-00000-of-00001.parquet")
    assert len(_read(tmp_path / "data", split="validation")) == 1


def test_columns_may_have_other_names(tmp_path):
    row = {"picture": "a.png", "boxes": [[1, 2, 4, 3]], "what": ["dog"]}
    path = _lines(tmp_path, row)
    given = {"image": "picture", "category": "what"}
    (record,) = _read(path, columns=given, images=tmp_path / "images")
    assert record.objects[0].name == "dog"
    with pytest.raises(InputError, match=r"no column 'category' or .* columns=\{category: NAME\}"):
        _read(path, images=tmp_path / "images")
    with pytest.raises(InputError, match="no column 'kind' for 'category'"):
        _read(path, columns={**given, "category": "kind"}, images=tmp_path / "images")


def test_numbers_need_names(tmp_path):
    path = _parquet(tmp_path, OBJECTS, features=_features(datasets.Value("int64")))
    with pytest.raises(InputError, match="nothing names them"):
        _read(path)
    (record,) = _read(path, classes=["cup", "mug", "jar"])
    assert [item.name for item in record.objects] == ["mug", "cup"]
    assert record.categories == ("cup", "mug", "jar")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"category": ["dog", "dog"]}, "differ in length"),
        ({"bbox": [[1, 2, 4]]}, "4 finite numbers"),
        ({"category": [""]}, "none of the classes"),
        ({"image": ""}, "does not have one image"),
        ({"image": "c.png"}, "not in the folder"),
    ],
)
def test_row_that_is_broken(tmp_path, changes, reason):
    good = {"image": "a.png", "bbox": [[1, 2, 4, 3]], "category": ["dog"]}
    path, images = _lines(tmp_path, good, {**good, **changes}), tmp_path / "images"
    with pytest.raises(InputError, match=rf"row 1 in .*rows\.jsonl: .*{reason}"):
        _read(path, images=images)
    dataset = _read(path, images=images, broken="skip")
    assert [record.key for record in dataset] == ["rows.jsonl#0"] and len(dataset.problems) == 1


def test_box_without_area_is_left_out_under_either_policy(tmp_path):
    dataset = _read(_parquet(tmp_path, {"bbox": [[1, 2, 0, 3], [1, 2, 4, 3]], "category": [0, 1]}))
    assert [item.name for item in dataset[0].objects] == ["dog"]
    assert dataset[0].categories == ("dog",)
    assert dataset.problems.reasons() == {"a box of it has no area": 1}


def test_image_that_is_broken(tmp_path):
    rows = [{"image": {"bytes": b"no image", "path": None}, "objects": OBJECTS}]
    path = tmp_path / "rows.parquet"
    datasets.Dataset.from_list(rows, features=_features()).to_parquet(path)
    with pytest.raises(InputError, match=r"image of row 0 in .*rows\.parquet"):
        _read(path)[0]


def test_names_of_images_need_a_folder(tmp_path):
    path = _lines(tmp_path, {"image": "a.png", "bbox": [[1, 2, 4, 3]], "category": ["dog"]})
    with pytest.raises(InputError, match="images=FOLDER"):
        _read(path)


@pytest.mark.parametrize(
    "read", [read_dialogues, lambda *a, **b: read_table(*a, kind="dialogue", **b)]
)
def test_table_of_dialogues(tmp_path, read):
    turns = [{"from": "human", "value": "<image>What?"}, {"from": "gpt", "value": "A cat."}]
    text = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    path = _lines(
        tmp_path,
        {"image": "a.png", "conversations": turns},
        {"image": None, "conversations": text},
    )
    first, second = read(path, images=tmp_path / "images", cache=tmp_path / "cache")
    assert first.turns == (("user", "<image>What?"), ("assistant", "A cat."))
    assert first.images == (tmp_path / "images" / "a.png",)
    assert second.images == () and second.turns[0] == ("user", "Hi")


def test_table_of_messages_with_several_images(tmp_path):
    messages = [
        {"role": "user", "content": "<image><image>Same?"},
        {"role": "assistant", "content": "No."},
    ]
    images = [{"bytes": _png("red"), "path": None}, {"bytes": _png("blue"), "path": None}]
    features = datasets.Features(
        {
            "images": datasets.List(datasets.Image()),
            "messages": datasets.List(
                {"role": datasets.Value("string"), "content": datasets.Value("string")}
            ),
        }
    )
    table = datasets.Dataset.from_list(
        [{"images": images, "messages": messages}, {"images": [], "messages": messages}],
        features=features,
    )
    table.to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(InputError, match=r"row 1 in .*as many images as marks"):
        _read(tmp_path / "rows.parquet", kind="dialogue")
    (record,) = _read(tmp_path / "rows.parquet", kind="dialogue", broken="skip")
    assert [image.getpixel((0, 0))[2] for image in record.images] == [0, 255]


@pytest.mark.parametrize("name", ["gone.parquet", "gone-*.tar", "nobody/nothing"])
def test_table_that_is_not_there(tmp_path, name):
    with pytest.raises(InputError, match=r"gone|nobody/nothing"):
        read_table(name if "/" in name else tmp_path / name, cache=tmp_path)


@pytest.mark.parametrize("name", ["rows.parquet", "rows.jsonl", "rows.tar", "rows.arrow"])
def test_table_that_is_something_else(tmp_path, name):
    (tmp_path / name).write_bytes(b"{broken")
    with pytest.raises(InputError, match=f"cannot read .*{name}"):
        _read(tmp_path / name)


@pytest.mark.parametrize("options", [{"kind": "poses"}, {"boxes": "yxyx"}])
def test_unknown_choices(tmp_path, options):
    with pytest.raises(ConfigError, match=r"'detection' or 'dialogue'"):
        read_table(tmp_path, **options)


def test_without_the_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependencyError, match=r"superlink\[data\]"):
        read_table(tmp_path / "rows.parquet")


def test_box_without_area_leaves_its_row_something_to_ask_for(tmp_path):
    features = _features(datasets.ClassLabel(names=["cat"]))
    path = _parquet(tmp_path, {"bbox": [[1, 2, 0, 3]], "category": [0]}, features=features)
    (record,) = _read(path)
    assert (record.objects, record.categories) == ((), ("cat",))
