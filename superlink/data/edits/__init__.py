"""The built-in edits: scenes before and after an instruction, equal outside of what it names."""

from .dataset import SceneEdits, changed_pixels, read_scene_edits
from .making import EDIT_KINDS, EditKind

__all__ = ["EDIT_KINDS", "EditKind", "SceneEdits", "changed_pixels", "read_scene_edits"]
