"""Where a model runs, and how much of it at a time."""

from typing import TYPE_CHECKING

from conceptdepth.ground.errors import UserError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def input_device(body: "PreTrainedModel") -> "torch.device":
    """Return the device that tokens go to."""
    import torch

    return torch.device("cpu") if body.device.type == "meta" else body.device  # meta: weights on disk.


def one_device(body: "PreTrainedModel") -> bool:
    """Tell whether all weights of a model lie in the memory of one device, and stay there."""
    devices = {weights.device for weights in body.parameters()}
    return len(devices) == 1 and "meta" not in {device.type for device in devices}  # meta: fetched when needed.


CPU_TOKENS = 1024
"""Tokens of a pass on a processor: more are not faster."""

MOST_TOKENS = 16_384
"""Tokens of a pass that keep any GPU busy."""


def tokens_of_a_pass(body: "PreTrainedModel") -> int:
    """Return the most tokens of a forward pass: on a GPU, what half of its free memory can hold of a layer's values."""
    import torch

    if body.device.type != "cuda":
        return CPU_TOKENS
    config = body.config.get_text_config()
    # A token takes about sixteen vectors of the model's width (residual stream, attention) and four of the MLP's.
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    values = 16 * config.hidden_size + 4 * inner
    free, _ = torch.cuda.mem_get_info(body.device)
    return max(CPU_TOKENS, min(MOST_TOKENS, free // 2 // (values * body.dtype.itemsize)))


def resolve_device(device: str) -> "torch.device":
    """Return the device to run on; ``auto`` is the GPU if there is one. Raises `UserError` if it is absent."""
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError("execution.device is cuda, but PyTorch sees no GPU on this machine; use auto or cpu.")
    return torch.device(device)


def device_name(device: "torch.device") -> str:
    """Return what a device calls itself."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
