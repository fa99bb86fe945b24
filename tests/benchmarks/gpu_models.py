"""Models of random weights for gpu.py, made where they run, in each weight format; and the speed of plain products."""

import statistics
import time

import torch
from conceptdepth.models.formats import keyword_arguments
from transformers import LlamaConfig, LlamaForCausalLM

SHAPES = {
    "smollm2-135m": {
        "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
        "num_key_value_heads": 3, "vocab_size": 49152, "max_position_embeddings": 8192,
    },
    "llama-2-7b": {
        "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 32, "vocab_size": 49152, "max_position_embeddings": 4096,
    },
    "miniature": {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 512, "max_position_embeddings": 512,
    },
}  # fmt: skip
"""What makes a model of a shape; the vocabulary is that of SmolLM2's tokenizer."""

FORMATS = ("fp32", "bf16", "int8", "nf4")
"""Weight formats, in the order in which one model can be brought into them."""

OUTLIERS, OUTLIER_SCALE = 6, 20
"""How many features of what every norm hands on are larger than the others, and how many times."""


def random_model(shape: str, device: torch.device) -> LlamaForCausalLM:
    """Return a model in float32 whose weights are numbers of bfloat16: all formats then have the same weights.

    Weights are drawn on the device, with a standard deviation of 0.02. A few outlier features, as trained models have
    them, make int8 take its way for outliers in every layer.
    """
    torch.manual_seed(0)
    with torch.device(device):
        model = LlamaForCausalLM(LlamaConfig(**SHAPES[shape], dtype=torch.float32)).eval()
    with torch.no_grad():
        for layer in model.model.layers:
            layer.input_layernorm.weight[:OUTLIERS] *= OUTLIER_SCALE
            layer.post_attention_layernorm.weight[:OUTLIERS] *= OUTLIER_SCALE
        for weights in model.parameters():
            weights.copy_(weights.bfloat16())
    return model


def linear_layers(model: LlamaForCausalLM) -> dict[str, torch.nn.Linear]:
    """Return the linear layers of the blocks, by their path in the model."""
    return {
        path: module
        for path, module in model.named_modules()
        if path.startswith("model.layers.") and isinstance(module, torch.nn.Linear)
    }


def to_bfloat16(model: LlamaForCausalLM) -> None:
    """Narrow the weights, but not the frequencies of rotary embeddings, which transformers keeps in float32."""
    for weights in model.parameters():
        weights.data = weights.data.bfloat16()
    model.config.dtype = torch.bfloat16


def quantize(model: LlamaForCausalLM, linear: dict[str, torch.nn.Linear], quantization: str) -> None:
    """Put layers of bitsandbytes in the place of a bfloat16 model's linear ones, as transformers does in loading."""
    for path, layer in linear.items():
        model.set_submodule(path, quantized(layer, quantization).eval())


def quantized(layer: torch.nn.Linear, quantization: str) -> torch.nn.Module:
    """Return a linear layer in int8 or nf4."""
    import bitsandbytes as bnb

    weights, size = layer.weight.data, (layer.in_features, layer.out_features)
    config = keyword_arguments(quantization, weights.device.type)["quantization_config"]
    if quantization == "int8":
        made = bnb.nn.Linear8bitLt(
            *size, bias=False, has_fp16_weights=False, threshold=config.llm_int8_threshold, device="meta"
        )
        # It quantizes what comes from the processor's memory.
        made.weight = bnb.nn.Int8Params(weights.cpu(), requires_grad=False).to(weights.device)
        return made
    made = bnb.nn.Linear4bit(*size, bias=False, compute_dtype=weights.dtype, device="meta")
    made.weight = bnb.nn.Params4bit(
        weights,
        requires_grad=False,
        quant_type=config.bnb_4bit_quant_type,
        compress_statistics=config.bnb_4bit_use_double_quant,
        module=made,
    ).to(weights.device)
    return made


def gemm(dtype: torch.dtype, device: torch.device, repetitions: int = 10) -> float:
    """Return floating-point operations a second of a product of square matrices, the median of some."""
    size = 8192 if device.type == "cuda" else 512
    one, other = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))
    seconds = []
    for _ in range(3 + repetitions):
        synchronize(device)
        started = time.perf_counter()
        one @ other
        synchronize(device)
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / statistics.median(seconds[3:])


def synchronize(device: torch.device) -> None:
    """Wait for all work of a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
