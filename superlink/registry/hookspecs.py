"""The three hooks of superlink.

A plugin implements those that it needs, and names its module in the entry-point group `superlink`.
"""

from __future__ import annotations

from collections.abc import Iterable

from pluggy import HookimplMarker, HookspecMarker

from ..interfaces import BackboneSpec, DecoderSpec, TaskSpec

__all__ = ["hookimpl", "hookspec", "superlink_backbones", "superlink_decoders", "superlink_tasks"]

hookspec = HookspecMarker("superlink")
"""Marks what may be implemented; used in this module alone."""
hookimpl = HookimplMarker("superlink")
"""Marks an implementation in a plugin."""


@hookspec
def superlink_decoders() -> Iterable[DecoderSpec]:
    """Declare task decoders.

    The module runs whenever superlink looks for plugins, so it holds dotted paths and imports
    nothing heavy. It is found through two lines of the plugin's pyproject.toml:

        [project.entry-points.superlink]
        acme = "superlink_acme.plugin"

    Example:
        from superlink.interfaces import DecoderSpec, Requirement
        from superlink.registry import hookimpl


        @hookimpl
        def superlink_decoders():
            yield DecoderSpec(
                name="acme.boxes",
                routing_tokens=("[DET]",),
                num_queries=4,
                factory="superlink_acme.decoder:AcmeBoxes",
                config_class="superlink_acme.config:AcmeBoxesConfig",
                requires=(Requirement("numpy>=1.26", install="pip install 'numpy>=1.26'"),),
                license="Apache-2.0",
            )

    Yields:
        One spec for each decoder.
    """
    return ()


@hookspec
def superlink_tasks() -> Iterable[TaskSpec]:
    """Declare tasks: how annotations become conversations, and how replies are measured.

    Example:
        from superlink.interfaces import TaskSpec
        from superlink.registry import hookimpl


        @hookimpl
        def superlink_tasks():
            yield TaskSpec(
                name="acme.counting",
                conversation="superlink_acme.counting:conversation",
                readers={"jsonl": "superlink_acme.counting:read_jsonl"},
                evaluator="superlink_acme.counting:CountingEvaluator",
            )

    Yields:
        One spec for each task.
    """
    return ()


@hookspec
def superlink_backbones() -> Iterable[BackboneSpec]:
    """Declare multimodal LLMs, or whole families of them.

    Example:
        from superlink.interfaces import BackboneSpec
        from superlink.registry import hookimpl


        @hookimpl
        def superlink_backbones():
            yield BackboneSpec(
                name="acme.vlm",
                factory="superlink_acme.vlm:build_vlm",
                config_class="superlink_acme.vlm:VlmConfig",
            )

    Yields:
        One spec for each backbone.
    """
    return ()
