"""Loading language models in their weight formats."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conceptdepth.errors import UserError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

QUANTIZATIONS = ("fp32", "bf16", "int8", "nf4")
"""Weight formats: 32-bit, bfloat16, LLM.int8() and 4-bit NormalFloat (both by bitsandbytes)."""


def load_tokenizer(folder: Path, *, trust_remote_code: bool = False) -> "PreTrainedTokenizerBase":
    """Open the tokenizer of a model folder."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code, local_files_only=True)


def load_body(
    folder: Path, *, quantization: str, device: "torch.device", trust_remote_code: bool = False
) -> "PreTrainedModel":
    """Load a causal language model without its head, in evaluation mode, onto a device."""
    from transformers import AutoModelForCausalLM

    # bitsandbytes announces on the CPU, once per layer and call, that it casts its input to float16.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        device_map={"": device},
        trust_remote_code=trust_remote_code,
        use_safetensors=True,
        local_files_only=True,
        **_weights(quantization, device.type),
    )
    return model.base_model.eval()


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
