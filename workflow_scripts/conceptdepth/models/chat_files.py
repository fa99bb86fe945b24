"""Whether the files of a checkpoint have a chat template, without opening its tokenizer.

transformers looks into ``chat_template.jinja``, then into ``tokenizer_config.json``; older checkpoints of models that
also see images have theirs in ``chat_template.json``, for their processor. The template of a GGUF is in its metadata,
and lies in the first of these once it is converted (`conceptdepth.models.fetch`).
"""

from pathlib import Path
from typing import Any

from conceptdepth.ground.shapes import json_of_shape

JINJA = "chat_template.jinja"
OF_TOKENIZER = "tokenizer_config.json"
OF_PROCESSOR = "chat_template.json"
KEY = "chat_template"
"""The key of the template in both, and of the answer in ``model.json``."""


def has_chat_template(folder: Path) -> bool:
    """Tell whether a model folder has a chat template, the only one or the default one of several."""
    if (folder / JINJA).is_file() or processors_template(folder):
        return True
    return _is_template((json_of_shape(folder / OF_TOKENIZER, {KEY: object}) or {}).get(KEY))


def processors_template(folder: Path) -> str | None:
    """Return the template in the file of a model's processor, which a tokenizer does not read; None without."""
    content = json_of_shape(folder / OF_PROCESSOR, {KEY: str})
    return content[KEY] if content and content[KEY] else None


def _is_template(content: Any) -> bool:
    if isinstance(content, list):
        return any(isinstance(one, dict) and one.get("name") == "default" for one in content)
    return isinstance(content, str) and bool(content)


def no_chat_template(model: str, rendering: str) -> str:
    """Return what a person reads of a model without a chat template that is to read a chat."""
    return (
        f"models.{model} has no chat template, which perturbations.{rendering} asks for; leave {rendering} out of "
        "run.perturbations, or use a model that was tuned for chat."
    )
