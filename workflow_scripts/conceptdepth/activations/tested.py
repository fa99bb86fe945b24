"""When a model is tested: once a load on a few fixed texts, and in each cell with long prompts on some of these.

The texts are fixed, because the file of a cell has the result and must not depend on which cell came first.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from conceptdepth.activations.layouts import Layout
from conceptdepth.activations.self_test import MEAN, SelfTest, self_test
from conceptdepth.ground.errors import UserError, explained
from conceptdepth.ground.names import LAST
from conceptdepth.models.limits import reading_limits
from conceptdepth.models.loaded import LoadedModel
from conceptdepth.models.sites import IN_STREAM
from conceptdepth.models.tokens import check_last_tokens

log = logging.getLogger(__name__)

TEXTS = (
    "Oslo",
    "Oslo is a city in Norway.",
    "Oslo is a city in Peru.",
    "Oslo is a city in Norway, and Lima is one in Peru.",
    "Is the coin still heads up?",
)
"""What is tested on: short, longer, one inside another, some that share a prefix, one that shares nothing."""


@dataclass(frozen=True)
class Beside:
    """What is tested beside the sites of every test."""

    sites: tuple[str, ...]
    """Of `IN_STREAM`."""
    positions: tuple[str, ...]
    """Of `conceptdepth.activations.self_test.AT`."""

    @classmethod
    def of(cls, sites: Sequence[str], positions: Sequence[str]) -> "Beside":
        """Return what is to be tested for cells that read these sites and positions."""
        more = (MEAN,) if {*positions} - {LAST} else ()
        return cls(tuple(site for site in IN_STREAM if site in sites), (LAST, *more))


LONG = 128
"""Tokens beyond which the longest prompt of a cell is tested, too."""


def self_tested(
    model: LoadedModel,
    tokens: Sequence[list[int]],
    *,
    sites: Sequence[str],
    positions: Sequence[str] = (LAST,),
    batch_tokens: int,
) -> SelfTest:
    """Return the self-test of a loaded model for prompts, of which long ones are tested too.

    Raises `UserError` if it fails, or if the model does not have one of the sites. What nobody asked for cannot fail:
    there is a test a load for each set of the sites of `IN_STREAM`, and for positions beside the last token.
    """
    beside = Beside.of(sites, positions)
    result = model.tested(lambda: _test(model, fixed_prompts(model), batch_tokens, beside), of=beside)
    for site in sites:
        if site in result.absent:
            raise UserError(result.absent[site])
    long = _long_prompts(model, tokens)
    if long:
        log.info("there are long prompts; testing %d of them", len(long))
        with model.passes():
            result = result.joined(_test(model, long, batch_tokens, beside))
    return result


def tested_otherwise(
    model: LoadedModel,
    result: SelfTest,
    tokens: Sequence[list[int]],
    *,
    sites: Sequence[str],
    positions: Sequence[str],
    batch_tokens: int,
    layouts: Sequence[Layout],
) -> SelfTest:
    """Return a self-test with the first exact one of some layouts, other than those that the architecture allows.

    ``result`` is `self_tested` of the same prompts, sites and positions.
    """
    started = time.perf_counter()
    with model.passes():
        prompts, beside = [*fixed_prompts(model), *_long_prompts(model, tokens)], Beside.of(sites, positions)
        found = _test(model, prompts, batch_tokens, beside, layouts)
    log.info("tested %s in %.1f s", found.layout.name, time.perf_counter() - started)
    return replace(result.joined(found), layout=found.layout)


def fixed_prompts(model: LoadedModel) -> list[list[int]]:
    """Return the tokens of `TEXTS`, of which two are as long: with this tokenizer, or because one is cut."""
    tokens = model.tokens(TEXTS)
    check_last_tokens(model.tokenizer, TEXTS, tokens, model.name)
    # Whole prompts share a pass only with others of the same length.
    if len({len(prompt) for prompt in tokens}) == len(tokens):
        shorter, longer = sorted(tokens[-2:], key=len)
        tokens.append(longer[: len(shorter)])
    return tokens


def _test(
    model: LoadedModel,
    tokens: Sequence[list[int]],
    batch_tokens: int,
    beside: Beside,
    layouts: Sequence[Layout] | None = None,
) -> SelfTest:
    with explained(f"models.{model.name}: its self-test cannot be run"):
        return self_test(
            model.causal,
            model.body,
            tokens,
            quantization=model.quantization,
            batch_tokens=batch_tokens,
            layouts=layouts,
            more=beside.sites,
            positions=beside.positions,
            name=model.name,
        )


def _long_prompts(model: LoadedModel, tokens: Sequence[list[int]]) -> list[list[int]]:
    return long_prompts(reading_limits(model.body.config.get_text_config()), tokens)


def long_prompts(limits: Sequence[int], tokens: Sequence[list[int]]) -> list[list[int]]:
    """Return prompts next to each limit that one passes, and the longest if it is long.

    A forgotten window shows most in the longest prompt, and a limit that no rule knows nowhere else.
    """
    by_length = sorted(tokens, key=len)
    chosen: list[list[int]] = []
    for limit in limits:
        beyond = [prompt for prompt in by_length if len(prompt) > limit]
        if beyond:
            chosen += [*by_length[: len(by_length) - len(beyond)][-1:], beyond[0], by_length[-1]]
    if len(by_length[-1]) > LONG:
        chosen.append(by_length[-1])
    return [list(prompt) for prompt in dict.fromkeys(map(tuple, chosen))]
