import importlib.util
import sys
import warnings

import pycocotools._mask
import pytest

from superlink.errors import MissingDependencyError
from superlink_mmdet import compat


@pytest.fixture
def extension():
    compat.install()
    import mmcv._ext

    if not isinstance(mmcv._ext, compat._Extension):
        pytest.skip("a compiled mmcv is installed")
    return mmcv._ext


def test_install_twice_keeps_the_first_stand_in(extension):
    compat.install()
    assert sys.modules["mmcv._ext"] is extension


def test_operator_that_nobody_supplies_raises_when_called(extension):
    roi_align = extension.roi_align_forward
    with pytest.raises(compat.MissingOperatorError, match=r"roi_align_forward.*pip uninstall"):
        roi_align(1, 2, aligned=True)
    assert issubclass(compat.MissingOperatorError, MissingDependencyError)


def test_stand_in_has_a_spec_and_no_made_up_dunders(extension):
    assert importlib.util.find_spec("mmcv._ext") is extension.__spec__
    assert not hasattr(extension, "__path__")


def test_install_leaves_a_compiled_extension_alone(monkeypatch, tmp_path):
    compat.install()
    import mmcv

    (tmp_path / "_ext.py").write_text("compiled = True\n")
    monkeypatch.delitem(sys.modules, "mmcv._ext")
    monkeypatch.setattr(mmcv, "__path__", [str(tmp_path)])
    compat.install()
    assert "mmcv._ext" not in sys.modules


def test_install_without_mmcv_names_the_line(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install .*mmcv-lite"):
        compat.install()


def test_masks_of_xtcocotools_are_those_of_pycocotools():
    compat.install()
    assert sys.modules["xtcocotools._mask"] is pycocotools._mask


def test_quiet_imports_hide_known_warnings_only():
    with compat.quiet_imports():
        warnings.warn("`torch.jit.script` is deprecated.", DeprecationWarning, stacklevel=1)
        with pytest.warns(DeprecationWarning, match="news"):
            warnings.warn("news", DeprecationWarning, stacklevel=1)
