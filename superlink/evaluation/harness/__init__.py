"""Models with and without links under lmms-eval, the harness that this field compares chat with."""

from .bare import BareModel
from .entry import lmms_models, open_model
from .requests import ChatRequest, answer_requests

__all__ = ["BareModel", "ChatRequest", "answer_requests", "lmms_models", "open_model"]
