"""Whether a model has the weights of its file: all of them, no others, and all of them numbers.

transformers fills what a checkpoint lacks with random numbers and goes on.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conceptdepth.ground.errors import UserError, one_of
from conceptdepth.models.architectures import BESIDE_TEXT

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

NAMED = 3
"""Most names of weights in a message."""


MASK = re.compile(r"\.(bias|masked_bias|causal_mask)$")
"""How names of causal masks end, in GPT-2 and its kin; those of real biases, too."""


def check_keys(told: Mapping[str, Any], folder: Path, kind: str, name: str) -> None:
    """Raise `UserError` unless checkpoint and model have the same weights, of the same shapes.

    ``told`` is the loading info of ``from_pretrained``, which leaves out tied weights; ``kind`` is the type of the
    checkpoint in ``folder``.
    """
    missing = sorted(told["missing_keys"])
    beside = BESIDE_TEXT.get(kind, ())
    unexpected = sorted(
        key for key in told["unexpected_keys"] if not key.startswith(beside) and not _is_mask(key, folder)
    )
    reshaped = {key: f"{key} {tuple(stored)} for {tuple(own)}" for key, stored, own in told["mismatched_keys"]}
    missing = [key for key in missing if key not in reshaped]
    found = {
        "lacks": missing,
        "has, unknown to the model,": unexpected,
        "has, of another shape,": sorted(reshaped.values()),
    }
    wrong = [f"{verb} {_some(keys)}" for verb, keys in found.items() if keys]
    wrong += sorted(map(str, told["error_msgs"]))
    if wrong:
        raise UserError(
            f"models.{name}: the weights are not those of the architecture: the checkpoint {' and '.join(wrong)}. "
            f"{_advice(missing, unexpected)}"
        )


def _is_mask(key: str, folder: Path) -> bool:
    """Tell whether a stored tensor is the causal mask, or its number, that older models kept among their weights."""
    from safetensors import safe_open

    if not MASK.search(key):
        return False
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as stored:
            if key in stored.keys():  # noqa: SIM118  # It is no mapping.
                shape = stored.get_slice(key).get_shape()
                return shape == [] or (len(shape) == 4 and shape[:2] == [1, 1] and shape[2] == shape[3])
    return False


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - NAMED} more" if keys[NAMED:] else ""
    return f"{one_of(keys[:NAMED])}{more}"


def _advice(missing: Iterable[str], unexpected: Iterable[str]) -> str:
    missing, unexpected = set(missing), list(unexpected)
    # What torch.compile, DataParallel and trainers wrap a model in stays in the names.
    prefix = os.path.commonprefix(unexpected)
    prefix = prefix[: prefix.rfind(".") + 1]
    while prefix:
        if all(key.removeprefix(prefix) in missing for key in unexpected):
            return f"Every name begins with {prefix!r}: save the model inside the wrapper."
        prefix = prefix[: prefix[:-1].rfind(".") + 1]
    if missing:
        return "What is missing would be random numbers; name a complete checkpoint of this architecture."
    return "The checkpoint is of another architecture, or holds more than the model."


def check_numbers(model: "PreTrainedModel", name: str) -> None:
    """Raise `UserError` if a weight is not a finite number, wherever it lies."""
    from accelerate.utils import align_module_device

    for path, module in model.named_modules():
        own = dict(module.named_parameters(recurse=False))
        if not own:
            continue
        with align_module_device(module):  # Brings what lies on the disk.
            for key, weights in module.named_parameters(recurse=False):
                if not _finite(weights):
                    raise UserError(
                        f"models.{name}: the weights {path}.{key} have values that are no finite numbers; fetch the "
                        "checkpoint again, or name another."
                    )


def _finite(weights: "torch.Tensor") -> bool:
    """Tell whether weights are finite numbers, or integers and narrow floats, which a quantization scales itself."""
    import torch

    if not weights.is_floating_point() or weights.element_size() == 1 or not weights.numel():
        return True
    # The extremes are no numbers if one weight is none; ten times as fast as looking at each.
    return bool(torch.isfinite(torch.stack(torch.aminmax(weights))).all())
