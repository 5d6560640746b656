"""The model of lmms-eval is asked as its evaluator asks.

Without lmms-eval, stand-ins of the two classes that the adapter takes from it serve; with it, a
task of yes and no runs through its own command.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from superlink.errors import ConfigError, MissingDependencyError
from superlink.evaluation.harness import BareModel, lmms_models, open_model
from superlink.testing import Script, tiny_backbone, toy_model, toy_registry

ADAPTER = "superlink.evaluation.harness.lmms"
DEMO = Path(importlib.util.find_spec("superlink.demo").origin).parent / "model"
TASK = """\
dataset_path: parquet
dataset_kwargs: {{data_files: {{test: {data}}}}}
task: squares
test_split: test
output_type: generate_until
doc_to_visual: !function utils.pictures
doc_to_text: !function utils.text
doc_to_target: answer
generation_kwargs: {{max_new_tokens: 12, temperature: 0, top_p: 1.0, num_beams: 1}}
process_results: !function utils.score
metric_list:
  - {{metric: right, aggregation: mean, higher_is_better: true}}
"""
UTILS = """\
def pictures(doc):
    return [doc["image"].convert("RGB")]


def text(doc):
    return doc["question"]


def score(doc, results):
    return {"right": float(results[0] == doc["answer"])}
"""


@dataclass
class Instance:
    """As lmms-eval's."""

    request_type: str
    arguments: tuple
    idx: int
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def args(self):
        return self.arguments


class Lmms:
    """As lmms-eval's."""

    is_simple = True

    def __init__(self):
        self._rank, self._world_size, self.task_dict = 0, 1, {}

    @property
    def rank(self):
        return self._rank


@pytest.fixture
def adapter(monkeypatch):
    """The module of the adapter, over lmms-eval or stand-ins."""
    monkeypatch.delitem(sys.modules, ADAPTER, raising=False)
    if importlib.util.find_spec("lmms_eval") is None:
        warned = []
        logger = SimpleNamespace(warning=warned.append, warned=warned)
        contents = {
            "lmms_eval": {},
            "lmms_eval.api": {},
            "lmms_eval.api.instance": {"Instance": Instance},
            "lmms_eval.api.model": {"lmms": Lmms},
            "loguru": {"logger": logger},
        }
        for name, names in contents.items():
            module = ModuleType(name)
            vars(module).update(names)
            monkeypatch.setitem(sys.modules, name, module)
    yield importlib.import_module(ADAPTER)
    sys.modules.pop(ADAPTER, None)


def _documents():
    colors = ("red", "blue", "green")
    return [
        {"image": Image.new("RGB", (60, 40), c), "question": f"Is it {c}?", "answer": "yes"}
        for c in colors
    ]


def _to_messages(document):
    content = [
        {"type": "image", "url": document["image"]},
        {"type": "text", "text": document["question"]},
    ]
    return [{"role": "user", "content": content}]


def _ask(adapter, model, **options):
    """What the evaluator does: one request a document, with a function that makes its messages."""
    lm = adapter.HarnessModel(model, device="cpu", **options)
    lm.task_dict["squares"] = {"test": _documents()}
    settings = {"max_new_tokens": 8, "temperature": 0, "top_p": 1.0, "num_beams": 1}
    requests = [
        adapter.Instance(
            request_type="generate_until",
            arguments=(d["question"], _to_messages, dict(settings), i, "squares", "test"),
            idx=0,
            metadata={"task": "squares", "doc_id": i, "repeats": 1},
        )
        for i, d in enumerate(_documents())
    ]
    return lm.generate_until(requests)


@pytest.mark.parametrize("batch_size", [1, "2"])
def test_bare_and_linked_models_give_the_same_text(adapter, batch_size):
    bare = _ask(adapter, BareModel(tiny_backbone()), batch_size=batch_size)
    linked = _ask(adapter, toy_model(), batch_size=batch_size, routes="forbidden")
    assert bare == linked
    assert len(bare) == 3
    assert all(bare)


def test_routes_are_counted_where_they_are_allowed(adapter, monkeypatch):
    warned = []
    monkeypatch.setattr(adapter, "logger", SimpleNamespace(warning=warned.append))
    model = toy_model()
    with Script(model.backbone, ["<p>dog</p>[BOX] yes"]):
        assert _ask(adapter, model) == ["dog yes"] * 3
    assert "3 of 3 answers called a decoder" in warned[0]
    with Script(model.backbone, ["<p>dog</p>[BOX] yes"]):
        assert all("[BOX]" not in text for text in _ask(adapter, model, routes="forbidden"))
    assert len(warned) == 1


def test_a_checkpoint_and_its_bare_llm_open_by_their_folders(tmp_path, monkeypatch):
    import superlink

    model = toy_model()
    superlink.save(model, tmp_path / "model")
    monkeypatch.setattr("superlink.build.default_registry", toy_registry)
    linked = open_model(tmp_path / "model")
    bare = open_model(tmp_path / "model" / "backbone", dtype="float32")
    assert linked.vocabulary.ids == model.vocabulary.ids
    assert isinstance(bare, BareModel)
    with pytest.raises(ConfigError, match=r"\['dtype'\]"):
        open_model(tmp_path / "model", dtype="float32")


def test_bad_options_are_told(adapter):
    with pytest.raises(ConfigError, match="'allowed' or 'forbidden'"):
        adapter.HarnessModel(BareModel(tiny_backbone()), routes="no")
    lm = adapter.HarnessModel(BareModel(tiny_backbone()), device="cpu")
    with pytest.raises(NotImplementedError, match="output_type is generate_until"):
        lm.loglikelihood([])


def test_missing_harness_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, ADAPTER, raising=False)
    monkeypatch.setitem(sys.modules, "lmms_eval.api.instance", None)
    monkeypatch.setitem(sys.modules, "lmms_eval", None)
    with pytest.raises(MissingDependencyError, match="pip install lmms-eval"):
        importlib.import_module(ADAPTER)


def test_the_entry_point_names_the_adapter(monkeypatch, adapter):
    registry = ModuleType("lmms_eval.models.registry_v2")
    registry.ModelManifest = lambda name, chat_class_path: (name, chat_class_path)
    monkeypatch.setitem(sys.modules, "lmms_eval.models", ModuleType("lmms_eval.models"))
    monkeypatch.setitem(sys.modules, registry.__name__, registry)
    name, path = lmms_models()
    module, _, held = path.rpartition(".")
    assert name == "superlink"
    assert getattr(importlib.import_module(module), held).is_simple is False


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_command_of_lmms_eval_measures_both(tmp_path):
    pytest.importorskip("lmms_eval")
    pytest.importorskip("superlink_mmdet")
    datasets = pytest.importorskip("datasets")
    columns = {key: [d[key] for d in _documents()] for key in ("image", "question", "answer")}
    text = datasets.Value("string")
    kinds = datasets.Features({"image": datasets.Image(), "question": text, "answer": text})
    data = tmp_path / "data.parquet"
    datasets.Dataset.from_dict(columns, features=kinds).to_parquet(data)
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "squares.yaml").write_text(TASK.format(data=data))
    (tmp_path / "tasks" / "utils.py").write_text(UTILS)
    answers = [
        _run_command(tmp_path, f"pretrained={source},device=cpu")
        for source in (f"{DEMO},routes=forbidden", f"{DEMO / 'backbone'},backbone=tiny_llava")
    ]
    assert answers[0] == answers[1]
    assert len(answers[0]) == 3


def _run_command(folder, arguments):
    """What each question was answered, by a run of lmms-eval's own command."""
    out = folder / f"out{len(list(folder.glob('out*')))}"
    command = [sys.executable, "-m", "lmms_eval", "--model", "superlink", "--tasks", "squares"]
    options = {
        **{"--model_args": arguments, "--include_path": folder / "tasks", "--batch_size": "2"},
        **{"--output_path": out},
    }
    given = [str(part) for pair in options.items() for part in pair]
    environment = {**os.environ, "HF_HOME": str(folder / "cache")}
    run = subprocess.run(
        [*command, *given, "--log_samples"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    (samples,) = out.rglob("*_samples_*.jsonl")
    return [json.loads(line)["filtered_resps"] for line in samples.read_text().splitlines()]
