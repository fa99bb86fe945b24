"""From statements to prompts: templates and perturbations.

A template has one of the three layouts of the reference code (Jin et al., arXiv 2404.07066), here with
``prompt`` and ``cue`` from the registry:

=============  ==============================
prompt_first   prompt + " " + text
text_first     text + " " + prompt
text_between   prompt + text + " " + cue
=============  ==============================

An entry of the section ``perturbations`` is a way to present the same statements, a rendering: it puts something before
each text, puts another wording or layout in the place of a dataset's own, or both. What a chat template adds comes
later, where the tokenizer is (`conceptdepth.models.chat`).
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

INSTRUCTIONS = ("declared", "released_code")
"""Which prompt a template gets, see `instructed`."""

RELEASED_CODE = "According to the sentence, judge the emotion is Positive or Negative."
"""What ``main.py`` of the released code puts in the place of every dataset's prompt."""


def instructed(template: Mapping[str, str], instruction: str) -> Mapping[str, str]:
    """Return a template with the prompt that is really used.

    ``declared`` is its own. ``released_code`` is the same for all datasets, whatever they ask; layout and cue stay.
    """
    return template if instruction == "declared" else {**template, "prompt": RELEASED_CODE}


def overrides(perturbation: Mapping[str, Any], dataset: str) -> dict[str, str]:
    """Return what a rendering puts in the place of a dataset's own template: its words for all, then for this one."""
    return {**perturbation.get("template", {}), **perturbation.get("templates", {}).get(dataset, {})}


def presented(template: Mapping[str, str], instruction: str, own: Mapping[str, str]) -> dict[str, str]:
    """Return the template of a dataset under a rendering, whose ``own`` words (`overrides`) come last."""
    return {**instructed(template, instruction), **own}


def render(
    statement: Mapping[str, Any], template: Mapping[str, str], perturbation: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the prompt row of a statement: ``id``, ``prompt``, ``label``, ``group``, ``text_at``, perhaps ``span_at``.

    ``text_at`` says where in the prompt the statement's text stands, without what a perturbation puts before it, and
    ``span_at`` where its span does, if it has one: the first character and one past the last, counted as in a `str`.
    """
    before, after = around(**template)
    before += perturb(
        "", statement["id"], **{key: perturbation[key] for key in ("prepend", "seed") if key in perturbation}
    )
    text, start = statement["text"], len(before)
    row = {
        "id": statement["id"],
        "prompt": before + text + after,
        "label": statement["label"],
        "group": statement["group"],
        "text_at": [start, start + len(text)],
    }
    if "span" in statement:
        start += text.index(statement["span"])
        row["span_at"] = [start, start + len(statement["span"])]
    return row


def around(*, layout: str, prompt: str, cue: str = "") -> tuple[str, str]:
    """Return what stands before and after the text in a template."""
    match layout:
        case "prompt_first":
            return f"{prompt} ", ""
        case "text_first":
            return "", f" {prompt}"
        case "text_between":
            return prompt, f" {cue}"
    raise ValueError(layout)


def perturb(text: str, identity: str, *, prepend: Sequence[str] = (), seed: int = 0) -> str:
    """Put one of some strings before a text, without a space, as the reference's noise does.

    The draw depends on ``seed`` and the statement's id alone, so it survives caps, filters and new rows.
    """
    if not prepend:
        return text
    return random.Random(f"{seed}:{identity}").choice(prepend) + text


def asked(prompt: str, cue: str) -> str:
    """Return a prompt with the cue for an answer on a line of its own."""
    return f"{prompt}\n{cue}"
