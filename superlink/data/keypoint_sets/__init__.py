"""Sets of keypoints: tables of the field's own, found by their name or by their words."""

from .lookup import keypoint_set, keypoint_set_names, known_keypoints
from .words import keypoint_words, word_sides

__all__ = [
    "keypoint_set",
    "keypoint_set_names",
    "keypoint_words",
    "known_keypoints",
    "word_sides",
]
