"""What superlink declares of its own tasks; all paths, so that nothing is loaded before its use."""

from __future__ import annotations

from ..interfaces import TaskSpec

__all__ = [
    "CLASS_LIST",
    "COUNTING",
    "DETECTION",
    "DIALOGUE",
    "EDITING",
    "GENERATION",
    "GROUNDED_CAPTION",
    "GROUNDING",
    "INTERACTIVE_SEGMENTATION",
    "IN_CONTEXT_SEGMENTATION",
    "IN_CONTEXT_TEXT",
    "KEYPOINT_LIST",
    "POSE",
    "REGION_CAPTION",
    "REGION_QA",
    "REGION_RECOGNITION",
    "SALIENT_OBJECT",
    "SEMANTIC_SEGMENTATION",
]

_READERS = "superlink.data.readers"

DETECTION = TaskSpec(
    "detection",
    conversation="superlink.tasks.detection:detection_conversation",
    readers={
        "coco": f"{_READERS}.coco:read_coco",
        "crowdhuman": f"{_READERS}.crowdhuman:read_crowdhuman",
        "described_scenes": "superlink.data.scenes:read_described_scenes",
        "lvis": f"{_READERS}.lvis:read_lvis",
        "objects365": f"{_READERS}.objects365:read_objects365",
        "odinw": f"{_READERS}.odinw:read_odinw",
        "scenes": "superlink.data.scenes:read_scenes",
        "table": f"{_READERS}.tables:read_table",
    },
    evaluator="superlink.evaluation.detection:DetectionEvaluator",
)

GROUNDING = TaskSpec(
    "grounding",
    conversation="superlink.tasks.grounding:grounding_conversation",
    readers={
        "reason_seg": f"{_READERS}.reason_seg:read_reason_seg",
        "refcoco": f"{_READERS}.refcoco:read_refcoco",
        "scenes": "superlink.data.scenes:read_scene_expressions",
        "visual_genome": f"{_READERS}.visual_genome:read_regions",
    },
    evaluator="superlink.evaluation.grounding:GroundingEvaluator",
)

GROUNDED_CAPTION = TaskSpec(
    "grounded_caption",
    conversation="superlink.tasks.captions:caption_conversation",
    readers={"scenes": "superlink.data.scenes:read_scene_captions"},
    evaluator="superlink.evaluation.captions:CaptionEvaluator",
)

SEMANTIC_SEGMENTATION = TaskSpec(
    "semantic_segmentation",
    conversation="superlink.tasks.semantic:semantic_conversation",
    readers={
        "ade20k": f"{_READERS}.semantic_folder:read_semantic_folder",
        "scenes": "superlink.data.scenes:read_scene_regions",
        "semantic_folder": f"{_READERS}.semantic_folder:read_semantic_folder",
    },
    evaluator="superlink.evaluation.semantic:SemanticEvaluator",
)

SALIENT_OBJECT = TaskSpec(
    "salient_object",
    conversation="superlink.tasks.salience:salience_conversation",
    readers={"mask_folder": f"{_READERS}.mask_folder:read_mask_folder"},
    evaluator="superlink.evaluation.salience:SalienceEvaluator",
)

COUNTING = TaskSpec(
    "counting",
    conversation="superlink.tasks.counting:counting_conversation",
    readers={
        "coco": f"{_READERS}.counts:read_coco_counts",
        "fsc147": f"{_READERS}.fsc147:read_fsc147",
        "scenes": "superlink.data.scenes:read_scene_counts",
    },
    evaluator="superlink.evaluation.counting:CountingEvaluator",
)

POSE = TaskSpec(
    "pose",
    conversation="superlink.tasks.pose:pose_conversation",
    readers={
        "coco": f"{_READERS}.coco_keypoints:read_coco_keypoints",
        "scenes": "superlink.data.scenes:read_scene_poses",
    },
    evaluator="superlink.evaluation.pose:PoseEvaluator",
)

GENERATION = TaskSpec(
    "generation",
    conversation="superlink.tasks.generation:generation_conversation",
    readers={
        "coco": f"{_READERS}.coco_captions:read_coco_captions",
        "icons": "superlink.data.icons:read_icons",
        "image_folder": f"{_READERS}.captions:read_caption_folder",
        "table": f"{_READERS}.captions:read_caption_table",
    },
    evaluator="superlink.evaluation.generation:GenerationEvaluator",
)

EDITING = TaskSpec(
    "editing",
    conversation="superlink.tasks.editing:editing_conversation",
    readers={
        "image_folder": f"{_READERS}.edits:read_edit_folder",
        "scenes": "superlink.data.edits:read_scene_edits",
        "table": f"{_READERS}.edits:read_edit_table",
    },
    evaluator="superlink.evaluation.editing:EditingEvaluator",
)

DIALOGUE = TaskSpec(
    "dialogue",
    conversation="superlink.tasks.dialogue:dialogue_conversation",
    readers={
        "llava": f"{_READERS}.llava:read_llava",
        "table": f"{_READERS}.tables:read_dialogues",
    },
)

INTERACTIVE_SEGMENTATION = TaskSpec(
    "interactive_segmentation",
    conversation="superlink.tasks.interactive:interactive_conversation",
    readers={
        "coco": f"{_READERS}.instances:read_instances",
        "placed_scenes": "superlink.data.scenes:read_scenes_by_description",
        "scenes": "superlink.data.scenes:read_scenes",
    },
    evaluator="superlink.evaluation.interactive:InteractiveEvaluator",
)

REGION_RECOGNITION = TaskSpec(
    "region_recognition",
    conversation="superlink.tasks.recognition:recognition_conversation",
    readers={
        "coco": f"{_READERS}.instances:read_instances",
        "scenes": "superlink.data.scenes:read_scenes",
    },
    evaluator="superlink.evaluation.recognition:RecognitionEvaluator",
)

REGION_CAPTION = TaskSpec(
    "region_caption",
    conversation="superlink.tasks.region_captions:region_caption_conversation",
    readers={
        "scenes": "superlink.data.scenes:read_scene_descriptions",
        "visual_genome": f"{_READERS}.region_descriptions:read_region_descriptions",
    },
    evaluator="superlink.evaluation.region_captions:RegionCaptionEvaluator",
)

REGION_QA = TaskSpec(
    "region_qa",
    conversation="superlink.tasks.region_qa:region_qa_conversation",
    readers={"vcr": f"{_READERS}.vcr:read_vcr"},
    evaluator="superlink.evaluation.region_qa:RegionQaEvaluator",
)

IN_CONTEXT_SEGMENTATION = TaskSpec(
    "in_context_segmentation",
    conversation="superlink.tasks.in_context:in_context_segmentation",
    readers={"annotated": f"{_READERS}.in_context:read_mask_examples"},
    evaluator="superlink.evaluation.in_context:InContextEvaluator",
)

IN_CONTEXT_TEXT = TaskSpec(
    "in_context_text",
    conversation="superlink.tasks.in_context:in_context_text",
    readers={"annotated": f"{_READERS}.in_context:read_text_examples"},
    evaluator="superlink.evaluation.recognition:RecognitionEvaluator",
)

CLASS_LIST = TaskSpec(
    "class_list",
    conversation="superlink.tasks.detection:class_list_conversation",
    readers={
        "described_scenes": "superlink.data.scenes:read_scene_phrases",
        "names": "superlink.tasks.detection:read_names",
    },
)

KEYPOINT_LIST = TaskSpec(
    "keypoint_list",
    conversation="superlink.tasks.pose_lists:keypoint_list_conversation",
    readers={"sets": "superlink.tasks.pose_lists:read_keypoint_sets"},
)
