"""Where in a transformer block activations are read: sites named by meaning, found by structure.

``mlp_input``
    What the MLP of a block gets, after this block's attention: in most architectures a normalised state (the output
    of ``post_attention_layernorm`` in Llama, Qwen and Gemma 1, as the reference code reads it; of
    ``pre_feedforward_layernorm`` in Gemma 2 and 3), in OLMo 2 and its kin the residual stream itself.
``residual``
    The output of the block, before any final normalisation.

Modules of the same name mean different things in different architectures (``post_attention_layernorm`` of Gemma 2
and 3 and of OLMo 2 normalises the *output of attention*), so that norms are not looked up by name: whatever stands
before the MLP, what goes into it is ``mlp_input``.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conceptdepth.ground.errors import UserError
from conceptdepth.models.devices import input_device

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from conceptdepth.models.hooks import Hooks, Keep

SITES = ("mlp_input", "residual")
"""Sites that a configuration may name."""

MLPS = (
    "mlp",
    "feed_forward",  # Llama 4, LFM2, Bamba, Jamba: experts or a plain MLP.
    "block_sparse_moe",  # Granite's mixtures: before `shared_mlp`, which gets the same.
    "shared_mlp",  # Granite's hybrids without experts.
    "ffn",  # MPT, xLSTM.
    "mlp_block",  # RecurrentGemma.
    "fc1",  # OPT, XGLM, BioGPT keep no MLP apart: its first matrix.
)
"""What blocks call their MLP; the first name that a block has counts."""


def decoder_of(causal: "PreTrainedModel", name: str) -> "PreTrainedModel":
    """Return the model without its head that takes tokens and runs the blocks: of a wrapper, its text tower.

    Raises `UserError` for an architecture without one list of blocks, ``name`` being the model's in the registry.
    """
    from transformers import PreTrainedModel

    try:
        embedding = causal.get_input_embeddings()
    except NotImplementedError:
        raise _not_found(causal, name) from None
    modules = dict(causal.named_modules())
    for path in sorted(modules, key=len, reverse=True):  # The innermost that has both.
        module = modules[path]
        if isinstance(module, PreTrainedModel) and _contains(module, embedding) and _lists_of_blocks(module):
            return module
    raise _not_found(causal, name)


def blocks(decoder: "PreTrainedModel", name: str) -> "nn.ModuleList":
    """Return the transformer blocks of a model without its head: the one list of them, as its config counts them.

    Raises `UserError` if there is none, or more than one.
    """
    lists = _lists_of_blocks(decoder)
    if len(lists) != 1:
        raise _not_found(decoder, name)
    return lists[0]


def _lists_of_blocks(model: "PreTrainedModel") -> list["nn.ModuleList"]:
    """Return the lists of as many modules as the model has layers, without those that lie in such a list."""
    from torch import nn

    number = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    found: dict[str, nn.ModuleList] = {}
    for path, module in model.named_modules():
        inside = any(path.startswith(f"{outer}.") for outer in found)
        if isinstance(module, nn.ModuleList) and len(module) == number and not inside:
            found[path] = module
    return list(found.values())


def _contains(module: "nn.Module", wanted: "nn.Module") -> bool:
    return any(part is wanted for part in module.modules())


def _not_found(model: "PreTrainedModel", name: str) -> UserError:
    return not_supported(model, name, "it has no one list of blocks that its tokens run through")


def not_supported(model: "PreTrainedModel", name: str, reason: str) -> UserError:
    """Return the error for an architecture that cannot be read right."""
    kind = model.config.model_type
    return UserError(f"models.{name}: the architecture {kind!r} is not supported, because {reason}.")


def mlp_of(block: "nn.Module") -> str | None:
    """Return the name of a block's MLP, None if it has none."""
    return next((name for name in MLPS if hasattr(block, name)), None)


@dataclass(frozen=True)
class Place:
    """Where in a block a site is read."""

    module: str
    """Path of a module inside the block; "" is the block itself."""
    is_input: bool
    """Whether what goes into the module is read, and not what comes out of it."""

    @property
    def words(self) -> str:
        """Say where that is."""
        return f"input of {self.module}" if self.is_input else f"output of {self.module or 'the block'}"


def site_of(block: "nn.Module", site: str) -> Place:
    """Return where a site is read in a block that has it (`why_no_mlp_input`)."""
    return Place("", is_input=False) if site == "residual" else Place(str(mlp_of(block)), is_input=True)


def listen(hooks: "Hooks", block: "nn.Module", site: str, keep: "Keep") -> None:
    """Call ``keep`` with the states at a site of a block, whenever it runs."""
    at = site_of(block, site)
    (hooks.before if at.is_input else hooks.after)(block.get_submodule(at.module), keep)


def why_no_mlp_input(decoder: "PreTrainedModel", tokens: Sequence[int], name: str) -> str | None:
    """Return why a model has no ``mlp_input``, in a sentence for a person; None if it has one.

    Whether attention comes before the MLP is asked of the model itself: with another first token, what the first
    block's MLP gets at the second one must be another vector, since nothing but attention (or what stands in its
    place) tells a token of those before it. ``tokens`` are a few ids of different words.
    """
    for number, block in enumerate(blocks(decoder, name)):
        if mlp_of(block) is None:
            parts = ", ".join(part for part, _ in block.named_children())
            return (
                f"activations.sites: {name} has no mlp_input, because its block {number} has no MLP beside attention "
                f"(its parts are {parts}); use residual."
            )
    if _is_parallel(decoder, tokens, name):
        return (
            f"activations.sites: {name} has no mlp_input, because its blocks run attention and MLP side by side; "
            "use residual."
        )
    return None


class _Seen(Exception):
    """Ends a pass whose first block has shown what is asked."""


def _is_parallel(decoder: "PreTrainedModel", tokens: Sequence[int], name: str) -> bool:
    import torch

    from conceptdepth.models.hooks import Hooks

    block, seen = blocks(decoder, name)[0], list[torch.Tensor]()

    def keep(states: torch.Tensor) -> None:
        seen.append(states.reshape(-1, states.shape[-1])[-1].cpu())
        raise _Seen

    with Hooks() as hooks, torch.inference_mode():
        listen(hooks, block, "mlp_input", keep)
        for first in tokens:
            with suppress(_Seen):
                decoder(input_ids=torch.tensor([[first, tokens[-1]]], device=input_device(decoder)), use_cache=False)
    return all(torch.equal(seen[0], vector) for vector in seen)
