"""Find the statements of which a prompt is too long for a model of the run."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conceptdepth.datasets.prompts import presented, render
from conceptdepth.datasets.rows import read_statements
from conceptdepth.datasets.too_long import Row, TooLong, check_classes, described, write_too_long
from conceptdepth.ground.errors import explained
from conceptdepth.models.chat import Chat, read_tokens, with_cue
from conceptdepth.models.limits import most_tokens
from conceptdepth.models.loading import load_tokenizer
from conceptdepth.models.weights import model_folder
from conceptdepth.provenance.job import job, log

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Reader:
    """What decides whether a model can take a prompt."""

    name: str
    tokenizer: "PreTrainedTokenizerBase"
    allowed: int
    """Most tokens."""


def find_long_statements(
    dataset: str,
    *,
    statements: str,
    template: Mapping[str, str],
    instruction: str,
    perturbations: Mapping[str, Mapping[str, Any]],
    cue: str,
    readers: Sequence[Reader],
    destination: str,
) -> None:
    """Write a row for each prompt of a dataset that is too long for a model.

    A prompt counts with the cue for answers after it, so that the model can also be asked about each statement that is
    kept. Raises `UserError` if a class would be empty.
    """
    rows = read_statements(statements)
    found = []
    for perturbation, options in perturbations.items():
        used = presented(template, instruction, options.get("template", {}))
        prompts = [render(row, used, options)["prompt"] for row in rows]
        chat = {key: options[key] for key in ("chat", "system", "prefill") if key in options}
        for reader in readers:
            found.extend(too_long(rows, prompts, reader, perturbation=perturbation, chat=chat, cue=cue))
    place = {row["id"]: number for number, row in enumerate(rows)}
    found.sort(key=lambda prompt: place[prompt.id])
    check_classes(dataset, rows, found)
    write_too_long(destination, found)
    log.info("%s", described(rows, found))


def too_long(
    statements: Sequence[Row], prompts: Sequence[str], reader: Reader, *, perturbation: str, chat: Chat, cue: str
) -> Iterator[TooLong]:
    """Yield the prompts of statements that a model cannot take."""
    plain, with_questions = (
        read_tokens(reader.tokenizer, texts, how, model=reader.name, rendering=perturbation)
        for texts, how in ((prompts, chat), with_cue(prompts, chat, cue))
    )
    for statement, *tokens in zip(statements, plain, with_questions):
        longest = max(map(len, tokens))
        if longest > reader.allowed:
            yield TooLong(statement["id"], reader.name, perturbation, longest, reader.allowed)


def readers_of(models: Sequence[str], settings: Mapping[str, Mapping[str, Any]]) -> Iterator[Reader]:
    """Yield the models that have a limit. ``settings`` has keys of the registry's entries, by name of the model."""
    from transformers import AutoConfig

    for path in models:
        name, folder = Path(path).parent.name, model_folder(path)
        own_code = settings[name].get("trust_remote_code", False)
        with explained(f"models.{name}: its configuration or tokenizer cannot be opened"):
            config = AutoConfig.from_pretrained(folder, trust_remote_code=own_code, local_files_only=True)
            rules = settings[name].get("tokenizer", "class")
            tokenizer = load_tokenizer(folder, rules=rules, trust_remote_code=own_code)
        allowed = most_tokens(config.get_text_config())
        if allowed is not None:
            yield Reader(name, tokenizer, allowed)


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    logging.getLogger("transformers").setLevel(logging.ERROR)  # It warns of prompts that are too long.
    with job(snakemake):
        find_long_statements(
            snakemake.wildcards.dataset,
            statements=snakemake.input.statements,
            template=snakemake.params.dataset["template"],
            instruction=snakemake.params.prompts["instruction"],
            perturbations=snakemake.params.perturbations,
            cue=snakemake.params.answers["cue"],
            readers=list(readers_of(snakemake.input.models, snakemake.params.models)),
            destination=snakemake.output.too_long,
        )
