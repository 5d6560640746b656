import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from superlink_mmdet.plugin import superlink_decoders

SPECS = {spec.name: spec for spec in superlink_decoders()}


def test_each_family_has_a_spec():
    assert list(SPECS) == ["mmdet.grounding_dino", "mmdet.deformable_detr"]


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_spec_names_tokens_queries_and_requirements(spec):
    assert spec.routing_tokens == ("[DET]", "[SEG]", "[GRD]")
    assert spec.num_queries == 4
    names = " ".join(requirement.distribution for requirement in spec.requires)
    assert all(name in names for name in ("mmdet", "mmengine", "mmcv"))
    assert all("pip install" in requirement.install for requirement in spec.requires)


def test_entry_point_leads_to_the_plugin():
    (entry,) = entry_points(group="superlink", name="mmdet")
    assert entry.load().superlink_decoders is superlink_decoders


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("field", ["factory", "config_class"])
def test_dotted_paths_lead_to_callables(spec, field):
    module, _, name = getattr(spec, field).partition(":")
    assert callable(getattr(__import__(module, fromlist=[name]), name))


def test_importing_the_plugin_loads_no_openmmlab():
    code = (
        "import sys, superlink_mmdet.plugin;"
        "sys.exit(any(name in sys.modules for name in ('mmdet', 'mmcv', 'mmengine')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
