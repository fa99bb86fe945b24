"""Prompts that share what prompts can share, and what transformers itself makes of them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
import transformers as hf
from conceptdepth.models.sites import blocks, mlp_of


def prompts(common: int = 0) -> list[list[int]]:
    """Prompts that share prefixes of every kind: none, some, whole, and a pair of equal ones.

    All share the first ``common`` tokens, and one of them has only one more.
    """
    draw = np.random.default_rng(0)
    head = np.random.default_rng(1).integers(3, 97, common).tolist()
    stem = draw.integers(3, 97, 12).tolist()
    branches = [stem[:k] + draw.integers(3, 97, n).tolist() for k, n in [(12, 3), (12, 9), (5, 4), (7, 20), (0, 11)]]
    branches += [draw.integers(3, 97, 15).tolist() for _ in range(2)]  # As long as the first.
    return [head + tail for tail in (*branches, stem, branches[1], branches[3][:-1], [5])]


@contextmanager
def listening(
    body: hf.PreTrainedModel, sites: Sequence[str], keep: Callable[[str, torch.Tensor], None]
) -> Iterator[None]:
    """Call ``keep`` with a site and its states whenever a block runs: by hooks of PyTorch's own."""

    def after(module, arguments, output):
        keep("residual", output[0] if isinstance(output, tuple) else output)

    def before(module, arguments, named):
        keep("mlp_input", arguments[0] if arguments else named["hidden_states"])

    handles = []
    for block in blocks(body, "tiny"):
        if "residual" in sites:
            handles.append(block.register_forward_hook(after))
        if "mlp_input" in sites:
            handles.append(block.get_submodule(mlp_of(block)).register_forward_pre_hook(before, with_kwargs=True))
    yield
    for handle in handles:
        handle.remove()


def plain_forward(
    body: hf.PreTrainedModel, tokens: Sequence[Sequence[int]], side: str, sites: Sequence[str]
) -> dict[str, np.ndarray]:
    """Read the sites with a padded batch through the model as Hugging Face would run it, (n_layers, n_prompts, d_model)."""
    width = max(map(len, tokens))
    ids = torch.zeros(len(tokens), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(tokens):
        place = slice(width - len(prompt), None) if side == "left" else slice(0, len(prompt))
        ids[row, place], mask[row, place] = torch.tensor(prompt), 1
    last = [width - 1 if side == "left" else len(prompt) - 1 for prompt in tokens]
    found: dict[str, list[np.ndarray]] = {site: [] for site in sites}

    def keep(site: str, states: torch.Tensor) -> None:
        states = states.reshape(len(tokens), width, -1)  # OPT flattens its batch before the MLP.
        found[site].append(states[range(len(tokens)), last].float().cpu().numpy())

    ids, mask = ids.to(body.device), mask.to(body.device)
    places = {"position_ids": (mask.cumsum(1) - 1).clamp(min=0)} if side == "left" else {}
    # Of prompts of one length nothing is padded, and no mask is what a person would give.
    masked = {} if mask.all() else {"attention_mask": mask, **places}
    with listening(body, sites, keep), torch.inference_mode():
        body(input_ids=ids, use_cache=False, **masked)
    return {site: np.stack(layers) for site, layers in found.items()}


def one_by_one(
    body: hf.PreTrainedModel, tokens: Sequence[Sequence[int]], sites: Sequence[str]
) -> dict[str, np.ndarray]:
    """Read the sites of each prompt alone, (n_layers, n_prompts, d_model)."""
    single = [plain_forward(body, [prompt], "right", sites) for prompt in tokens]
    return {site: np.concatenate([one[site] for one in single], axis=1) for site in sites}


def plain_states(body: hf.PreTrainedModel, tokens: Sequence[Sequence[int]], site: str) -> list[np.ndarray]:
    """Read a site at every token of each prompt alone, each (n_layers, n_tokens, d_model)."""
    found: list[list[np.ndarray]] = []

    def keep(_: str, states: torch.Tensor) -> None:
        found[-1].append(states.reshape(len(prompt), -1).float().cpu().numpy())

    with listening(body, [site], keep), torch.inference_mode():
        for prompt in tokens:
            found.append([])
            body(input_ids=torch.tensor([prompt], device=body.device), use_cache=False)
    return [np.stack(layers) for layers in found]


def read_by_hand(states: Sequence[np.ndarray], places: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean over some tokens of each prompt, (n_layers, n_prompts, d_model), summed in float64."""
    return np.stack([own[:, tokens].astype(np.float64).mean(axis=1) for own, tokens in zip(states, places)], axis=1)
