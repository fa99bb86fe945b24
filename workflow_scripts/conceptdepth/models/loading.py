"""Loading language models in their weight formats."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import RANDOM
from conceptdepth.models.architectures import speaks_through_wrapper
from conceptdepth.models.chat_files import processors_template
from conceptdepth.models.checkpoint import CONFIG, NATIVE, stored_format
from conceptdepth.models.formats import check_format, keyword_arguments
from conceptdepth.models.loaded_weights import check_keys, check_numbers
from conceptdepth.models.tokens import TOKENIZER

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

RANDOM_SEED = 0
"""Seed of random weights."""


def load_tokenizer(folder: Path, *, rules: str = "class", trust_remote_code: bool = False) -> "PreTrainedTokenizerBase":
    """Open the tokenizer of a model folder.

    ``rules`` are those of the class that the checkpoint names (``class``), which transformers may have rewritten, or
    those of its ``tokenizer.json`` alone (``file``).
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    if rules == "file" and not (folder / TOKENIZER).is_file():
        raise UserError(f"there is no {TOKENIZER} to go by; leave out `tokenizer: file`")
    if rules == "file":
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    else:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code, local_files_only=True)
    if tokenizer.chat_template is None:
        tokenizer.chat_template = processors_template(folder)
    return tokenizer


def load_model(
    folder: Path,
    *,
    name: str = "model",
    quantization: str,
    device: "torch.device",
    max_memory: Mapping[str, str] | None = None,
    offload_folder: str | None = None,
    trust_remote_code: bool = False,
) -> "PreTrainedModel":
    """Load a causal language model in evaluation mode onto a device, and check that its weights are the file's.

    A model that does not fit is spread: over the GPUs in their order, then the processor's memory, then the
    disk (``offload_folder``). ``max_memory`` limits each, by GPU number and ``cpu``; without it the GPUs take
    what they have. Raises `UserError` if a quantized model would have to leave the GPUs, if the file does not have
    exactly the model's weights (`conceptdepth.models.loaded_weights`), or if they are not in the weight format.
    """
    # bitsandbytes announces on the CPU, once per layer and call, that it casts its input to float16.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if quantization == RANDOM:
        return _random_model(folder, config, device, trust_remote_code=trust_remote_code)
    stored = stored_format(config)
    if stored is not None and quantization != NATIVE:
        raise UserError(f"models.{name}: the checkpoint is stored as {stored}, not {quantization}; select `{NATIVE}`.")
    limits = {int(key) if key.isdigit() else key: value for key, value in (max_memory or {}).items()}
    spread = bool(limits) or device.type == "cuda"
    # With a device map each tensor goes from the mapped file to its device by itself, at most four at once: no copy of
    # all is on the host. A wider dtype is made there, int8 and nf4 on the GPU, int8 by way of the host, one at a time.
    try:
        model, told = _auto_class(config).from_pretrained(
            folder,
            device_map="sequential" if spread else {"": device},
            max_memory=limits or None,
            offload_folder=offload_folder,
            trust_remote_code=trust_remote_code,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # They are told, too.
            **keyword_arguments(quantization, device.type),
        )
    except (ValueError, ImportError, RuntimeError) as error:
        raise _not_loaded(error, name, quantization, stored) from None
    check_keys(told, folder, config.get("model_type", ""), name)
    check_numbers(model, name)
    check_format(model, quantization, stored, name)
    return model.eval()


def _not_loaded(error: Exception, name: str, quantization: str, stored: str | None) -> Exception:
    """Return what to raise for an error of transformers: in words if they are known, else the error itself."""
    if "dispatched on the CPU or the disk" in str(error):
        return UserError(f"as {quantization} the model does not fit: its weights must stay on the GPUs.")
    if stored is not None:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        return UserError(f"models.{name}: the checkpoint is stored as {stored}, which cannot be run here: {reason}.")
    return error


def _auto_class(config: Mapping[str, Any]) -> Any:
    """Return the class of transformers that opens a checkpoint with its head."""
    import transformers

    wrapper = speaks_through_wrapper(config.get("model_type", ""))
    return transformers.AutoModelForImageTextToText if wrapper else transformers.AutoModelForCausalLM


def _random_model(
    folder: Path, content: Mapping[str, Any], device: "torch.device", *, trust_remote_code: bool
) -> "PreTrainedModel":
    """Return a model of the architecture in a folder, in float32, with weights as its training would start with."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(RANDOM_SEED)
        model = _without_weights(folder, content, trust_remote_code=trust_remote_code)
    return model.to(device).eval()


def empty_model(folder: Path, *, trust_remote_code: bool = False) -> "PreTrainedModel":
    """Return a model of the architecture in a folder that has modules and shapes, and no weights in any memory."""
    import torch

    content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    with torch.device("meta"):
        return _without_weights(folder, content, trust_remote_code=trust_remote_code)


def _without_weights(folder: Path, content: Mapping[str, Any], *, trust_remote_code: bool) -> "PreTrainedModel":
    """Return a new model of the architecture in a folder, in float32."""
    import torch
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code, local_files_only=True)
    # Of a quantized checkpoint, the shapes alone.
    config.__dict__.pop("quantization_config", None)
    made: PreTrainedModel = _auto_class(content).from_config(
        config, dtype=torch.float32, trust_remote_code=trust_remote_code
    )
    return made
