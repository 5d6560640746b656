"""Scenes of people and horses with their keypoints: what poses are learned from."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
from PIL import Image

from ..keypoint_sets import keypoint_set
from ..schema import AnnotatedImage, AnnotatedObject
from .captions import describe_names
from .composition import SceneConfig
from .dataset import SceneDataset
from .drawings import DRAWINGS, DrawingSet
from .photos import Split, draw_photograph
from .placing import Placed, annotate, place
from .readings import SceneReading, check_share
from .referring import expressions_of
from .sprites import ARTICULATED, draw_sprite

__all__ = ["PoseScenes", "draw_pose_scene", "read_scene_poses"]

_KEYPOINTS = {"horse": keypoint_set("ap10k"), "person": keypoint_set("coco")}
_PERSON_SHARE = 0.6
_FIGURE_SIDE = (0.42, 0.85)  # longer side of a figure, as a share of the scene
_DISTRACTOR_SIDE = (0.27, 0.56)


class PoseScenes(SceneReading[AnnotatedImage]):
    """Scenes that are drawn when they are asked for; index and seed decide what they show."""

    def __init__(self, scenes: SceneDataset, attributes: float, distractors: float) -> None:
        check_share("attributes", attributes)
        check_share("distractors", distractors)
        super().__init__(scenes)
        self.attributes = attributes
        self.distractors = distractors

    def record(self, index: int) -> AnnotatedImage:
        """Draw one scene."""
        seed = self.scenes.scene_seed(index)
        scene = draw_pose_scene(self.scenes.config, seed, self.distractors)
        rng = random.Random(f"attributes of {scene.key}")
        return _told_apart(scene, rng) if rng.random() < self.attributes else scene


def draw_pose_scene(config: SceneConfig, seed: int, distractors: float = 0.3) -> AnnotatedImage:
    """Draw people and horses on a photograph. The same arguments give the same pixels.

    The area of a figure, which the similarity of poses is measured by, is what is seen of its mask.

    Args:
        config: How scenes look; `num_kinds` and `background` have no meaning here.
        seed: Of the scene.
        distractors: Share of the scenes with one drawing of something else, which is not annotated,
            behind the figures or before them.

    Raises:
        MissingDependencyError: A package that ships photographs or drawings is not installed.
    """
    rng = random.Random(f"superlink pose scene {config.split} {seed}")
    canvas = draw_photograph(config.split, config.size, rng)
    figures: list[Placed] = []
    is_distracted, is_behind = rng.random() < distractors, rng.random() < 0.5
    if is_distracted and is_behind:
        _add(canvas, [], rng.choice(tuple(DRAWINGS)), config, rng)
    for _ in range(rng.randint(1, config.max_objects)):
        name = "person" if rng.random() < _PERSON_SHARE else "horse"
        _add(canvas, figures, name, config, rng)
    if is_distracted and not is_behind:
        _add(canvas, [*figures], rng.choice(tuple(DRAWINGS)), config, rng)
    names = [figure.name for figure in figures]
    return AnnotatedImage(
        image=canvas,
        objects=tuple(_annotate(figure, names.count(figure.name)) for figure in figures),
        categories=tuple(_KEYPOINTS),
        key=f"scenes/poses/{config.split}/{config.drawings}/{config.size}/{seed}",
        caption=describe_names(names),
        keypoint_sets=_KEYPOINTS,
    )


def read_scene_poses(
    split: Split = "train",
    num_scenes: int = 1000,
    seed: int = 0,
    size: int = 128,
    max_objects: int = 3,
    drawings: DrawingSet = "seen",
    attributes: float = 0.0,
    distractors: float = 0.3,
) -> PoseScenes:
    """People and horses with keypoints, those of COCO and of AP-10K, as format `scenes` of `pose`.

    Args:
        split: Which photographs stand behind, and which random draws are made.
        num_scenes: How many scenes.
        seed: Of the scenes.
        size: Height and width in pixels.
        max_objects: The most figures of a scene.
        drawings: Which drawings of other classes distract.
        attributes: Share of the scenes that call one of several of a class by where it stands, as
            `left person`. One of them that is not clearly the left or the right one is not
            annotated then; if none is, the class keeps its name.
        distractors: Share of the scenes with a drawing that is not annotated.
    """
    scenes = SceneDataset(split, drawings, num_scenes, seed, size, max_objects)
    return PoseScenes(scenes, attributes, distractors)


def _add(
    canvas: Image.Image,
    placed: list[Placed],
    name: str,
    config: SceneConfig,
    rng: random.Random,
) -> None:
    """Draw an object where it leaves enough of those in `placed` to be seen, or not at all."""
    shares = _FIGURE_SIDE if name in ARTICULATED else _DISTRACTOR_SIDE
    side = rng.uniform(*shares) * config.size
    canvas_side = 128 * -(-config.size // 96)
    sprite, keypoints = draw_sprite(name, config.drawings, side, canvas_side, rng)
    place(canvas, placed, name, sprite, keypoints, rng)


def _annotate(figure: Placed, count: int) -> AnnotatedObject:
    return replace(annotate(figure, count), area=float(np.count_nonzero(figure.mask)))


def _told_apart(scene: AnnotatedImage, rng: random.Random) -> AnnotatedImage:
    """The scene with names for those of several of a class that one word tells from the others.

    Names are asked for that mean an object, or nothing at all: a class that the scene lacks is
    called by itself, or as one of several would be.
    """
    called = {
        item: text.removeprefix("the ")
        for text, item in expressions_of(scene)
        if text.startswith(("the left", "the right"))
    }
    told = {item.name for item in called}
    classes = {text: item.name for item, text in called.items()}
    for name in (name for name in scene.categories if name not in told):
        absent = all(item.name != name for item in scene.objects)
        classes[rng.choice((name, f"left {name}", f"right {name}")) if absent else name] = name
    return replace(
        scene,
        objects=tuple(
            replace(item, name=called.get(item, item.name))
            for item in scene.objects
            if item in called or item.name not in told
        ),
        categories=tuple(classes),
        keypoint_sets={text: scene.keypoint_sets[name] for text, name in classes.items()},
        key=f"{scene.key}/told apart",
    )
