"""When a model is tested: once a load on a few fixed texts, and in each cell whose prompts go beyond a limit.

The texts are fixed, because the file of a cell has the result and must not depend on which cell came first.
"""

import logging
from collections.abc import Sequence

from conceptdepth.activations.self_test import TEXTS, SelfTest, self_test
from conceptdepth.ground.errors import UserError
from conceptdepth.models.limits import reading_limits
from conceptdepth.models.loaded import LoadedModel
from conceptdepth.models.tokens import check_last_tokens

log = logging.getLogger(__name__)


def self_tested(
    model: LoadedModel, tokens: Sequence[list[int]], *, sites: Sequence[str], batch_tokens: int
) -> SelfTest:
    """Return the self-test of a loaded model for prompts, which are tested too if they pass a limit of the model.

    Raises `UserError` if it fails, or if the model does not have one of the sites.
    """
    result = model.tested(lambda: _test(model, _fixed(model), batch_tokens))
    if "mlp_input" in sites and result.no_mlp_input:
        raise UserError(result.no_mlp_input)
    around = prompts_around(reading_limits(model.body.config.get_text_config()), tokens)
    if around:
        log.info("prompts go beyond a limit of the model's attention; testing %d of them", len(around))
        with model.passes():
            result = result.joined(_test(model, around, batch_tokens))
    return result


def _fixed(model: LoadedModel) -> list[list[int]]:
    """Return the tokens of the texts that every load is tested on."""
    tokens = model.tokens(TEXTS)
    check_last_tokens(model.tokenizer, TEXTS, tokens, model.name)
    return tokens


def _test(model: LoadedModel, tokens: Sequence[list[int]], batch_tokens: int) -> SelfTest:
    return self_test(
        model.causal,
        model.body,
        tokens,
        quantization=model.quantization,
        batch_tokens=batch_tokens,
        name=model.name,
    )


def prompts_around(limits: Sequence[int], tokens: Sequence[list[int]]) -> list[list[int]]:
    """Return for each limit that a prompt passes the longest prompt before it and the shortest beyond it."""
    by_length = sorted(tokens, key=len)
    chosen: list[list[int]] = []
    for limit in limits:
        beyond = [prompt for prompt in by_length if len(prompt) > limit]
        if beyond:
            chosen += [*by_length[: len(by_length) - len(beyond)][-1:], beyond[0]]
    return [list(prompt) for prompt in dict.fromkeys(map(tuple, chosen))]
