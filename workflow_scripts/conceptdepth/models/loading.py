"""Loading language models in their weight formats."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import RANDOM

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

QUANTIZATIONS = ("fp32", "bf16", "int8", "nf4")
"""Weight formats: 32-bit, bfloat16, LLM.int8() and 4-bit NormalFloat (both by bitsandbytes)."""

RANDOM_SEED = 0
"""Seed of random weights."""


def load_tokenizer(folder: Path, *, trust_remote_code: bool = False) -> "PreTrainedTokenizerBase":
    """Open the tokenizer of a model folder."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code, local_files_only=True)


def load_model(
    folder: Path,
    *,
    quantization: str,
    device: "torch.device",
    max_memory: Mapping[str, str] | None = None,
    offload_folder: str | None = None,
    trust_remote_code: bool = False,
) -> "PreTrainedModel":
    """Load a causal language model in evaluation mode onto a device.

    A model that does not fit is spread: over the GPUs in their order, then the processor's memory, then the
    disk (``offload_folder``). ``max_memory`` limits each, by GPU number and ``cpu``; without it the GPUs take
    what they have. Raises `UserError` if a quantized model would have to leave the GPUs.
    """
    from transformers import AutoModelForCausalLM

    if quantization == RANDOM:
        return _random_model(folder, device, trust_remote_code=trust_remote_code)
    # bitsandbytes announces on the CPU, once per layer and call, that it casts its input to float16.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    limits = {int(key) if key.isdigit() else key: value for key, value in (max_memory or {}).items()}
    spread = bool(limits) or device.type == "cuda"
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            device_map="sequential" if spread else {"": device},
            max_memory=limits or None,
            offload_folder=offload_folder,
            trust_remote_code=trust_remote_code,
            use_safetensors=True,
            local_files_only=True,
            **_weights(quantization, device.type),
        )
    except ValueError as error:
        if "dispatched on the CPU or the disk" not in str(error):
            raise
        raise UserError(f"as {quantization} the model does not fit: its weights must stay on the GPUs.") from None
    return model.eval()


def _random_model(folder: Path, device: "torch.device", *, trust_remote_code: bool) -> "PreTrainedModel":
    """Return a model of the architecture in a folder, in float32, with weights as its training would start with."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code, local_files_only=True)
    with torch.random.fork_rng():
        torch.manual_seed(RANDOM_SEED)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=trust_remote_code)
    return model.to(device).eval()


def input_device(body: "PreTrainedModel") -> "torch.device":
    """Return the device that tokens go to."""
    import torch

    return torch.device("cpu") if body.device.type == "meta" else body.device  # meta: weights on disk.


def one_device(body: "PreTrainedModel") -> bool:
    """Tell whether all weights of a model lie in the memory of one device, and stay there."""
    devices = {weights.device for weights in body.parameters()}
    return len(devices) == 1 and "meta" not in {device.type for device in devices}  # meta: fetched when needed.


CPU_TOKENS = 512
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


def _weights(quantization: str, device: str) -> dict[str, Any]:
    """Return the keyword arguments of ``from_pretrained`` that select a weight format.

    What bitsandbytes leaves unquantized (norms, embeddings, the residual stream) is float32 on the CPU and
    bfloat16 on a GPU, whose range holds activations that overflow float16.
    """
    import torch
    from transformers import BitsAndBytesConfig

    wide = torch.float32 if device == "cpu" else torch.bfloat16
    match quantization:
        case "fp32":
            return {"dtype": torch.float32}
        case "bf16":
            return {"dtype": torch.bfloat16}
        case "int8":
            return {"dtype": wide, "quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
        case "nf4":
            config = BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_compute_dtype=wide,
                bnb_4bit_use_double_quant=True,
            )
            return {"dtype": wide, "quantization_config": config}
    raise ValueError(quantization)


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
