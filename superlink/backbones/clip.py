"""CLIP from a folder: pictures and texts in one space, for who measures how alike they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

from ..errors import InputError

__all__ = ["Clip"]


class Clip:
    """A CLIP of transformers with its own preprocessing.

    Args:
        folder: A saved `CLIPModel` with its tokenizer and image processor; nothing is downloaded.
        device: Where it runs.

    Raises:
        InputError: The folder holds none.
    """

    def __init__(self, folder: str | Path, device: str = "cpu") -> None:
        if not Path(folder).is_dir():
            raise InputError(f"Expected a folder with a CLIP model. Received: {str(folder)!r}")
        try:
            self._model: Any = CLIPModel.from_pretrained(folder, local_files_only=True)
            self._images = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise InputError(
                f"{folder} holds no CLIP model of transformers with its tokenizer and image "
                f"processor, as the Hub's openai/clip-vit-large-patch14 does: {error}"
            ) from error
        self._model.eval().requires_grad_(False).to(device)
        self.device = device

    def images(self, images: Sequence[Image.Image]) -> Tensor:
        """The embeddings (N, C) of pictures, of unit length."""
        pixels = self._images(images=list(images), return_tensors="pt").pixel_values
        with torch.no_grad():
            found = self._model.get_image_features(pixels.to(self.device)).pooler_output
        return torch.nn.functional.normalize(found.float().cpu(), dim=-1)

    def texts(self, texts: Sequence[str]) -> Tensor:
        """The embeddings (N, C) of texts, of unit length; a text that is too long is cut."""
        limit = self._model.config.text_config.max_position_embeddings
        tokens = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=limit, return_tensors="pt"
        )
        ids, mask = (tokens[name].to(self.device) for name in ("input_ids", "attention_mask"))
        with torch.no_grad():
            found = self._model.get_text_features(ids, attention_mask=mask).pooler_output
        return torch.nn.functional.normalize(found.float().cpu(), dim=-1)
