"""Plugins are loaded one by one: a broken one is one warning, and breaks nothing else."""

from __future__ import annotations

import pytest

from superlink.errors import PluginConflictError, PluginError
from superlink.registry import PluginWarning


def entry(registry, name):
    (found,) = [entry for entry in registry.entries() if entry.name == name]
    return found


def test_discover_healthy_plugin(install, discover, decoder):
    install("fake-acme", decoder(license="MIT"), version="2.3")
    registry = discover()
    assert registry.decoder("acme.boxes").num_queries == 4
    assert registry.distribution_of("decoder", "acme.boxes") == ("fake-acme", "2.3")
    found = entry(registry, "acme.boxes")
    assert (found.kind, found.tokens, found.num_queries) == ("decoder", ("[DET]",), 4)
    assert (found.license, found.status, found.reason) == ("MIT", "ok", "")


def test_discover_what_is_built_in(discover):
    registry = discover()
    assert registry.backbone("tiny_llava").name == "tiny_llava"
    assert registry.backbone("transformers").name == "transformers"
    assert registry.task("detection").name == "detection"
    assert {entry.distribution for entry in registry.entries()} == {"superlink"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("import no_such_module", "No module named 'no_such_module'"),
        ("raise SystemExit(3)", "exited: 3"),
        ("@hookimpl\ndef superlink_tasks():\n    raise KeyError('lost')", "KeyError: 'lost'"),
        ("@hookimpl\ndef superlink_tasks():\n    yield 'rubbish'", "'rubbish'"),
        (
            "@hookimpl\ndef superlink_tasks():\n    yield BackboneSpec('a', 'a:b', 'a:b')",
            "TaskSpec",
        ),
        ("@hookimpl\ndef superlink_tasks():\n    return TaskSpec('a', 'a:b')", "must yield specs"),
        ("@hookimpl\ndef superlink_task():\n    yield", "mean 'superlink_tasks'"),
        ("@hookimpl\ndef superlink_tasks(registry):\n    yield", "registry"),
        ("def superlink_tasks():\n    yield", "lacks its marker"),
        ("x = 1", "at least one hook"),
        ("@hookimpl\ndef superlink_tasks():\n    yield TaskSpec('Bad Name', 'a:b')", "Bad Name"),
    ],
)
def test_discover_broken_plugin(install, discover, decoder, body, reason):
    install("fake-broken", body)
    install("fake-acme", decoder())
    with pytest.warns(PluginWarning) as caught:
        registry = discover()
    assert len(caught) == 1
    assert "plugin 'fake-broken' of fake-broken 1.0" in str(caught[0].message)
    found = entry(registry, "fake-broken")
    assert (found.kind, found.status) == ("plugin", "failed")
    assert reason in found.reason
    assert found.cure == "pip install --upgrade fake-broken"
    assert registry.decoder("acme.boxes").name == "acme.boxes"


def test_decoder_of_broken_plugin_chains_its_error(install, discover):
    install("fake-broken", "import no_such_module")
    with pytest.warns(PluginWarning):
        registry = discover()
    with pytest.raises(PluginError, match=r"plugin 'fake-broken' of fake-broken 1\.0") as caught:
        registry.decoder("fake_broken.boxes")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    with pytest.raises(PluginError, match=r"may be in what could not be loaded.*fake-broken"):
        registry.decoder("mmdet.boxes")


def test_decoder_declared_before_its_plugin_broke_chains_the_error(install, discover, decoder):
    install("fake-broken", decoder() + "    raise OSError('disk')\n")
    with pytest.warns(PluginWarning):
        registry = discover()
    assert entry(registry, "acme.boxes").status == "failed"
    with pytest.raises(PluginError) as caught:
        registry.decoder("acme.boxes")
    assert isinstance(caught.value.__cause__, OSError)


def test_discover_newer_api_version_asks_to_upgrade_superlink(install, discover, decoder):
    install("fake-new", decoder("acme.new", api_version=99))
    with pytest.warns(PluginWarning, match="upgrade superlink"):
        registry = discover()
    found = entry(registry, "acme.new")
    assert (found.status, found.cure) == ("failed", "pip install --upgrade superlink")
    with pytest.raises(PluginError, match="needs plugin API 99, this superlink has 1: upgrade"):
        registry.decoder("acme.new")


def test_name_claimed_twice_raises_only_when_asked_for(install, discover, decoder):
    install("fake-one", decoder() + "    yield DecoderSpec('one.b', ('[B]',), 1, 'a:b', 'a:b')\n")
    install("fake-two", decoder(), version="2.0")
    registry = discover()
    assert registry.decoder("one.b").name == "one.b"
    with pytest.raises(PluginConflictError, match=r"fake-one 1\.0 and .* fake-two 2\.0"):
        registry.decoder("acme.boxes")
    claims = [entry for entry in registry.entries() if entry.name == "acme.boxes"]
    assert [claim.status for claim in claims] == ["conflict", "conflict"]
    assert "SUPERLINK_DISABLED_PLUGINS=fake-two" in claims[0].reason


def test_name_of_superlink_itself_claimed_by_a_plugin_is_a_conflict(install, discover):
    claim = "yield BackboneSpec('tiny_llava', 'a:b', 'a:b')"
    install("fake-acme", f"@hookimpl\ndef superlink_backbones():\n    {claim}\n")
    registry = discover()
    with pytest.raises(PluginConflictError, match=r"'superlink' of superlink .* fake-acme 1\.0"):
        registry.backbone("tiny_llava")
    cures = {entry.cure for entry in registry.entries() if entry.name == "tiny_llava"}
    assert cures == {"pip uninstall fake-acme"}


def test_name_shared_by_a_decoder_and_a_task_is_no_conflict(install, discover, decoder):
    task = "@hookimpl\ndef superlink_tasks():\n    yield TaskSpec('acme.boxes', 'a:b')\n"
    install("fake-acme", decoder() + task)
    registry = discover()
    assert registry.decoder("acme.boxes").factory.endswith("ToyBoxDecoder")
    assert registry.task("acme.boxes").conversation == "a:b"


def test_working_plugin_wins_over_a_broken_one_of_the_same_name(install, discover, decoder):
    install("fake-broken", decoder() + "    raise OSError\n")
    install("fake-acme", decoder())
    with pytest.warns(PluginWarning):
        registry = discover()
    assert registry.distribution_of("decoder", "acme.boxes")[0] == "fake-acme"


def test_two_plugins_for_one_token_may_both_be_installed(install, discover, decoder):
    install("fake-one", decoder("one.boxes"))
    install("fake-two", decoder("two.boxes"))
    registry = discover()
    assert registry.decoder("one.boxes").routing_tokens == ("[DET]",)
    assert registry.decoder("two.boxes").routing_tokens == ("[DET]",)


def test_unknown_name_suggests_the_nearest(install, discover, decoder):
    install("fake-acme", decoder())
    registry = discover()
    with pytest.raises(PluginError, match=r"'acme\.box'.*mean 'acme\.boxes'\?.*from: acme\.boxes"):
        registry.decoder("acme.box")
    with pytest.raises(PluginError, match="Choose from: tiny_llava, transformers"):
        registry.backbone("acme.boxes")


@pytest.mark.parametrize(
    ("variable", "value", "disabled"),
    [
        ("SUPERLINK_DISABLED_PLUGINS", "fake-two", {"fake-two"}),
        ("SUPERLINK_PLUGINS", " fake-one ,", {"fake-two"}),
        ("SUPERLINK_PLUGINS", "", {"fake-one", "fake-two"}),
    ],
)
def test_environment_steers_discovery(
    install, discover, decoder, monkeypatch, variable, value, disabled
):
    install("fake-one", decoder("one.boxes"))
    install("fake-two", "raise RuntimeError('must not be imported')")
    monkeypatch.setenv(variable, value)
    registry = discover()
    found = {entry.name for entry in registry.entries() if entry.status == "disabled"}
    assert found == disabled
    assert registry.backbone("tiny_llava").name == "tiny_llava"
    with pytest.raises(PluginError, match=r"plugin 'fake-two' of fake-two 1\.0 \(disabled\)"):
        registry.decoder("two.boxes")


def test_environment_naming_an_unknown_plugin_warns(install, discover, decoder, monkeypatch):
    install("fake-acme", decoder())
    monkeypatch.setenv("SUPERLINK_PLUGINS", "fake-acne")
    with pytest.warns(PluginWarning, match="SUPERLINK_PLUGINS names 'fake-acne'.*'fake-acme'"):
        discover()


def test_discover_does_not_import_what_dotted_paths_name(install, discover, decoder):
    heavy = "raise RuntimeError('a huge import')"
    spec = decoder(factory="fake_heavy:build", config_class="fake_heavy:Config")
    install("fake-acme", spec, fake_heavy=heavy)
    registry = discover()
    assert entry(registry, "acme.boxes").status == "ok"
    with pytest.raises(PluginError, match=r"decoder 'acme\.boxes' .* fake-acme 1\.0") as caught:
        registry.build("decoder", "acme.boxes")
    assert str(caught.value.__cause__) == "a huge import"


def test_entries_are_read_only(discover):
    with pytest.raises(AttributeError):
        discover().entries()[0].status = "ok"
