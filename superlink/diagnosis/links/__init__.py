"""Does a link work? From the routing token over queries and conditions to the gradient."""

from .diagnosing import LinkDiagnosis, diagnose_links
from .finding import SYMPTOMS, Finding, Status
from .run import Run, find_run
from .samples import draw_samples

__all__ = [
    "SYMPTOMS",
    "Finding",
    "LinkDiagnosis",
    "Run",
    "Status",
    "diagnose_links",
    "draw_samples",
    "find_run",
]
