"""What this package offers; superlink reads it without importing torch."""

from superlink.interfaces import DecoderSpec, TaskSpec
from superlink.registry import hookimpl


@hookimpl
def superlink_decoders():
    yield DecoderSpec(
        name="depth",
        routing_tokens=("[DEPTH]",),
        num_queries=2,
        factory="superlink_depth.decoder:DepthDecoder",
        config_class="superlink_depth.config:DepthConfig",
        license="Apache-2.0",
    )


@hookimpl
def superlink_tasks():
    yield TaskSpec(
        name="depth",
        conversation="superlink_depth.task:conversation",
        readers={"toy": "superlink_depth.data:draw_pictures"},
        evaluator="superlink_depth.evaluation:DepthEvaluator",
    )
