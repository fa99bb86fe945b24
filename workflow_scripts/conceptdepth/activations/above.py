"""What a model makes of a prompt whose vectors were changed at one layer, from some token on.

Nothing below that layer changes, and nothing before that token. So prompts go through the model once, unchanged, and
what may be needed of them is kept: keys and values of every block, and outputs of the layers that are changed. Then a
change costs the blocks above its layer, of its own tokens alone: each is a branch that attends to the kept beginning of
its prompt (`Tails`). Models whose attention cannot be told that run whole prompts (`Wholes`), as with a forward hook.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from conceptdepth.activations.attention import Kept
from conceptdepth.activations.collector import one_a_token
from conceptdepth.activations.forward import forward
from conceptdepth.activations.layouts import EqualLengths, Layout, Trees
from conceptdepth.activations.trees import Pass, Tree, flat_passes
from conceptdepth.models.hooks import Hooks, Keep
from conceptdepth.models.parts import Given, giving, like_output_of, path_to, with_part
from conceptdepth.models.sites import blocks

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Trunk:
    """Prompts that went through the model unchanged."""

    tokens: Sequence[list[int]]
    """Of each prompt, n_prompts of them."""
    prompts: Indices
    """Their numbers among all prompts, shape (n_prompts,)."""
    paths: Sequence[Indices]
    """Places of each prompt's tokens in what follows."""
    outputs: Mapping[int, torch.Tensor]
    """By layer, outputs of blocks, each (n_tokens, d_model)."""
    last: torch.Tensor
    """What the head gets at each prompt's last token, (n_prompts, d_model)."""
    kept: Mapping[int, Kept]
    """By layer, keys and values of all tokens, of the blocks above it."""

    @property
    def size(self) -> int:
        """Tokens that went through the model."""
        return len(next(iter(self.outputs.values())))

    def rows(self, branches: Sequence["Branch"]) -> Indices:
        """Return the places of the tokens of branches, one branch after another."""
        return np.concatenate([self.paths[branch.prompt][branch.first :] for branch in branches])


@dataclass(frozen=True)
class Branch:
    """The end of a prompt of a trunk, from some token on."""

    prompt: int
    """Number of the prompt in the trunk."""
    first: int
    """Number of its first token in the prompt."""


class Above(ABC):
    """A way to run what is above a layer."""

    def __init__(self, body: "PreTrainedModel", layers: Sequence[int], name: str) -> None:
        """Prepare changes of the outputs of ``layers`` of a model without its head; ``name`` is the model's."""
        self.body, self.layers, self.name = body, list(layers), name
        self.blocks = blocks(body, name)

    def most(self, capacity: int) -> int:
        """Return the most tokens of a pass, of as many as memory allows."""
        return capacity

    def trunks(self, tokens: Sequence[list[int]], capacity: int) -> Iterator[Trunk]:
        """Run prompts unchanged, in passes of at most so many tokens, or of one prompt."""
        for batch in self._passes(tokens, self.most(capacity)):
            yield self._trunk([tokens[index] for index in batch.prompts], batch)

    def _trunk(self, tokens: Sequence[list[int]], batch: Pass) -> Trunk:
        rows, width = batch.tokens.shape
        kept, outputs, below = Kept(), dict[int, torch.Tensor](), dict[int, int]()

        def keeper(layer: int) -> Keep:
            def keep(states: torch.Tensor) -> None:
                outputs[layer] = one_a_token(states, rows, width, self.body, self.name).clone()
                below[layer] = len(kept)  # Some blocks compute attention twice.

            return keep

        with torch.inference_mode(), Hooks() as hooks:
            for layer in self.layers:
                hooks.after(self.blocks[layer], keeper(layer))
            states = forward(self.body, batch, None if batch.tree is None else kept).last_hidden_state
        last = states.reshape(-1, states.shape[-1])[torch.from_numpy(batch.last).to(states.device)]
        above = {layer: Kept(kept[below[layer] :]) for layer in self.layers}
        return Trunk(tokens, batch.prompts, batch.paths, outputs, last, above)

    @abstractmethod
    def size(self, trunk: Trunk, branch: Branch) -> int:
        """Return how many tokens a branch takes of a pass."""

    @abstractmethod
    def ends(self, trunk: Trunk, layer: int, branches: Sequence[Branch], states: torch.Tensor) -> torch.Tensor:
        """Return what the head would get at the last token of each branch, (n_branches, d_model).

        ``states`` are the outputs of a layer at the tokens of the branches, one branch after another, (n_tokens,
        d_model), which take the place of what the model has there.
        """

    @abstractmethod
    def _passes(self, tokens: Sequence[list[int]], capacity: int) -> Iterator[Pass]: ...


class Tails(Above):
    """Blocks above the layer alone, on top of keys and values that are kept."""

    def __init__(self, body: "PreTrainedModel", layers: Sequence[int], name: str, most: int | None = None) -> None:
        """See `Above`; ``most`` are the tokens of a pass beyond which places in it count (`Trees`)."""
        super().__init__(body, layers, name)
        self._most = most
        self._given, self._models = dict[int, Given](), dict[int, nn.Module]()
        for layer in layers:
            given = self._given[layer] = Given(like_output_of(self.blocks[layer], body))
            below = [giving(block, given) for block in self.blocks[: layer + 1]]
            listed = nn.ModuleList([*below, *self.blocks[layer + 1 :]])
            self._models[layer] = with_part(body, path_to(body, self.blocks), listed)

    def most(self, capacity: int) -> int:
        """See `Above`."""
        return min(capacity, self._most or capacity)

    def _passes(self, tokens: Sequence[list[int]], capacity: int) -> Iterator[Pass]:
        for batch in flat_passes(tokens, capacity=capacity, keeping=False):
            assert batch.tree is not None
            yield replace(batch, tree=replace(batch.tree, keep=np.arange(batch.tokens.size)))

    def size(self, trunk: Trunk, branch: Branch) -> int:
        """See `Above`."""
        return len(trunk.tokens[branch.prompt]) - branch.first

    def ends(self, trunk: Trunk, layer: int, branches: Sequence[Branch], states: torch.Tensor) -> torch.Tensor:
        """See `Above`."""
        self._given[layer].states, batch = states[None], _of_branches(trunk, branches)
        with torch.inference_mode():
            found = forward(self._models[layer], batch, Kept(trunk.kept[layer]))
        out = found.last_hidden_state
        return out.reshape(-1, out.shape[-1])[torch.from_numpy(batch.last).to(out.device)]


def _of_branches(trunk: Trunk, branches: Sequence[Branch]) -> Pass:
    """Return a pass of branches on top of a trunk."""
    n_kept, tokens, paths = trunk.size, list[int](), list[Indices]()
    for branch in branches:
        own = trunk.tokens[branch.prompt][branch.first :]
        new = np.arange(len(own)) + n_kept + len(tokens)
        paths.append(np.concatenate([trunk.paths[branch.prompt][: branch.first], new]))
        tokens += own
    lengths = np.array([len(path) for path in paths])
    starts = np.array([branch.first for branch in branches])
    tree = Tree(starts, lengths, np.concatenate(paths), n_kept, np.empty(0, dtype=np.int64))
    return Pass(np.array([tokens]), np.arange(len(branches)), np.cumsum(lengths - starts) - 1, tree)


class Wholes(Above):
    """Whole prompts, in which a layer gives out other states."""

    def _passes(self, tokens: Sequence[list[int]], capacity: int) -> Iterator[Pass]:
        return EqualLengths().passes(tokens, capacity)

    def size(self, trunk: Trunk, branch: Branch) -> int:
        """See `Above`."""
        return len(trunk.tokens[branch.prompt])

    def ends(self, trunk: Trunk, layer: int, branches: Sequence[Branch], states: torch.Tensor) -> torch.Tensor:
        """See `Above`."""
        offsets = np.cumsum([0, *(len(trunk.tokens[each.prompt]) - each.first for each in branches)])
        lengths = np.array([len(trunk.tokens[branch.prompt]) for branch in branches])
        alike = [np.flatnonzero(lengths == length).tolist() for length in np.unique(lengths)]
        parts = []
        for which in alike:
            own = np.concatenate([np.arange(offsets[index], offsets[index + 1]) for index in which])
            parts.append(self._of_one_length(trunk, layer, [branches[index] for index in which], states[own]))
        return torch.cat(parts)[np.argsort(np.concatenate(alike))]

    def _of_one_length(
        self, trunk: Trunk, layer: int, branches: Sequence[Branch], states: torch.Tensor
    ) -> torch.Tensor:
        tokens = np.array([trunk.tokens[branch.prompt] for branch in branches])
        number, length = tokens.shape
        rows = [place * length + np.arange(branch.first, length) for place, branch in enumerate(branches)]
        changed = torch.from_numpy(np.concatenate(rows))

        def put(given: torch.Tensor) -> torch.Tensor:
            others = given.clone()
            others.view(-1, given.shape[-1])[changed.to(given.device)] = states.to(given.device, given.dtype)
            return others

        last = np.arange(1, number + 1) * length - 1
        with torch.inference_mode(), Hooks() as hooks:
            hooks.change(self.blocks[layer], put)
            out = forward(self.body, Pass(tokens, np.arange(number), last), None).last_hidden_state
        return out.reshape(-1, out.shape[-1])[torch.from_numpy(last).to(out.device)]


def ways_above(layout: Layout, body: "PreTrainedModel", layers: Sequence[int], name: str) -> list[Above]:
    """Return the ways to run a model above layers, the fastest first, that the layout of its passes allows."""
    whole = Wholes(body, layers, name)
    return [Tails(body, layers, name, layout.most), whole] if isinstance(layout, Trees) else [whole]
