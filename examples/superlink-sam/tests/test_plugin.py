"""What the plugin declares, and what it costs to read."""

import ast
from importlib.util import find_spec
from pathlib import Path

from superlink_sam.plugin import superlink_decoders


def test_spec_names_token_queries_and_licence():
    (spec,) = superlink_decoders()
    assert spec.name == "sam.masks"
    assert spec.routing_tokens == ("[SEG]",)
    assert (spec.num_queries, spec.needs_image, spec.license) == (4, True, "Apache-2.0")
    assert [r.distribution for r in spec.requires] == ["transformers>=5.23,<6"]


def test_package_imports_public_names_of_superlink_alone():
    folder = Path(find_spec("superlink_sam").origin).parent
    for path in folder.glob("*.py"):
        tree = ast.walk(ast.parse(path.read_text()))
        own = {node.module for node in tree if isinstance(node, ast.ImportFrom) and not node.level}
        public = {"superlink", "superlink.errors", "superlink.interfaces"}
        assert {name for name in own if name.startswith("superlink")} <= public, path
        if path.name == "plugin.py":
            assert own <= {"__future__", "collections.abc"} | public
