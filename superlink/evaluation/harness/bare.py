"""A multimodal LLM without links that answers as a linked one does: what chat is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...errors import ConfigError
from ...interfaces import Backbone, Message, Reply, Sample
from ...link import GenerationOptions, Processor, RoutingVocabulary, generate
from ...link.routing import PHRASE_MARKS
from ...linked import to_device
from ...replies import Answers, build_reply
from ..answering import Routing

__all__ = ["BareModel"]


class BareModel:
    """Answers with the backbone alone, by the same words, the same batches and the same loop.

    Args:
        backbone: One that no link is attached to; it is put into evaluation mode.

    Raises:
        ConfigError: A link is attached to it.
    """

    def __init__(self, backbone: Backbone) -> None:
        special = backbone.special_tokens()
        if set(PHRASE_MARKS) <= set(special):
            raise ConfigError(
                "A bare model is a backbone without links. Received: one whose tokenizer knows "
                f"{' and '.join(PHRASE_MARKS)}. Take what `detach()` gives, or load the backbone "
                "again."
            )
        self.backbone = backbone.eval()
        self.vocabulary = _NoTokens(special)
        self.processor = Processor(backbone, self.vocabulary, {})

    def answer(
        self,
        samples: Sequence[Sample],
        routing: Routing = "generated",
        *,
        max_new_tokens: int = 128,
        max_routes: int | None = None,
        **settings: Any,
    ) -> list[Reply]:
        """Answer a batch of conversations in text; the arguments are those of a linked model.

        Raises:
            ConfigError: Routes are forced, or a sample has regions.
        """
        if routing == "forced":
            raise ConfigError("A model without links has no routes to force. Use 'generated'.")
        if not samples:
            return []
        self.processor.region_inputs(samples)  # which raises where there are any
        encoded = self.processor.encode(samples, padding_side="left", add_generation_prompt=True)
        self.processor.check_length(samples, encoded)
        device = self.backbone.output_head().get_parameter("weight").device
        options = GenerationOptions(max_new_tokens, 0, settings=settings)
        inputs = to_device(encoded.inputs, device)
        answers = Answers()
        written = generate(self.backbone, inputs, self.vocabulary, options)
        for sample, row in zip(samples, written, strict=True):
            answers.raws.append(self.vocabulary.spell(row.ids, self.backbone.decode))
            answers.texts.append(self.vocabulary.parse(answers.raws[-1]).text)
            answers.complete.append(row.complete)
            answers.conversations.append([*sample.messages, Message("assistant", "")])
        return [build_reply(row, answers, [], []) for row in range(len(samples))]


class _NoTokens(RoutingVocabulary):
    """Escapes what a linked model escapes, so that both read the same words, and has no tokens."""

    def __init__(self, special_tokens: Iterable[str]) -> None:
        super().__init__((), special_tokens)
        self.tokens = self.controls = ()
        self.bind_ids(())

    @property
    def widest(self) -> int:
        """There are no slots."""
        return 0
