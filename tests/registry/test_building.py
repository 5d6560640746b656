"""What happens between a name and a module that is ready."""

from __future__ import annotations

import pytest

from superlink.errors import ConfigError, MissingDependencyError, PluginError
from superlink.interfaces import Requirement, TaskDecoder
from superlink.registry import PluginWarning
from superlink.testing import ToyBoxConfig, ToyBoxDecoder

NEEDS_NOTHING = (Requirement("no-such-mmcv>=2 or packaging>=20", "pip install packaging"),)
NEEDS_MORE = (
    Requirement("no-such-mmdet>=3.3,<4", "pip install --no-deps mmdet==3.3.0"),
    Requirement("packaging<1 or no-such-mmcv", "pip install mmcv"),
    Requirement("no-such-windows; sys_platform == 'win99'", "pip install windows"),
)


def test_build_decoder_with_its_config(install, discover, decoder):
    install("fake-acme", decoder())
    registry = discover()
    assert isinstance(registry.build("decoder", "acme.boxes"), TaskDecoder)
    assert registry.build("decoder", "acme.boxes", {"cond_size": 8}).cond_size == 8
    built = registry.build("decoder", "acme.boxes", ToyBoxConfig(cond_size=4))
    assert isinstance(built, ToyBoxDecoder)
    assert built.cond_size == 4


def test_build_unknown_key_names_the_nearest(install, discover, decoder):
    install("fake-acme", decoder())
    with pytest.raises(ConfigError, match=r"acme\.boxes(.|\n)*'cond_sise'\. .*mean 'cond_size'\?"):
        discover().build("decoder", "acme.boxes", {"cond_sise": 8})


def test_build_with_one_of_two_alternatives_installed(install, discover, decoder):
    install("fake-acme", decoder(requires=NEEDS_NOTHING))
    registry = discover()
    assert registry.entries()[-1].status == "ok"
    assert isinstance(registry.build("decoder", "acme.boxes"), TaskDecoder)


def test_build_with_missing_requirements_gives_their_lines(install, discover, decoder):
    install("fake-acme", decoder(requires=NEEDS_MORE))
    registry = discover()
    assert registry.decoder("acme.boxes").num_queries == 4
    found = registry.entries()[-1]
    assert found.status == "missing requirement"
    assert found.cure.splitlines() == ["pip install --no-deps mmdet==3.3.0", "pip install mmcv"]
    with pytest.raises(MissingDependencyError) as caught:
        registry.build("decoder", "acme.boxes")
    message = str(caught.value)
    assert "fake-acme 1.0" in message
    assert "pip install --no-deps mmdet==3.3.0" in message
    assert "found no no-such-mmdet" in message
    assert "windows" not in message


@pytest.mark.parametrize("requires", [(Requirement("??", "pip install x"),), ("mmdet",)])
def test_requirement_that_cannot_be_read_breaks_the_plugin(install, discover, decoder, requires):
    install("fake-acme", decoder(requires=requires))
    with pytest.warns(PluginWarning, match="[Rr]equire"):
        registry = discover()
    assert registry.entries()[-1].status == "failed"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"factory": "no_such_module:build"}, "No module named 'no_such_module'"),
        ({"factory": "superlink.testing:Nothing"}, "Nothing"),
        ({"factory": "fake_parts:not_a_decoder"}, "must return a TaskDecoder. Received: dict"),
        ({"config_class": "fake_parts:Careless"}, "frozen=True, extra='forbid'"),
        ({"config_class": "fake_parts:not_a_decoder"}, "must be a pydantic model"),
    ],
)
def test_build_from_a_wrong_spec(install, discover, decoder, fields, message):
    parts = """
    from pydantic import BaseModel
    class Careless(BaseModel): x: int = 1
    def not_a_decoder(config): return {}
    """
    install("fake-acme", decoder(**fields), fake_parts=parts)
    with pytest.raises(PluginError, match=r"fake-acme 1\.0") as caught:
        discover().build("decoder", "acme.boxes")
    assert message in str(caught.value)


def test_build_notes_the_plugin_on_an_error_of_its_factory(install, discover, decoder):
    parts = "def build(config): raise MemoryError('no room')"
    install("fake-acme", decoder(factory="fake_parts:build"), fake_parts=parts)
    with pytest.raises(MemoryError) as caught:
        discover().build("decoder", "acme.boxes")
    assert "fake-acme 1.0" in caught.value.__notes__[0]


def test_load_names_the_plugin_of_a_broken_path(install, discover, decoder):
    install("fake-acme", decoder())
    registry = discover()
    assert registry.load("decoder", "acme.boxes", "math:pi") > 3
    with pytest.raises(PluginError, match=r"'math:pie' of decoder 'acme\.boxes' .*fake-acme 1\.0"):
        registry.load("decoder", "acme.boxes", "math:pie")
