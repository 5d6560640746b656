"""Batches of a stage: bad samples named or passed over, and a row where nothing would be left."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from PIL import Image

from ..errors import InputError, SuperLinkError
from ..interfaces import IMAGE, Backbone, Message, Sample
from ..link import Processor
from ..link.processing import Batch
from .faults import FAULTS_OF_DATA, BadSample, Origin, StageSample, explained

__all__ = ["Collator", "TrainingBatch", "takes_images"]


class TrainingBatch(Batch):
    """What the processor makes of samples, and what became of the others."""

    bad: list[str]
    """Of each sample that was passed over, its record and what is wrong with it."""


class Collator:
    """Makes the batch of one forward; it is the collate function of the loader.

    A batch in which no sample is left ends with a stand-in row: an image where the backbone takes
    some, a word, no label and no call. It adds nothing to any loss, and every forward runs.

    Args:
        processor: Of the model.
        run_decoders: Whether calls are prepared for their decoders.
        skip_bad: Whether samples that files or annotations are to blame for are passed over and
            told of in `bad`; an error otherwise.
        always_image: Whether a batch without an image gets a stand-in row as well, so that every
            process of a run uses the image encoder.
    """

    def __init__(
        self, processor: Processor, *, run_decoders: bool, skip_bad: bool, always_image: bool
    ) -> None:
        self.processor = processor
        self.run_decoders = run_decoders
        self.skip_bad = skip_bad
        self.always_image = always_image

    def __call__(self, samples: Sequence[Sample | BadSample]) -> TrainingBatch:
        """Prepare the samples of a forward.

        Raises:
            InputError: A sample cannot be used, and `skip_bad` is not set.
            PluginError: A sample made code fail, for another reason than its data.
        """
        good = [sample for sample in samples if isinstance(sample, Sample)]
        bad = [sample.message for sample in samples if isinstance(sample, BadSample)]
        try:
            return TrainingBatch(**self._batch(good), bad=bad)
        except Exception as error:
            fault = error
        good, found = self._sort(good, fault)
        return TrainingBatch(**self._batch(good), bad=bad + found)

    def _batch(self, samples: Sequence[Sample]) -> Batch:
        return self.processor(samples, run_decoders=self.run_decoders, fill=self._stand_ins)

    def _sort(self, samples: Sequence[Sample], error: Exception) -> tuple[list[Sample], list[str]]:
        """The samples that can be prepared alone, and what is wrong with each of the others."""
        good, bad = [], list[str]()
        for sample in samples:
            try:
                self._batch([sample])
            except Exception as fault:
                named = explained(fault, _origin(sample))
                if not (self.skip_bad and isinstance(fault, FAULTS_OF_DATA)):
                    raise named from fault
                bad.append(str(named))
            else:
                good.append(sample)
        if not bad:
            raise _of_all(error, samples) from error
        return good, bad

    def _stand_ins(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        """The rows that are put behind `samples`."""
        if not samples:
            return [self._stand_in]
        lacks = self.always_image and not any(sample.images for sample in samples)
        return [self._stand_in] if lacks and self._stand_in.images else []

    @cached_property
    def _stand_in(self) -> Sample:
        return _black() if takes_images(self.processor.backbone) else Sample(_WORD)


_SIDE = 64
_WORD = (Message("user", "."),)


def takes_images(backbone: Backbone) -> bool:
    """Whether an image changes what a backbone is given: pixels, which text alone has not.

    Some give empty pixels to text as well, and some have other numbers than pixels for an image.
    """
    black = _black()
    try:
        seen = backbone.encode([backbone.render(black.messages)], [black.images])
    except InputError:
        return False
    text = backbone.encode([backbone.render(_WORD)], [()])
    return bool(seen.keys() - text) or any(v.is_floating_point() for v in seen.values())


def _black() -> Sample:
    return Sample((Message("user", (IMAGE, ".")),), (Image.new("RGB", (_SIDE, _SIDE)),))


def _origin(sample: Sample) -> Origin:
    if isinstance(sample, StageSample):
        return sample.origin
    return Origin(details=(("key", sample.key),))


def _of_all(error: Exception, samples: Sequence[Sample]) -> SuperLinkError:
    """The error of a batch whose samples are well when they are alone."""
    records = ", ".join(str(_origin(sample)) for sample in samples)
    return explained(error, Origin(details=(("records", records),)))
