"""Readers of the field's formats: files in, records out."""

from .captions import read_caption_folder, read_caption_table
from .coco import CocoDataset, read_coco
from .coco_captions import read_coco_captions
from .coco_keypoints import CocoKeypoints, read_coco_keypoints
from .counts import read_coco_counts
from .crowdhuman import read_crowdhuman
from .edits import read_edit_folder, read_edit_table
from .fsc147 import read_fsc147
from .in_context import read_mask_examples, read_text_examples
from .instances import read_instances
from .llava import read_llava
from .lvis import read_lvis
from .mask_folder import read_mask_folder
from .objects365 import read_objects365
from .odinw import read_odinw
from .reason_seg import read_reason_seg
from .refcoco import read_refcoco
from .region_descriptions import read_region_descriptions
from .semantic_folder import read_semantic_folder
from .tables import read_dialogues, read_table
from .vcr import read_vcr
from .visual_genome import read_regions

__all__ = [
    "CocoDataset",
    "CocoKeypoints",
    "read_caption_folder",
    "read_caption_table",
    "read_coco",
    "read_coco_captions",
    "read_coco_counts",
    "read_coco_keypoints",
    "read_crowdhuman",
    "read_dialogues",
    "read_edit_folder",
    "read_edit_table",
    "read_fsc147",
    "read_instances",
    "read_llava",
    "read_lvis",
    "read_mask_examples",
    "read_mask_folder",
    "read_objects365",
    "read_odinw",
    "read_reason_seg",
    "read_refcoco",
    "read_region_descriptions",
    "read_regions",
    "read_semantic_folder",
    "read_table",
    "read_text_examples",
    "read_vcr",
]
