"""The checks of backbones find what is broken on purpose, and the matrix is what they measure."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch

from superlink.backbones.transformers import TransformersBackbone
from superlink.testing.architectures import ARCHITECTURES, refused
from superlink.testing.architectures.families import families
from superlink.testing.backbone_case import BackboneCase
from superlink.testing.backbone_checks import BACKBONE_CHECKS, backbone_checks, check_backbone
from superlink.testing.backbones import tiny_backbone
from superlink.testing.checks import docs_of
from superlink.testing.matrix import architecture_case, tiny_architecture, verify_architecture

DOCS = Path(__file__).parents[2] / "docs"
MATRIX = json.loads((DOCS / "reference" / "backbones.json").read_text(encoding="utf-8"))
ROWS = {row["architecture"]: row for row in MATRIX["architectures"]}
NAMED = (
    *("llava", "llava_next", "llava_onevision", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "internvl"),
    *("paligemma", "gemma3", "idefics3", "smolvlm", "mistral3", "mllama", "llama4", "glm4v"),
)


def failed(results):
    return {result.name for result in results if result.status == "failed"}


def broken(architecture="qwen2_5_vl", **replaced):
    """A case whose backbone has other methods."""
    case = BackboneCase(lambda: tiny_backbone(architecture))
    for name, value in replaced.items():
        setattr(case.backbone, name, value.__get__(case.backbone))
    return case


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl"])
def test_built_in_backbones_pass(name):
    check_backbone(BackboneCase(lambda: tiny_backbone(name), name=name))


def test_image_that_is_lost_is_found():
    def encode(self, texts, images, **options):
        inputs = TransformersBackbone.encode(self, texts, images, **options)
        return {k: v * 0 if k == "pixel_values" else v for k, v in inputs.items()}

    assert failed(backbone_checks(broken(encode=encode))) == {"pixels", "region_cells"}


def test_positions_that_count_padding_are_found(monkeypatch):
    module = "superlink.backbones.transformers.with_positions"
    monkeypatch.setattr(module, lambda model, ids, arguments: arguments)
    found = failed(backbone_checks(BackboneCase(lambda: tiny_backbone("llava"))))
    # rotary positions are relative, and a row that is padded as a whole is itself again
    assert found == set()
    case = architecture_case("git")  # learned positions
    assert "padding" in failed(backbone_checks(case))


def test_block_that_is_not_safe_is_found():
    case = architecture_case("qwen3_5")  # linear attention
    case.backbone.block_safe = lambda cache, width: True
    found = failed(backbone_checks(case))
    assert {"block", "written_batch"} <= found
    assert "stepwise" not in found


def test_states_without_a_gradient_are_found():
    def forward(self, *args, **kwargs):
        with torch.no_grad():
            return TransformersBackbone.forward(self, *args, **kwargs)

    assert {"gradient", "half"} <= failed(backbone_checks(broken(forward=forward)))


def test_weights_that_a_save_loses_are_found():
    case = BackboneCase(tiny_backbone, lambda folder: tiny_backbone(seed=1))
    assert failed(backbone_checks(case)) == {"save"}


def test_backbone_that_does_not_run_skips_the_rest():
    def forward(self, *args, **kwargs):
        raise RuntimeError("no")

    results = backbone_checks(broken(forward=forward))
    assert [r.status for r in results] == ["failed"] + ["skipped"] * (len(BACKBONE_CHECKS) - 1)


def test_conformance_in_one_line_names_every_failure():
    case = BackboneCase(tiny_backbone, lambda folder: tiny_backbone(seed=1), "mine")
    with pytest.raises(AssertionError, match=r"mine fails\nsave: Expected weights with the same"):
        check_backbone(case)


def test_every_check_says_which_fault_it_stops_and_how_to_mend_it():
    assert all(doc.startswith("Stops ") for doc in docs_of(BACKBONE_CHECKS).values())
    assert all(check.cure for check in BACKBONE_CHECKS)
    assert len({check.name for check in BACKBONE_CHECKS}) == len(BACKBONE_CHECKS)


@pytest.mark.parametrize(
    "architecture", ["llava_next", "qwen3_vl", "gemma3", "florence2", "qwen3_5", "mllama"]
)
def test_matrix_is_what_is_measured(architecture):
    def shape(row):
        return {name: check["status"] for name, check in row["checks"].items()}

    row = verify_architecture(architecture)
    assert shape(row) == shape(ROWS[architecture])
    entering = row["checks"]["block"]["detail"].rpartition(", ")[2]
    assert entering == ROWS[architecture]["checks"]["block"]["detail"].rpartition(", ")[2]


def test_matrix_has_a_row_for_every_architecture():
    assert list(ROWS) == list(ARCHITECTURES)
    assert not [
        (name, check)
        for name, row in ROWS.items()
        for check, result in row["checks"].items()
        if result["status"] == "failed"
    ]
    assert {name for name, row in ROWS.items() if row["refused"]} == {
        name for name in ARCHITECTURES if refused(name)
    }


@pytest.mark.parametrize("architecture", NAMED)
def test_well_known_architectures_are_exact_in_every_column(architecture):
    page = _page_module()
    assert page._passes(ROWS[architecture], page.REQUIRED)


def test_page_of_the_matrix_is_up_to_date():
    page = _page_module()
    text = (DOCS / "reference" / "backbones.md").read_text(encoding="utf-8")
    assert text == page.page(MATRIX)


def test_known_failures_name_checks_and_give_sentences():
    names = {check.name for check in BACKBONE_CHECKS}
    for architecture, family in families().items():
        assert set(family.known) <= names, architecture
        assert all(reason.endswith(".") for reason in family.known.values()), architecture


def test_weights_depend_on_the_seed():
    one, same, other = (
        tiny_architecture("llava", seed=seed).model.lm_head.weight for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def _page_module():
    spec = importlib.util.spec_from_file_location("backbones_page", DOCS / "hooks" / "backbones.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
