"""One round of one tool: the last-token activations of a workload's prompts, timed. Run by bench.py.

    python contenders.py TOOL MODEL_FOLDER PROMPTS.json OUTPUT.npz THREADS

Every tool gets the same weights in float32, prompts and threads, and returns the input of each layer's MLP at
each prompt's last token. Loading and one warming prompt are not timed. The file has the vectors, shape
(n_layers, n_prompts, d_model), and what the tool did.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

BATCH_TOKENS = 512
"""Most tokens of a batch, padding included, for the tools that pad.

Of 512, 1024 and 2048 the one with which `transformers_batches` took least in all over the three workloads.
"""


@dataclass
class Result:
    """What a tool returns."""

    vectors: np.ndarray
    tokens: int
    """Tokens that went through the model, padding included."""
    padded: int
    skipped: int = 0
    """Weights of the blocks that a token did not go through."""


Tool = Callable[[list[str]], Result]


class Hooks:
    """Copies of the MLP inputs of all tokens, as researchers' scripts take them."""

    def __init__(self, layers) -> None:
        self.found = []
        for layer in layers:
            layer.post_attention_layernorm.register_forward_hook(lambda m, i, output: self.found.append(output))

    def take(self, place: int) -> np.ndarray:
        vectors = torch.stack([output[:, place] for output in self.found]).numpy()
        self.found.clear()
        return vectors


def released_code(folder: str) -> Tool:
    """Run one prompt at a time through the whole model with its head and all hidden states, as the released code."""
    tokenizer, model = tokenizer_and_model(folder)
    hooks = Hooks(model.model.layers)

    def extract(prompts: list[str]) -> Result:
        vectors, tokens = [], 0
        for prompt in prompts:
            encoded = tokenizer(prompt, return_tensors="pt")
            model(**encoded, output_hidden_states=True)
            vectors.append(hooks.take(-1))
            tokens += encoded.input_ids.numel()
        return Result(np.concatenate(vectors, axis=1), tokens, 0)

    return extract


def transformers_batches(folder: str) -> Tool:
    """Run padded batches, sorted by length, through the model without its head: what a careful script does."""
    tokenizer, model = tokenizer_and_model(folder)
    hooks = Hooks(model.model.layers)
    return in_batches(tokenizer, lambda encoded: (model.model(**encoded, use_cache=False), hooks.take(-1))[1])


def nnsight(folder: str) -> Tool:
    """Trace padded batches with nnsight, and stop before the head."""
    from nnsight import TransformersModel

    model = TransformersModel(folder, task="text-generation", device_map="cpu", dispatch=True, dtype=torch.float32)

    def run(encoded) -> np.ndarray:
        with model.trace(encoded) as tracer:
            saved = list().save()  # noqa: C408  nnsight saves calls, not literals.
            for layer in model.model.layers:
                saved.append(layer.post_attention_layernorm.output[:, -1])
            tracer.stop()
        return torch.stack(saved).numpy()

    return in_batches(left_padding(folder), run)


def transformer_lens(folder: str) -> Tool:
    """Run padded batches with TransformerLens, caching the wanted hook alone; the head runs, too."""
    from transformer_lens.model_bridge import TransformerBridge

    model = TransformerBridge.boot_transformers(folder, device="cpu", dtype=torch.float32)
    names = [f"blocks.{layer}.mlp.hook_in" for layer in range(model.cfg.n_layers)]

    def run(encoded) -> np.ndarray:
        _, cache = model.run_with_cache(
            encoded.input_ids, attention_mask=encoded.attention_mask, names_filter=names, return_type=None
        )
        return torch.stack([cache[name][:, -1] for name in names]).numpy()

    return in_batches(left_padding(folder), run)


def concept_depth(folder: str) -> Tool:
    """Run this workflow's extraction."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "workflow_scripts"))
    from conceptdepth.activations.extraction import extract, shape
    from conceptdepth.models.devices import tokens_of_a_pass
    from conceptdepth.models.loading import load_model, load_tokenizer
    from conceptdepth.models.tokens import tokenize

    body = load_model(Path(folder), quantization="fp32", device=torch.device("cpu")).base_model
    tokenizer = load_tokenizer(Path(folder))

    def run(prompts: list[str]) -> Result:
        n_layers, d_model = shape(body, "bench")
        vectors = np.empty((n_layers, len(prompts), d_model), np.float32)
        tokens = tokenize(tokenizer, prompts)
        work = extract(body, tokens, into={"mlp_input": vectors}, batch_tokens=tokens_of_a_pass(body), name="bench")
        # The last layer's MLP comes after the last site.
        last_mlp = linear_weights(body.layers[-1].mlp)
        return Result(vectors, work.tokens_computed, 0, last_mlp)

    return run


def block_shapes(folder: str) -> list[torch.Size]:
    """Return the shapes of the linear layers of all blocks."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    return [m.weight.shape for m in model.model.layers.modules() if isinstance(m, torch.nn.Linear)]


def gemm(shapes: list[torch.Size]) -> float:
    """Return the machine's floating-point operations a second in plain products with a batch of tokens.

    The weights are 28, of four blocks of SmolLM2: 57 MB, which do not fit into the processor's caches, either.
    """
    weights = [torch.randn(shape) for shape in shapes[:28]]
    inputs = {weight.shape[1]: torch.randn(BATCH_TOKENS, weight.shape[1]) for weight in weights}
    rounds = 8
    for timed in (False, True):
        started = time.perf_counter()
        for _ in range(rounds if timed else 1):
            for weight in weights:
                torch.nn.functional.linear(inputs[weight.shape[1]], weight)
    return 2 * BATCH_TOKENS * rounds * sum(weight.numel() for weight in weights) / (time.perf_counter() - started)


def linear_weights(module: torch.nn.Module) -> int:
    """Return the number of weights of a module's linear layers."""
    return sum(m.weight.numel() for m in module.modules() if isinstance(m, torch.nn.Linear))


TOOLS = {
    tool.__name__: tool for tool in (released_code, transformers_batches, nnsight, transformer_lens, concept_depth)
}


def tokenizer_and_model(folder: str):
    return left_padding(folder), AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def left_padding(folder: str):
    """Return a tokenizer that pads on the left, so that the last token stands last."""
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


def in_batches(tokenizer, run: Callable[..., np.ndarray]) -> Tool:
    """Run batches of prompts of about equal length, longest first."""

    def extract(prompts: list[str]) -> Result:
        lengths = [len(ids) for ids in tokenizer(prompts).input_ids]
        order = np.argsort(lengths)[::-1]
        parts, tokens, start = [], 0, 0
        while start < len(prompts):
            end = start + max(1, BATCH_TOKENS // lengths[order[start]])
            encoded = tokenizer([prompts[i] for i in order[start:end]], return_tensors="pt", padding=True)
            parts.append(run(encoded))
            tokens += encoded.input_ids.numel()
            start = end
        vectors = np.concatenate(parts, axis=1)[:, np.argsort(order)]
        return Result(vectors, tokens, tokens - sum(lengths))

    return extract


def main() -> None:
    """Time one round, between two measurements of the machine's speed in plain matrix products."""
    tool, folder, prompts_file, output, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    prompts = json.loads(Path(prompts_file).read_text(encoding="utf-8"))
    shapes = block_shapes(folder)
    with torch.inference_mode():
        extract = TOOLS[tool](folder)
        extract(prompts[:1])
        speed = gemm(shapes)
        started = time.perf_counter()
        result = extract(prompts)
        seconds = time.perf_counter() - started
        speed = (speed + gemm(shapes)) / 2
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    flop = 2 * result.tokens * (sum(shape.numel() for shape in shapes) - result.skipped)
    facts = {"seconds": seconds, "tokens": result.tokens, "padded": result.padded, "peak_mb": peak}
    np.savez(output, vectors=result.vectors, flop=flop, gemm=speed, **facts)


if __name__ == "__main__":
    main()
