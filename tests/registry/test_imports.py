"""What importing superlink and looking for plugins must not load."""

from __future__ import annotations

import os
import subprocess
import sys

from superlink.testing import installed_plugin

SCRIPT = """
import sys
import superlink, superlink.registry
heavy = {"transformers", "mmdet", "mmcv", "mmpose", "diffusers"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert "fake_acme" not in sys.modules
registry = superlink.registry.default_registry()
assert registry is superlink.registry.default_registry()
assert registry.decoder("acme.boxes").factory == "fake_acme_heavy:build"
assert "fake_acme" in sys.modules
assert "fake_acme_heavy" not in sys.modules
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
PLUGIN = """
from superlink.interfaces import DecoderSpec
from superlink.registry import hookimpl

@hookimpl
def superlink_decoders():
    path = "fake_acme_heavy:build"
    yield DecoderSpec("acme.boxes", ("[DET]",), 1, factory=path, config_class=path)
"""


def test_import_and_discovery_load_nothing_heavy():
    with installed_plugin("fake-acme", {"fake_acme": PLUGIN, "fake_acme_heavy": ""}) as folder:
        environment = os.environ | {"PYTHONPATH": str(folder)}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr
