"""Every way in which a plugin can fail, installed at once: each is told, none breaks another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
from PIL import Image

import superlink
from superlink.errors import MissingDependencyError, PluginConflictError, PluginError
from superlink.registry import PluginWarning, default_registry
from superlink.testing import installed_plugin
from superlink.testing.backbones import Script, tiny_backbone

HEADER = """
print("a greeting that belongs on no one's stdout")
from superlink.interfaces import *
from superlink.registry import hookimpl

factory = "superlink.testing:ToyBoxDecoder"
config = "superlink.testing:ToyBoxConfig"
"""
HEAVY = """
from pathlib import Path
Path(__file__).with_suffix(".imported").touch()
from superlink.testing import ToyBoxConfig, ToyBoxDecoder
"""


def declares(name, **fields):
    """The source of a plugin with one decoder; the values of `fields` are source too."""
    values = {"routing_tokens": '("[DET]", "[ALT]")', "num_queries": "2"}
    values |= {"factory": "factory", "config_class": "config"} | fields
    arguments = ", ".join(f"{key}={value}" for key, value in values.items())
    return f"@hookimpl\ndef superlink_decoders():\n    yield DecoderSpec({name!r}, {arguments})\n"


@dataclass(frozen=True)
class Case:
    """A plugin, and what is said of it."""

    body: str
    entry: str
    status: str
    reason: str = ""
    cure: str = ""
    modules: dict[str, str] = field(default_factory=dict)


LINE = "pip install --no-deps no-such-mmdet==3.3.0"
HEALTHY = {
    "fake-healthy": Case(declares("healthy.boxes"), "healthy.boxes", "ok"),
    "fake-token-one": Case(declares("token_one.boxes"), "token_one.boxes", "ok"),
    "fake-token-two": Case(declares("token_two.boxes"), "token_two.boxes", "ok"),
    "fake-huge": Case(
        declares(
            "huge.boxes",
            factory="'fake_huge_parts:ToyBoxDecoder'",
            config_class="'fake_huge_parts:ToyBoxConfig'",
        ),
        "huge.boxes",
        "ok",
        modules={"fake_huge_parts": HEAVY},
    ),
}
AILING = {
    "fake-raising": Case(
        "raise OSError('no disk')",
        "fake-raising",
        "failed",
        "OSError: no disk",
        "pip install --upgrade fake-raising",
    ),
    "fake-exiting": Case(
        "raise SystemExit(3)",
        "fake-exiting",
        "failed",
        "exited: 3",
        "pip install --upgrade fake-exiting",
    ),
    "fake-lacking": Case(
        declares("lacking.boxes", requires=f"(Requirement('no-such-mmdet>=3', {LINE!r}),)"),
        "lacking.boxes",
        "missing requirement",
        "needs no-such-mmdet>=3, found no no-such-mmdet",
        LINE,
    ),
    "fake-clash-one": Case(
        declares("clash.boxes"),
        "clash.boxes",
        "conflict",
        "SUPERLINK_DISABLED_PLUGINS=fake-clash-two",
        "pip uninstall fake-clash-one or pip uninstall fake-clash-two",
    ),
    "fake-clash-two": Case(
        declares("clash.boxes"),
        "clash.boxes",
        "conflict",
        "declared by plugin 'fake-clash-one' of fake-clash-one 1.0 and plugin 'fake-clash-two'",
        "pip uninstall fake-clash-one or pip uninstall fake-clash-two",
    ),
    "fake-newer": Case(
        declares("newer.boxes", api_version="99"),
        "newer.boxes",
        "failed",
        "needs plugin API 99",
        "pip install --upgrade superlink",
    ),
    "fake-misspelt": Case(
        declares("misspelt.boxes").replace("superlink_decoders", "superlink_decoder"),
        "fake-misspelt",
        "failed",
        "Did you mean 'superlink_decoders'?",
        "pip install --upgrade fake-misspelt",
    ),
    "fake-disabled": Case(
        "raise RuntimeError('must not be imported')",
        "fake-disabled",
        "disabled",
        "switched off by the environment",
        "change SUPERLINK_PLUGINS or SUPERLINK_DISABLED_PLUGINS",
    ),
}
CASES = HEALTHY | AILING


@pytest.fixture
def folders(monkeypatch):
    """All of them, installed together, and nothing else switched on; folder by distribution."""
    monkeypatch.setenv("SUPERLINK_PLUGINS", ",".join(CASES))
    monkeypatch.setenv("SUPERLINK_DISABLED_PLUGINS", "fake-disabled")
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                installed_plugin(name, {name.replace("-", "_"): HEADER + case.body} | case.modules)
            )
            for name, case in CASES.items()
        }


@pytest.fixture
def registry(folders):
    with pytest.warns(PluginWarning) as caught:
        found = default_registry()
    broken = [name for name, case in AILING.items() if case.status == "failed"]
    assert len(caught) == len(broken)  # one warning each, and none for the others
    for name in broken:
        assert sum(f"'{name}'" in str(warning.message) for warning in caught) == 1
    return found


def in_a_fresh_process(folders, *arguments):
    code = "from superlink.cli.main import app; app()"
    path = os.pathsep.join(map(str, folders.values()))
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_plugins_command_lists_each_with_its_status_and_cure(folders):
    done = in_a_fresh_process(folders, "plugins", "--json")
    assert done.returncode == 0, done.stderr
    told = {entry["distribution"]: entry for entry in json.loads(done.stdout)}
    for name, case in CASES.items():
        entry = told[name]
        expected = (case.entry, case.status, case.cure)
        assert (entry["name"], entry["status"], entry["cure"]) == expected
        assert case.reason in entry["reason"]
        assert bool(entry["reason"]) == (case.status != "ok")
    assert not (folders["fake-huge"] / "fake_huge_parts.imported").exists()
    assert "Traceback" not in done.stderr


def test_text_of_plugins_command_ends_with_the_cures(folders):
    done = in_a_fresh_process(folders, "plugins")
    assert done.returncode == 0, done.stderr
    for case in AILING.values():
        assert f"\n    {case.cure}\n" in done.stdout


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_plugins_build_and_run_beside_all_others(name, folders, registry):
    marker = folders["fake-huge"] / "fake_huge_parts.imported"
    assert not marker.exists()
    decoder = {"name": CASES[name].entry, "tokens": ["[DET]"]}
    model = superlink.attach(tiny_backbone(words=["dog"]), decoders=[decoder], registry=registry)
    with Script(model.backbone, ["<p>dog</p>[DET]"]):
        reply = model.eval().predict("Find: dog", Image.new("RGB", (64, 48)))
    (prediction,) = reply.predictions
    assert prediction.bboxes.shape == (1, 4)
    assert model.bound[CASES[name].entry].distribution == (name, "1.0")
    assert marker.exists() == (name == "fake-huge")


def test_token_of_two_plugins_is_bound_by_the_model(folders, registry):
    choice = {"token_one.boxes": "[DET]", "token_two.boxes": "[ALT]"}
    for swap in (False, True):
        tokens = dict(zip(choice, sorted(choice.values(), reverse=swap), strict=True))
        decoders = [{"name": name, "tokens": [token]} for name, token in tokens.items()]
        model = superlink.attach(tiny_backbone(), decoders=decoders, registry=registry)
        bound = {token: b.decoder for token, b in model.vocabulary.bindings.items()}
        assert bound == {token: name for name, token in tokens.items()}
    with pytest.raises(PluginConflictError, match=r"token_one\.boxes.*token_two\.boxes"):
        superlink.attach(tiny_backbone(), decoders=list(choice), registry=registry)


@pytest.mark.parametrize(
    ("decoder", "error", "message"),
    [
        ("raising.boxes", PluginError, r"fake-raising 1\.0 \(broken: no disk\)"),
        ("misspelt.boxes", PluginError, r"fake-misspelt 1\.0 \(broken: There is no hook"),
        ("disabled.boxes", PluginError, r"fake-disabled 1\.0 \(disabled\)"),
        ("newer.boxes", PluginError, "upgrade superlink"),
        ("clash.boxes", PluginConflictError, "fake-clash-one .* fake-clash-two"),
        ("lacking.boxes", MissingDependencyError, LINE),
    ],
)
def test_asking_for_what_ails_says_why(registry, decoder, error, message):
    with pytest.raises(error, match=message):
        registry.build("decoder", decoder)


def test_clash_is_over_when_one_is_switched_off(folders, monkeypatch):
    monkeypatch.setenv("SUPERLINK_DISABLED_PLUGINS", "fake-disabled,fake-clash-two")
    with pytest.warns(PluginWarning):
        registry = default_registry()
    assert registry.distribution_of("decoder", "clash.boxes") == ("fake-clash-one", "1.0")


@pytest.mark.parametrize("value", ["no such path", "fake_acme.plugin:absent", ":", ""])
def test_entry_point_that_leads_nowhere_is_one_broken_plugin(monkeypatch, value):
    monkeypatch.setenv("SUPERLINK_PLUGINS", "acme,fake-healthy")
    healthy = {"fake_healthy": HEADER + CASES["fake-healthy"].body}
    with (
        installed_plugin("fake-acme", {"fake_acme.plugin": "x = 1"}, entry_points={"acme": value}),
        installed_plugin("fake-healthy", healthy),
        pytest.warns(PluginWarning, match="plugin 'acme' of fake-acme"),
    ):
        entries = {entry.name: entry.status for entry in default_registry().entries()}
    assert (entries["acme"], entries["healthy.boxes"]) == ("failed", "ok")
