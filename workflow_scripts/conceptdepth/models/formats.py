"""Weight formats: how weights are asked for, and whether a loaded model has them as asked.

A library that cannot do what is asked often does something else and says so in a warning: it keeps a checkpoint's own
quantization, dequantizes it, or leaves experts as they are. A cell is named by its format, so that here this ends it.
"""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from conceptdepth.ground.errors import UserError, one_of
from conceptdepth.ground.names import RANDOM
from conceptdepth.models.checkpoint import NATIVE
from conceptdepth.models.sites import blocks, decoder_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

QUANTIZATIONS = ("fp32", "bf16", "int8", "nf4", NATIVE)
"""Weight formats: 32-bit, bfloat16, LLM.int8() and 4-bit NormalFloat by bitsandbytes, and the checkpoint's own."""

LAYERS = {"int8": "Linear8bitLt", "nf4": "Linear4bit"}
"""Class of a quantized layer, by weight format."""

LEFT_WIDE = 0.1
"""Largest share of the blocks' matrices that a quantized model may keep wide: routers and the like."""

SHORT = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
"""What formats call dtypes."""


def keyword_arguments(quantization: str, device: str) -> dict[str, Any]:
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
        case "native":
            return {"dtype": "auto"}
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


def check_format(model: "PreTrainedModel", quantization: str, stored: str | None, name: str) -> None:
    """Raise `UserError` if a model is not in the weight format asked for.

    ``stored`` is the format that its checkpoint is quantized in (`conceptdepth.models.checkpoint.stored_format`), if
    it is.
    """
    if quantization in LAYERS:
        _check_layers(model, quantization, name)
    elif quantization in ("fp32", "bf16"):
        _check_dtypes(model, quantization, name)
    elif quantization == NATIVE and stored is not None and not _is_narrow(model, name):
        raise UserError(
            f"models.{name}: the checkpoint is stored as {stored}, which the installed libraries cannot run on this "
            "device; they would widen its weights, and the cell would not be what its name says. Use a device that "
            f"runs {stored}, or the model's unquantized checkpoint."
        )


def real_format(model: "PreTrainedModel", quantization: str, stored: str | None) -> str:
    """Return the weight format that a model really has: of ``native`` and of random weights, what that is here."""
    if quantization not in (NATIVE, RANDOM):
        return quantization
    return stored or _commonest(model) if quantization == NATIVE else _commonest(model)


def _commonest(model: "PreTrainedModel") -> str:
    """Return what the dtype of most of a model's numbers is called."""
    numbers = Counter[str]()
    for weights in model.parameters():
        numbers[_short(weights)] += weights.numel()
    return numbers.most_common(1)[0][0]


def _kept_wide(model: "PreTrainedModel") -> set[str]:
    """Return the weights that an architecture keeps in float32 when all else has 16 bits: routers, for example."""
    import torch

    with torch.device("meta"):
        built = type(model)._from_config(model.config, dtype=torch.bfloat16)
    strict = tuple(getattr(model, "_keep_in_fp32_modules_strict", None) or ())
    return {
        path
        for path, weights in built.named_parameters()
        if weights.dtype == torch.float32 or any(module in path for module in strict)
    }


def _short(weights: "torch.Tensor") -> str:
    return SHORT.get(_dtype(weights), _dtype(weights))


def _dtype(weights: "torch.Tensor") -> str:
    return str(weights.dtype).removeprefix("torch.")


def _check_dtypes(model: "PreTrainedModel", quantization: str, name: str) -> None:
    """Check that all weights have the dtype, but for those that the architecture itself keeps in float32."""
    wrong = {path: weights for path, weights in model.named_parameters() if _short(weights) != quantization}
    kept = _kept_wide(model) if wrong else set()
    for path, weights in wrong.items():
        found = _short(weights)
        if found != "fp32" or path not in kept:
            raise UserError(
                f"models.{name}: asked for as {quantization}, {path} is {found} after loading; use the weight format "
                f"`{NATIVE}` or another checkpoint."
            )


def _check_layers(model: "PreTrainedModel", quantization: str, name: str) -> None:
    """Check that the blocks' matrices are in quantized layers of the format's class."""
    quantized, wide = 0, dict[str, int]()
    for number, block in enumerate(blocks(decoder_of(model, name), name)):
        for path, module in block.named_modules():
            if type(module).__name__ == LAYERS[quantization]:
                quantized += module.in_features * module.out_features
            else:
                wide |= {f"{number}.{path}.{key}": size for key, size in _matrices(module)}
    share = sum(wide.values()) / max(1, quantized + sum(wide.values()))
    if share > LEFT_WIDE:
        first = max(wide, key=lambda path: wide[path])
        raise UserError(
            f"models.{name}: as {quantization}, {share:.0%} of the blocks' weights stay as they are, because "
            f"bitsandbytes quantizes linear layers and {first} is none; use one of {one_of(('fp32', 'bf16', NATIVE))}."
        )


def _matrices(module: "torch.nn.Module") -> Iterator[tuple[str, int]]:
    """Yield name and size of a module's own weights that are matrices or stacks of them."""
    for key, weights in module.named_parameters(recurse=False):
        if weights.ndim > 1:
            yield key, weights.numel()


def _is_narrow(model: "PreTrainedModel", name: str) -> bool:
    """Tell whether most bytes of a model's blocks are weights of less than 16 bits, or packed into integers."""
    listed = blocks(decoder_of(model, name), name)
    tensors = [tensor for block in listed for tensor in (*block.parameters(), *block.buffers())]
    sizes = {True: 0, False: 0}
    for tensor in tensors:
        narrow = tensor.element_size() == 1 or not tensor.is_floating_point()
        if _dtype(tensor) != "bool":  # A mask.
            sizes[narrow] += tensor.numel() * tensor.element_size()
    return sizes[True] > sizes[False]
