"""Whether a model has the weights of its file: all of them, no others, and all of them numbers.

transformers fills what a checkpoint lacks with random numbers and goes on.
"""

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from conceptdepth.ground.errors import UserError, one_of
from conceptdepth.models.architectures import BESIDE_TEXT

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAMED = 3
"""Most names of weights in a message."""


def check_keys(told: Mapping[str, Any], kind: str, name: str) -> None:
    """Raise `UserError` unless checkpoint and model have the same weights, of the same shapes.

    ``told`` is the loading info of ``from_pretrained``, which leaves out tied weights and buffers that are not stored;
    ``kind`` is the type of the checkpoint.
    """
    missing = sorted(told["missing_keys"])
    unexpected = sorted(key for key in told["unexpected_keys"] if not key.startswith(BESIDE_TEXT.get(kind, ())))
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
    return "What is missing would be random numbers; name a complete checkpoint of this architecture."


def check_numbers(model: "PreTrainedModel", name: str) -> None:
    """Raise `UserError` if a weight is not a finite number, wherever it lies."""
    import torch
    from accelerate.utils import align_module_device

    for path, module in model.named_modules():
        own = dict(module.named_parameters(recurse=False))
        if not own:
            continue
        with align_module_device(module):  # Brings what lies on the disk.
            for key, weights in module.named_parameters(recurse=False):
                if weights.is_floating_point() and weights.element_size() > 1 and not torch.isfinite(weights).all():
                    raise UserError(
                        f"models.{name}: the weights {path}.{key} have values that are no finite numbers; fetch the "
                        "checkpoint again, or name another."
                    )
