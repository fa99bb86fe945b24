"""Last-token activations of every layer, for all prompts of a cell.

One forward pass per packed row (`conceptdepth.packing`), through the model without its head. Hooks at the
sites copy the vectors of the prompts' last tokens and nothing else; the pass ends at the last site of the
last layer.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from conceptdepth.errors import UserError
from conceptdepth.packing import Row, pack
from conceptdepth.sites import blocks, site_module

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Extraction:
    """Activations of a cell, and what they took."""

    activations: dict[str, NDArray[np.float32]]
    """For each site an array of shape (n_layers, n_prompts, d_model)."""
    n_tokens: list[int]
    """Tokens of each prompt."""
    tokens_computed: int
    """Tokens that went through the model: fewer where prompts share prefixes."""
    site_modules: dict[str, str]
    """For each site the module of a block that it was read from; "" is the block itself."""


class _Finished(Exception):
    """Ends a forward pass once the last wanted vectors are copied."""


def tokenize(tokenizer: "PreTrainedTokenizerBase", prompts: Sequence[str]) -> list[list[int]]:
    """Return the token ids of each prompt, ending with the last token of the text itself.

    Special tokens go before a prompt as the tokenizer adds them; one that it would add after the prompt is
    dropped, because the probe reads the last token of the text.
    """
    encoded = tokenizer(list(prompts), return_special_tokens_mask=True)
    tokens = []
    for prompt, ids, special in zip(prompts, encoded["input_ids"], encoded["special_tokens_mask"]):
        end = len(ids)
        while end and special[end - 1]:
            end -= 1
        if not end:
            raise UserError(f"the prompt {prompt!r} has no tokens.")
        tokens.append(list(ids[:end]))
    return tokens


def extract(
    body: "PreTrainedModel", tokens: Sequence[Sequence[int]], *, sites: Sequence[str], batch_tokens: int, name: str
) -> Extraction:
    """Return the activations at each prompt's last token, for every layer and site.

    ``tokens`` are token ids as `tokenize` gives them, ``batch_tokens`` the tokens of one forward pass,
    ``name`` the model's name for errors. Raises `UserError` for a prompt that is too long for the model,
    a site that it does not have, or values that are not finite.
    """
    _check_lengths(body, tokens, name)
    rows = pack(tokens, batch_tokens)
    layers = blocks(body, name)
    text_config = body.config.get_text_config()
    activations = {
        site: np.full((len(layers), len(tokens), text_config.hidden_size), np.nan, np.float32) for site in sites
    }
    row = rows[0]

    def keep(site: str, layer: int, output: torch.Tensor) -> None:
        vectors = output.reshape(-1, output.shape[-1])[row.last]
        activations[site][layer, row.prompts] = vectors.float().cpu().numpy()

    paths = {site: site_module(site, text_config, name) for site in sites}
    computed = sum(len(row.tokens) for row in rows)
    with (
        torch.inference_mode(),
        _hooks(layers, paths, keep),
        tqdm(total=computed, unit="token", desc="extracting", mininterval=5) as bar,
    ):
        for row in rows:
            forward(body, row)
            bar.update(len(row.tokens))
    _check_finite(activations, name)
    return Extraction(activations, list(map(len, tokens)), computed, paths)


@contextmanager
def _hooks(
    layers: "torch.nn.ModuleList", paths: dict[str, str], keep: Callable[[str, int, torch.Tensor], None]
) -> Iterator[None]:
    """Call ``keep(site, layer, output)`` at each site, and end the pass after the last call that is due."""
    handles = []
    # A block's own output comes after every output inside it.
    last_site = max(paths, key=lambda site: paths[site] == "")

    def hook(site: str, layer: int) -> Callable[..., None]:
        def record(module: Any, arguments: Any, output: Any) -> None:
            keep(site, layer, output[0] if isinstance(output, tuple) else output)
            if layer == len(layers) - 1 and site == last_site:
                raise _Finished

        return record

    try:
        for layer, block in enumerate(layers):
            for site, path in paths.items():
                handles.append(block.get_submodule(path).register_forward_hook(hook(site, layer)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def forward(body: "PreTrainedModel", row: Row) -> None:
    """Run one row through the model; the hooks take what is wanted."""
    device = body.device
    with suppress(_Finished):
        body(
            input_ids=torch.from_numpy(row.tokens)[None].to(device),
            position_ids=torch.from_numpy(row.positions)[None].to(device),
            attention_mask=_attention_mask(body, row),
            use_cache=False,
        )


def _attention_mask(body: "PreTrainedModel", row: Row) -> torch.Tensor | dict[str, torch.Tensor]:
    """Return the row's tree as additive attention masks, each (1, 1, n_tokens, n_tokens).

    Models whose layers differ in attention take one mask per kind of layer.
    """
    config = body.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ())
    if kinds - {"full_attention"}:
        windows = {"full_attention": None, "sliding_attention": window}
        return {kind: _additive(row.visible(width), body) for kind, width in windows.items()}
    # Mistral and Phi-3 have a window in every layer, and no layer_types.
    return _additive(row.visible(None if kinds else window), body)


def _additive(visible: NDArray[np.bool_], body: "PreTrainedModel") -> torch.Tensor:
    blocked = torch.from_numpy(~visible)[None, None].to(body.device)
    return torch.zeros_like(blocked, dtype=body.dtype).masked_fill(blocked, torch.finfo(body.dtype).min)


def _check_lengths(body: "PreTrainedModel", tokens: Sequence[Sequence[int]], name: str) -> None:
    longest = max(map(len, tokens))
    allowed = getattr(body.config.get_text_config(), "max_position_embeddings", longest)
    if longest > allowed:
        raise UserError(f"a prompt has {longest} tokens, but {name} takes at most {allowed}; set `max_words`.")


def _check_finite(activations: dict[str, NDArray[np.float32]], name: str) -> None:
    for site, values in activations.items():
        bad = np.flatnonzero(~np.isfinite(values).all(axis=(1, 2)))
        if len(bad):
            raise UserError(f"{name}: the activations at {site} of layer {bad[0]} are not all finite numbers.")
