"""Detection and grounding for superlink: mmdet's Grounding DINO, driven by super-link queries."""
