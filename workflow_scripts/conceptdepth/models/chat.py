"""What a model reads of a chat: a user's message in the model's own template, up to where its answer goes on.

A rendering (an entry of ``perturbations`` with ``chat: true``) may have a system message before it, and an assistant's
message that the model goes on with (``prefill``). Without one the text ends as the template says that an answer begins.
Templates are rendered by transformers' ``apply_chat_template``, in its sandbox; messages are data to it, never code.

A result must not depend on the day: for templates that print it, it is always `DAY`. And where a template lets a model
think before it answers, that is switched off, as the answer is what is read.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from conceptdepth.datasets.prompts import asked
from conceptdepth.ground.errors import UserError
from conceptdepth.models.chat_files import no_chat_template
from conceptdepth.models.tokens import Tokenized, tokenize, tokenized

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)

Chat = Mapping[str, Any]
"""What a rendering sets of ``chat``, ``system`` and ``prefill``; empty where the model reads plain text."""

DAY = datetime(2024, 7, 26, tzinfo=UTC)
"""What templates take for now: the day that those of Llama 3 take where they are not told one."""

SWITCHED_OFF = {"enable_thinking": False, "thinking": False}
"""Variables by which templates are told that a model is not to think: Qwen 3 and many more; DeepSeek and Granite."""

SENTINEL = "theusersmessagestandshere"
"""Stands for a message where it is looked for what a template puts around it."""

CLOCK = "strftime_now"
"""The function that transformers gives to templates."""


@dataclass(frozen=True)
class ReadText:
    """What a model reads of a prompt."""

    text: str
    start: int | None
    """Where in the text the prompt begins: ``text[start + n]`` is character ``n`` of the prompt, if that is kept. None
    if the template changes the prompt, or repeats it."""
    kept: tuple[int, int]
    """Of the prompt's characters, the first that stands in the text and one past the last: all, but for white space
    around the prompt that some templates strip."""


def chat_texts(
    tokenizer: "PreTrainedTokenizerBase", messages: Sequence[str], chat: Chat, *, model: str, rendering: str
) -> list[ReadText]:
    """Return what a model reads of each message of a user.

    Raises `UserError` if the model has no chat template, or if it does not take the rendering, as that of Gemma, which
    knows no system message.
    """
    template = _template(tokenizer, model, rendering)
    continued = "prefill" in chat
    try:
        around, *texts = tokenizer.apply_chat_template(
            [_conversation(message, chat) for message in (SENTINEL, *messages)],
            chat_template=template,
            tokenize=False,
            add_generation_prompt=not continued,
            continue_final_message=continued,
            **SWITCHED_OFF,
        )
    except Exception as error:  # A template raises what it wants.
        log.debug("the chat template of %s", model, exc_info=True)
        first, *_ = str(error).strip().splitlines() or [type(error).__name__]
        raise _not_taken(model, rendering, chat, f"it says: {first.rstrip('.')}") from None
    if chat.get("system", "").strip() not in around:
        raise _not_taken(model, rendering, chat, "it leaves the system message out")
    before, *after = around.split(SENTINEL)
    return [_read(text, message, before, *after) for text, message in zip(texts, messages)]


def read_texts(
    tokenizer: "PreTrainedTokenizerBase", prompts: Sequence[str], chat: Chat, *, model: str, rendering: str
) -> list[ReadText]:
    """Return what a model reads of prompts: of a chat what `chat_texts` says, else the prompts themselves."""
    if not chat:
        return [ReadText(prompt, 0, (0, len(prompt))) for prompt in prompts]
    return chat_texts(tokenizer, prompts, chat, model=model, rendering=rendering)


def read_tokenized(tokenizer: "PreTrainedTokenizerBase", texts: Sequence[ReadText], *, whole: bool) -> list[Tokenized]:
    """Return the tokens of what a model reads, and for which characters of the prompts they stand, if that is known."""
    found = tokenized(tokenizer, [read.text for read in texts], whole=whole)
    return [replace(one, start=read.start, kept=read.kept) for one, read in zip(found, texts)]


def read_tokens(
    tokenizer: "PreTrainedTokenizerBase", prompts: Sequence[str], chat: Chat, *, model: str, rendering: str
) -> list[list[int]]:
    """Return the token ids of what a model reads of prompts."""
    texts = read_texts(tokenizer, prompts, chat, model=model, rendering=rendering)
    return tokenize(tokenizer, [read.text for read in texts], whole=bool(chat))


def with_cue(prompts: Sequence[str], chat: Chat, cue: str) -> tuple[list[str], Chat]:
    """Return prompts and their rendering with the cue for an answer behind them, on a line of its own.

    In a chat it stands at the beginning of the assistant's message, behind the prefill if there is one.
    """
    if not chat:
        return [asked(prompt, cue) for prompt in prompts], chat
    return list(prompts), {**chat, "prefill": "\n".join(filter(None, [chat.get("prefill"), cue]))}


def _conversation(message: str, chat: Chat) -> list[dict[str, str]]:
    roles = {"system": chat.get("system"), "user": message, "assistant": chat.get("prefill")}
    return [{"role": role, "content": content} for role, content in roles.items() if content is not None]


def _read(text: str, message: str, before: str, *after: str) -> ReadText:
    """Return where a message stands in a text that has it between what a template puts around the sentinel."""
    unknown = ReadText(text, None, (0, 0))
    if len(after) != 1 or not (text.startswith(before) and text.endswith(after[0])):
        return unknown
    between = text[len(before) : len(text) - len(after[0])]
    if between.strip() != message.strip():
        return unknown
    start = len(before) + _indented(between) - _indented(message)
    first = max(0, _indented(message) - _indented(between))
    past = len(message) - max(0, _indented(message[::-1]) - _indented(between[::-1]))
    return ReadText(text, start, (first, past))


def _indented(text: str) -> int:
    return len(text) - len(text.lstrip())


def _not_taken(model: str, rendering: str, chat: Chat, reason: str) -> UserError:
    extra = [f"`{key}`" for key in ("system", "prefill") if key in chat]
    instead = f"leave out its {' and '.join(extra)}, or " if extra else ""
    return UserError(
        f"models.{model}: its chat template does not take perturbations.{rendering}, because {reason}; "
        f"{instead}leave {rendering} out of run.perturbations."
    )


def _template(tokenizer: "PreTrainedTokenizerBase", model: str, rendering: str) -> str:
    """Return a tokenizer's own template, in which the day is `DAY`.

    transformers passes plain data alone to templates, so that another clock cannot be given as a variable. A macro of
    the same name before the template comes in its place; the line end behind it is no part of the text.
    """
    try:
        template: str = tokenizer.get_chat_template()
    except ValueError:  # None, or several without a default.
        raise UserError(no_chat_template(model, rendering)) from None
    return _stopped_clock() + template if CLOCK in template else template


DIRECTIVES = ("%-d", "%-m", "%-H", "%-I", "%-M", "%-S", *(f"%{letter}" for letter in "aAbBcdDeFHIjmMpSTuUwWxXyYzZ"))
"""What formats of `datetime.strftime` may have in them, longer ones first."""


def _stopped_clock() -> str:
    """Return a macro of jinja that does at `DAY` what ``strftime_now`` does."""
    filled = "".join(f" | replace('{part}', '{DAY.strftime(part)}')" for part in DIRECTIVES)
    return f"{{%- macro {CLOCK}(format) -%}}{{{{ format{filled} }}}}{{%- endmacro %}}\n"
