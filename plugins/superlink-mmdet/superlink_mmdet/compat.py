"""Lets OpenMMLab's libraries run where nothing is compiled, and import without chatter.

A compiled mmcv, where there is one, is left alone.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import NoReturn

from superlink.errors import MissingDependencyError

from . import operators

__all__ = ["MissingOperatorError", "install", "quiet_imports"]

_INSTALL_MMCV = "pip install --no-build-isolation --no-deps 'mmcv==2.1.0'"
_INSTALL_MMCV_LITE = "pip install --no-deps mmcv-lite==2.1.0"
_EXPECTED_WARNINGS: tuple[tuple[str, type[Warning]], ...] = (
    (r"`torch\.jit\.(script|interface)` is deprecated", DeprecationWarning),
    (r"``MultiScaleDeformableAttention`` has been moved", ImportWarning),
)
"""What mmengine, mmcv and mmdet are known to warn of while they are imported."""


class MissingOperatorError(MissingDependencyError):
    """An operator was called that only a compiled mmcv has."""


class _Extension(ModuleType):
    """Stands in for `mmcv._ext`: what `operators` has runs, all else raises when it is called."""

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*args: object, **kwargs: object) -> NoReturn:
            raise MissingOperatorError(
                f"The operator {name!r} needs a compiled mmcv. Received: mmcv-lite, without any. "
                f"Install it: pip uninstall mmcv-lite, then {_INSTALL_MMCV}"
            )

        return missing


def install() -> None:
    """Stand in for what is not compiled here; calling it again changes nothing.

    Raises:
        MissingDependencyError: Neither mmcv nor mmcv-lite is installed.
    """
    if importlib.util.find_spec("mmcv") is None:
        raise MissingDependencyError(
            "OpenMMLab's libraries need mmcv or mmcv-lite. Received: neither is installed. "
            f"Install it: {_INSTALL_MMCV_LITE}"
        )
    with quiet_imports():
        _install_extension()
        _install_masks()


@contextmanager
def quiet_imports() -> Iterator[None]:
    """Imports of OpenMMLab's libraries in this block do not raise their known warnings."""
    with warnings.catch_warnings():
        for message, category in _EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message, category)
        yield


def _install_extension() -> None:
    if "mmcv._ext" in sys.modules or importlib.util.find_spec("mmcv._ext") is not None:
        return
    extension = _Extension("mmcv._ext", "Pure PyTorch stand-in for mmcv's compiled operators.")
    extension.__spec__ = ModuleSpec("mmcv._ext", loader=None)
    for name in operators.__all__:
        setattr(extension, name, getattr(operators, name))
    sys.modules["mmcv._ext"] = extension
    importlib.import_module("mmcv")._ext = extension  # type: ignore[attr-defined]


def _install_masks() -> None:
    """The wheels of xtcocotools were built for numpy 1; pycocotools has the same functions."""
    if importlib.util.find_spec("pycocotools") is not None:
        sys.modules.setdefault("xtcocotools._mask", importlib.import_module("pycocotools._mask"))
