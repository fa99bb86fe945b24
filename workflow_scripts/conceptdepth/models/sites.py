"""Where in a transformer block activations are read: sites named by meaning, found by structure.

``mlp_input``
    What the MLP of a block gets, after this block's attention: in most architectures a normalised state (the output
    of ``post_attention_layernorm`` in Llama, Qwen and Gemma 1, as the reference code reads it; of
    ``pre_feedforward_layernorm`` in Gemma 2 and 3), in OLMo 2 and its kin the residual stream itself.
``residual``
    The output of the block, before any final normalisation.
``attention_output``
    What is added to the residual stream before the MLP: the output of attention, or of a state space or convolution in
    its place, behind its own norm where it has one (``post_attention_layernorm`` of Gemma 2 and OLMo 2).
``residual_mid``
    The residual stream between attention and MLP: the input of the block plus ``attention_output``. Blocks that run
    both side by side have none.
``mlp_output``
    What is added to the residual stream behind attention: the output of the MLP, behind its own norm where it has one.
    ``residual_mid`` plus ``mlp_output`` is ``residual``.

Where a model multiplies what it adds (Granite), the output is read as it is before that, and `Place.words` has the
factor. These three are found by what they add up to (`conceptdepth.models.stream`).

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
    import torch
    from torch import nn
    from transformers import PreTrainedModel

    from conceptdepth.models.hooks import Hooks, Keep

SITES = ("mlp_input", "residual", "residual_mid", "attention_output", "mlp_output")
"""Sites that a configuration may name."""

IN_STREAM = ("residual_mid", "attention_output", "mlp_output")
"""Those that are found by what they add up to (`conceptdepth.models.places`)."""

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
    beside: tuple[str, ...] = ()
    """Other modules, whose outputs are added to that of the first."""
    share: float = 1.0
    """What it is multiplied by before it is added to the residual stream."""
    of_stream: float = 1.0
    """What the stream is multiplied by before it is added to that."""
    then: str = ""
    """Path of the module that gets the sum, if something else is added before the block ends."""

    def words(self, block: str = "") -> str:
        """Say where that is, in a block of that path."""
        modules = [f"{block}.{module}".strip(".") or "the block" for module in (self.module, *self.beside)]
        said = f"{'input' if self.is_input else 'output'} of {' plus '.join(modules)}"
        if (self.share, self.of_stream) != (1, 1):
            said += f", of which {self.share:g} is added"
            said += f" to {self.of_stream:g} of the stream" if self.of_stream != 1 else ""
        return said + (f", before what {self.then} begins is added" if self.then else "")


def listen(hooks: "Hooks", block: "nn.Module", at: Place, keep: "Keep") -> None:
    """Call ``keep`` with the states at a place of a block, whenever it runs."""
    if at.is_input:
        hooks.before(block.get_submodule(at.module), keep)
    elif not at.beside:
        hooks.after(block.get_submodule(at.module), keep)
    else:
        together = _Together([at.module, *at.beside], keep)
        for module in together.modules:
            hooks.after(block.get_submodule(module), together.keeper(module))


class _Together:
    """The sum of what several modules give out, once all have."""

    def __init__(self, modules: Sequence[str], keep: "Keep") -> None:
        self.modules, self._keep = modules, keep
        self._given: dict[str, torch.Tensor] = {}

    def keeper(self, module: str) -> "Keep":
        def keep(states: "torch.Tensor") -> None:
            self._given[module] = states.clone()  # The model may write into it.
            if len(self._given) == len(self.modules):
                first, *others = [self._given[path] for path in self.modules]
                self._given = {}
                self._keep(sum((one.reshape(first.shape) for one in others), start=first))

        return keep


def no_site(name: str, site: str, reason: str) -> str:
    """Return why a model does not have a site, in a sentence for a person."""
    return f"activations.sites: {name} has no {site}, because {reason}; use residual."


def why_no_mlp(decoder: "PreTrainedModel", site: str, name: str) -> str | None:
    """Return why a model does not have a site beside an MLP, None if all its blocks have one."""
    for number, block in enumerate(blocks(decoder, name)):
        if mlp_of(block) is None:
            parts = ", ".join(part for part, _ in block.named_children())
            return no_site(name, site, f"its block {number} has no MLP beside attention (its parts are {parts})")
    return None


def why_no_mlp_input(decoder: "PreTrainedModel", tokens: Sequence[int], name: str) -> str | None:
    """Return why a model has no ``mlp_input``, in a sentence for a person; None if it has one.

    ``tokens`` are a few ids of different words.
    """
    without = why_no_mlp(decoder, "mlp_input", name)
    if without is None and is_parallel(decoder, tokens, name):
        return no_site(name, "mlp_input", "its blocks run attention and MLP side by side")
    return without


class _Seen(Exception):
    """Ends a pass whose first block has shown what is asked."""


def is_parallel(decoder: "PreTrainedModel", tokens: Sequence[int], name: str) -> bool:
    """Tell whether the blocks of a model, which have MLPs, run attention and MLP side by side.

    Whether attention comes before the MLP is asked of the model itself: with another first token, what the first
    block's MLP gets at the second one must be another vector, since nothing but attention (or what stands in its
    place) tells a token of those before it. ``tokens`` are a few ids of different words.
    """
    import torch

    from conceptdepth.models.hooks import Hooks

    block, seen = blocks(decoder, name)[0], list[torch.Tensor]()

    def keep(states: torch.Tensor) -> None:
        seen.append(states.reshape(-1, states.shape[-1])[-1].cpu())
        raise _Seen

    with Hooks() as hooks, torch.inference_mode():
        hooks.before(block.get_submodule(str(mlp_of(block))), keep)
        for first in tokens:
            with suppress(_Seen):
                decoder(input_ids=torch.tensor([[first, tokens[-1]]], device=input_device(decoder)), use_cache=False)
    return all(torch.equal(seen[0], vector) for vector in seen)
