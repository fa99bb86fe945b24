"""What a transformer block adds to its residual stream, and where: found by identity, not by name.

A block of most architectures gets a stream, adds what attention (or a state space, a convolution) gives out, hands the
sum to the MLP, and adds what that gives out:

    residual_mid = input of the block + attention_output
    residual     = residual_mid + mlp_output

Modules of the same name mean different things in different architectures, and what is added may be the output of a
norm behind attention, of a dropout, or of a module deep inside another. So the sums are looked for: among the states
that the modules of a block get and give in a short pass, those for which they hold. A sum that holds to the last bit,
in the model's own arithmetic, counts before one that holds within rounding, and a module near the block before one deep
inside: where the stream is long, rounding alone would not tell what is added from what a norm made of it.

Some architectures multiply before they add (Granite, MiniCPM 3, Beam), add the outputs of two modules in one go (the
experts and the shared MLP of Granite's hybrids, attention and the state space of Falcon-H1), or add a third thing
behind the MLP (Gemma 4). What is found says so (`conceptdepth.models.sites.Place`). Whatever is not found is not there:
a block that normalises the stream itself, or weighs it by a vector, has none of it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import torch

from conceptdepth.models.sites import Place

ROUNDINGS = 4
"""Units of rounding, of the terms of a sum, that a sum may be off in an arithmetic that is not the model's own."""

TELLING = 0.5
"""Largest error, relative to the length of what is added: a larger one would not tell one module from another."""

WEIGHTS = (0.05, 20.0)
"""Smallest and largest weight of the stream in a sum."""


@dataclass(frozen=True)
class Seen:
    """A state that a module of a block got or gave, in the order of a pass."""

    module: str
    """Path of the module inside the block."""
    is_input: bool
    states: torch.Tensor
    """Shape (n_tokens, d_model)."""

    @property
    def depth(self) -> int:
        """How many modules of the block the module lies in."""
        return self.module.count(".")


@dataclass(frozen=True)
class Sum:
    """A state that is the sum of another and of what one or two modules give out, as far as rounding goes."""

    stream: Seen
    added: tuple[Seen, ...]
    of_stream: float = 1.0
    share: float = 1.0
    """Weights of both."""
    error: float = 0.0
    """Length of the error relative to that of what is added."""

    @property
    def place(self) -> Place:
        """Where what is added is read."""
        first, *others = [one.module for one in self.added]
        return Place(first, is_input=False, beside=tuple(others), share=self.share, of_stream=self.of_stream)


def found_in(
    seen: Sequence[Seen], start: torch.Tensor, end: torch.Tensor, mlp: str, factors: Sequence[float]
) -> dict[str, Place]:
    """Return the places of those of ``attention_output``, ``residual_mid`` and ``mlp_output`` that a block has.

    ``seen`` are the states of its modules in the order of a pass, ``start`` and ``end`` what the block gets and gives,
    shape (n_tokens, d_model), ``mlp`` the path of its MLP, ``factors`` the numbers that may be multiplied by.
    """
    begins = next((index for index, one in enumerate(seen) if _inside(one, mlp)), len(seen))
    begins += bool(seen[begins:]) and seen[begins].is_input  # What the MLP gets may be the stream.
    before, after = seen[:begins], seen[begins:]
    streams = [one for one in _distinct(before) if not _same(one.states, start)]
    last, then = _exactly(end, streams, _outputs(after), factors), ""
    if last is None:
        at_once = _side_by_side(seen, start, end, mlp)
        if at_once:
            return at_once
        last, then = _last_sum(end, streams, after, factors)
    if last is None:
        return {}
    middle = last.stream
    places = {"residual_mid": Place(middle.module, middle.is_input), "mlp_output": replace(last.place, then=then)}
    first = _sum(middle.states, [Seen("", True, start)], _outputs(before), factors)
    return {"attention_output": first.place, **places} if first else places


def _last_sum(
    end: torch.Tensor, streams: Sequence[Seen], after: Sequence[Seen], factors: Sequence[float]
) -> tuple[Sum | None, str]:
    """Return the sum that the MLP's output is added in, and the module that gets it if something else is added then."""
    outputs = _outputs(after)
    direct = _sum(end, streams, outputs, factors)
    if direct:
        return direct, ""
    states = [one for one in _distinct(after) if not _same(one.states, end)]
    more = _sum(end, states, outputs, factors)  # Something else is added behind the MLP.
    if more is None:
        return None, ""
    until = next(index for index, one in enumerate(after) if one is more.stream)
    inner = _sum(more.stream.states, streams, _outputs(after[:until]), factors)
    return inner, more.stream.module


def _side_by_side(seen: Sequence[Seen], start: torch.Tensor, end: torch.Tensor, mlp: str) -> dict[str, Place]:
    """Return the places of the outputs of a block that adds attention and MLP to its own input, both at once."""
    outputs = _outputs(seen)
    inside = [one for one in outputs if _inside(one, mlp)]
    outside = [one for one in outputs if not _inside(one, mlp)]
    for attention, fed in product(outside, inside):
        a, b = attention.states, fed.states
        if any(_same(total, end) for total in ((start + a) + b, (start + b) + a, (a + b) + start)):
            return {"attention_output": Place(attention.module, False), "mlp_output": Place(fed.module, False)}
    return {}


def _inside(one: Seen, module: str) -> bool:
    """Tell whether a state is of a module or of one inside it."""
    return f"{one.module}.".startswith(f"{module}.")


def _outputs(seen: Iterable[Seen]) -> list[Seen]:
    return _distinct(one for one in seen if not one.is_input)


def _distinct(seen: Iterable[Seen]) -> list[Seen]:
    """Return the states in the order of preference, without those that are another one: of a dropout, for example."""
    kept: list[Seen] = []
    for one in sorted(seen, key=lambda one: one.depth):
        if not any(_same(one.states, other.states) for other in kept):
            kept.append(one)
    return kept


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Tell whether states are equal to the last bit; those of two dtypes, in the wider one."""
    return torch.equal(*(states.to(torch.promote_types(one.dtype, other.dtype)) for states in (one, other)))


def _sum(
    target: torch.Tensor, streams: Sequence[Seen], outputs: Sequence[Seen], factors: Sequence[float]
) -> Sum | None:
    """Return a sum that is the target to the last bit, else one of a stream and an output that is within rounding."""
    exact = _exactly(target, streams, outputs, factors)
    if exact:
        return exact
    others = [one for one in outputs if not _same(one.states, target)]
    near = [_fit(target, stream, output) for stream, output in product(streams, others)]
    return min(filter(None, near), key=lambda found: found.error, default=None)


def _exactly(
    target: torch.Tensor, streams: Sequence[Seen], outputs: Sequence[Seen], factors: Sequence[float]
) -> Sum | None:
    """Return a sum that is the target to the last bit: of a stream and an output, else of a stream and two."""
    for number in (1, 2):
        found = next(_exact(target, streams, list(combinations(outputs, number)), factors), None)
        if found:
            return found
    return None


def _exact(
    target: torch.Tensor, streams: Sequence[Seen], added: Sequence[tuple[Seen, ...]], factors: Sequence[float]
) -> Iterator[Sum]:
    for parts, factor in product(added, (1.0, *factors)):
        total = parts[0].states if len(parts) == 1 else parts[0].states + parts[1].states
        total = total if factor == 1 else total * factor
        for stream in streams:
            if total.any() and _same(stream.states + total, target):
                yield Sum(stream, parts, share=factor)


def _fit(target: torch.Tensor, stream: Seen, output: Seen) -> Sum | None:
    """Return the sum of a stream and an output, each with its weight, that is the target within rounding."""
    rounding = max(torch.finfo(one.dtype).eps for one in (target, stream.states, output.states))
    t, s, x = (states.double().flatten() for states in (target, stream.states, output.states))
    basis = torch.stack([s, x])
    solved = torch.linalg.lstsq(basis @ basis.T, basis @ t[:, None], driver="gelsd").solution[:, 0]
    for weights in (torch.ones(2, dtype=torch.double), solved):
        terms = torch.stack([s * weights[0], x * weights[1]])
        error, added = (t - terms.sum(dim=0)).abs(), float(terms[1].norm())
        off = float(error.norm()) / added if added else float("inf")
        within = bool((error <= ROUNDINGS * rounding * terms.abs().sum(dim=0)).all())
        if within and off <= TELLING and WEIGHTS[0] <= weights[0] <= WEIGHTS[1]:
            of_stream, share = (float(f"{weight:.5g}") for weight in weights)
            return Sum(stream, (output,), of_stream, share, off)
    return None
