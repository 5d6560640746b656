"""Metrics: plain numbers and arrays in, numbers out. Evaluators feed them."""

from .average_precision import COCO_SIGMAS, Instance, average_precision, mean_over_sets
from .captions import caption_metrics
from .counting import counting_metrics
from .crowd import CrowdImage, crowd_metrics
from .crowdpose import crowd_index, crowd_level, crowdpose_metrics
from .keypoints import keypoint_precision, point_errors, point_metrics
from .matching import CategoryMatcher, Match, load_synonyms, normalize_phrase
from .mentions import Mentions, mention_metrics
from .overlap import (
    box_cover,
    box_iou,
    mask_overlap,
    match_boxes,
    matched_f1,
    pair_boxes,
    region_metrics,
)
from .ranking import ranking_precision
from .routing import RoutingScore
from .salience import salience_metrics, salience_scores
from .segmentation import count_pixels, label_map, segmentation_metrics
from .words import normalize_answer, semantic_similarity, word_iou

__all__ = [
    "COCO_SIGMAS",
    "CategoryMatcher",
    "CrowdImage",
    "Instance",
    "Match",
    "Mentions",
    "RoutingScore",
    "average_precision",
    "box_cover",
    "box_iou",
    "caption_metrics",
    "count_pixels",
    "counting_metrics",
    "crowd_index",
    "crowd_level",
    "crowd_metrics",
    "crowdpose_metrics",
    "keypoint_precision",
    "label_map",
    "load_synonyms",
    "mask_overlap",
    "match_boxes",
    "matched_f1",
    "mean_over_sets",
    "mention_metrics",
    "normalize_answer",
    "normalize_phrase",
    "pair_boxes",
    "point_errors",
    "point_metrics",
    "ranking_precision",
    "region_metrics",
    "salience_metrics",
    "salience_scores",
    "segmentation_metrics",
    "semantic_similarity",
    "word_iou",
]
