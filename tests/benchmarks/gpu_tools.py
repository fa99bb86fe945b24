"""What gpu.py compares: tools that read the residual stream after every block at each prompt's last token.

Each gets a causal model and a `Job`, times itself and returns what it did. Vectors of `ours` end in an activation file
that is checked and closed, those of the others in an array in memory: what they would take to write it is not counted.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from conceptdepth.activations.extraction import extract, shape
from conceptdepth.activations.layouts import Layout, Trees
from conceptdepth.activations.store import new_activations, open_activations
from conceptdepth.models.devices import tokens_of_a_pass
from numpy.typing import NDArray
from transformers import LlamaForCausalLM

Vectors = NDArray[np.float32]

SITE = "residual"


@dataclass
class Job:
    """What a tool is to do."""

    tokens: list[list[int]]
    """Token ids of each prompt."""
    sample: NDArray[np.int64]
    """Prompts, in ascending order, that the loop runs and whose vectors are compared."""
    folder: Path
    """Where files may be written."""
    pass_tokens: int | None = None
    """Most tokens of a pass or batch; None: as the tool would choose."""


@dataclass
class Done:
    """What a tool did."""

    seconds: float
    prompts: int
    """Prompts that it ran: the loop, only some."""
    computed: int
    """Tokens of prompts that went through the model."""
    padded: int
    """Tokens that filled up rows."""
    vectors: Vectors = field(repr=False)
    """Those of the sample, shape (n_layers, n_sample, d_model)."""


class LastTokens:
    """Hooks that keep what the first block gets and what each block hands on, at chosen tokens, while it lasts."""

    def __init__(self, model: LlamaForCausalLM) -> None:
        self.at: tuple[torch.Tensor, torch.Tensor] | tuple[int, int] = (0, -1)
        """Row and place of the tokens."""
        self._found: list[torch.Tensor] = []
        layers = model.model.layers
        self._handles = [layers[0].register_forward_pre_hook(lambda module, states: self._keep(states[0]))]
        self._handles += [layer.register_forward_hook(lambda module, _, states: self._keep(states)) for layer in layers]

    def __enter__(self) -> "LastTokens":
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _keep(self, states: torch.Tensor) -> None:
        self._found.append(states[self.at])

    def take(self) -> Vectors:
        """Return what was kept since the last time, embedding first, copied from the device at once."""
        vectors = torch.stack(self._found).cpu().float().numpy()
        self._found.clear()
        return vectors


def loop(model: LlamaForCausalLM, job: Job) -> Done:
    """Run one prompt at a time through the whole model, with its head and all hidden states, as the released code."""
    started = time.perf_counter()
    vectors, computed = [], 0
    with torch.inference_mode(), LastTokens(model) as kept:
        for index in job.sample:
            ids = torch.tensor([job.tokens[index]], device=model.device)
            model(input_ids=ids, output_hidden_states=True)
            vectors.append(kept.take())
            computed += ids.numel()
    seconds = time.perf_counter() - started
    return Done(seconds, len(job.sample), computed, 0, np.stack(vectors, axis=1)[1:])


def sorted_batches(model: LlamaForCausalLM, job: Job) -> Done:
    """Run padded batches, sorted by length, through the model without its head, and keep only what is wanted."""
    started = time.perf_counter()
    most = job.pass_tokens or (8192 if model.device.type == "cuda" else 512)
    lengths = np.array([len(ids) for ids in job.tokens])
    order = np.argsort(-lengths, kind="stable")
    found = np.empty((len(model.model.layers) + 1, len(lengths), model.config.hidden_size), np.float32)
    start = processed = 0
    with torch.inference_mode(), LastTokens(model) as kept:
        while start < len(order):
            width = lengths[order[start]]
            chosen = order[start : start + max(1, most // width)]
            ids = np.zeros((len(chosen), width), np.int64)
            for row, index in enumerate(chosen):
                ids[row, : lengths[index]] = job.tokens[index]
            mask = np.arange(width) < lengths[chosen, None]
            last = torch.from_numpy(lengths[chosen] - 1)
            kept.at = (torch.arange(len(chosen), device=model.device), last.to(model.device))
            inputs = {"input_ids": ids, "attention_mask": mask.astype(np.int64)}
            model.model(**{k: torch.from_numpy(v).to(model.device) for k, v in inputs.items()}, use_cache=False)
            found[:, chosen] = kept.take()
            start, processed = start + len(chosen), processed + ids.size
    seconds = time.perf_counter() - started
    return Done(seconds, len(lengths), lengths.sum(), processed - lengths.sum(), found[1:, job.sample])


def ours(model: LlamaForCausalLM, job: Job) -> Done:
    """Run this workflow's extraction, end to end into an activation file."""
    return _ours(model, job, Trees())


def ours_compiled(model: LlamaForCausalLM, job: Job) -> Done:
    """The same with `execution.compile: true`; PyTorch compiles in the round that warms up."""
    return _ours(model, job, Trees(compiled=True))


def _ours(model: LlamaForCausalLM, job: Job, layout: Layout) -> Done:
    path, rows = job.folder / "bench.h5", [{"id": str(n), "label": 0, "group": ""} for n in range(len(job.tokens))]
    n_layers, d_model = shape(model.model, "bench")
    size = {"n_layers": n_layers, "d_model": d_model, "prompts": rows, "n_tokens": list(map(len, job.tokens))}
    most = job.pass_tokens or tokens_of_a_pass(model.model)
    started = time.perf_counter()
    with new_activations(path, sites=[SITE], **size) as file:
        work = extract(model.model, job.tokens, into=file.into, batch_tokens=most, layout=layout, name="bench")
    seconds = time.perf_counter() - started
    with open_activations(path) as file:
        vectors = file[f"activations/{SITE}/last"][:, job.sample]
    return Done(seconds, len(rows), work.tokens_computed, 0, vectors)


def vllm(model: LlamaForCausalLM, job: Job) -> Done:
    """Run vLLM's collector of hidden states on the sample: it writes those of all tokens, a file for each prompt.

    After vLLM's documentation of `extract_hidden_states`; it has no state for the embedding. Never run so far, since
    no machine with a GPU had vLLM.
    """
    from safetensors.torch import load_file
    from vllm import LLM, SamplingParams

    checkpoint, states = job.folder / "checkpoint", job.folder / "states"
    model.save_pretrained(checkpoint)
    collect = {"eagle_aux_hidden_state_layer_ids": list(range(1, len(model.model.layers) + 1))}
    engine = LLM(
        str(checkpoint),
        skip_tokenizer_init=True,
        gpu_memory_utilization=0.5,
        enable_chunked_prefill=False,
        speculative_config={
            "method": "extract_hidden_states",
            "num_speculative_tokens": 1,
            "draft_model_config": {"hf_config": collect},
        },
        kv_transfer_config={
            "kv_connector": "ExampleHiddenStatesConnector",
            "kv_role": "kv_producer",
            "kv_connector_extra_config": {"shared_storage_path": str(states)},
        },
    )
    prompts = [{"prompt_token_ids": job.tokens[index]} for index in job.sample]
    started = time.perf_counter()
    outputs = engine.generate(prompts, SamplingParams(max_tokens=1, detokenize=False))
    files = [load_file(output.kv_transfer_params["hidden_states_path"]) for output in outputs]
    vectors = np.stack([file["hidden_states"][-1].float().numpy() for file in files], axis=1)
    seconds = time.perf_counter() - started
    return Done(seconds, len(prompts), sum(len(job.tokens[index]) for index in job.sample), 0, vectors)


TOOLS = {tool.__name__: tool for tool in (loop, sorted_batches, vllm, ours, ours_compiled)}
