"""Score each statement by what the model itself says: the next token after its prompt and a cue."""

import os
import tempfile
from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch
from conceptdepth.activations.answers import answer_tokens, asked, score
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.jsonl import read_jsonl
from conceptdepth.models.loading import device_name, load_model, load_tokenizer, resolve_device, tokens_of_a_pass
from conceptdepth.models.tokens import tokenize
from conceptdepth.models.weights import check_weights, model_folder
from conceptdepth.provenance.job import job, log


def score_answers(
    model: str,
    prompts: str,
    *,
    cell: Mapping[str, str],
    answers: Mapping[str, Any],
    execution: Mapping[str, Any],
    destination: str,
    trust_remote_code: bool = False,
) -> str:
    """Write a row for each prompt of a cell: log-odds of class 1, probability of any answer, whether it comes first.

    Returns what the device calls itself.

    ``model`` is the path of ``model.json``, ``answers`` what
    `conceptdepth.configuration.settings.answer_settings` returns and ``execution`` the config section.
    """
    check_weights(model, ".")
    folder, memory, name = model_folder(model), execution.get("max_memory"), cell["model"]
    tokenizer = load_tokenizer(folder, trust_remote_code=trust_remote_code)
    said = answer_tokens(tokenizer, answers["words"], cue=answers["cue"], dataset=cell["dataset"], model=name)
    rows = read_jsonl(prompts)
    tokens = tokenize(tokenizer, [asked(row["prompt"], answers["cue"]) for row in rows])
    fixed, chosen = answers["fixed_batch_tokens"], execution["batch_tokens"]
    with tempfile.TemporaryDirectory(prefix="conceptdepth-weights-") as disk:
        loaded = load_model(
            folder,
            quantization=cell["quantization"],
            device=resolve_device(execution["device"]),
            max_memory=memory,
            offload_folder=disk if memory else None,
            trust_remote_code=trust_remote_code,
        )
        batch_tokens = fixed or (tokens_of_a_pass(loaded.base_model) if chosen == "auto" else chosen)
        scores = score(loaded, tokens, said, batch_tokens=batch_tokens, fixed=fixed is not None, name=name)
    table = pd.DataFrame([{**cell, "id": row["id"], "label": row["label"]} for row in rows]).assign(**vars(scores))
    with complete_file(destination) as part:
        table.to_csv(part, index=False)
    for word, ids in zip(answers["words"], said):
        log.info("%s is said by %s", word, ", ".join(map(repr, map(tokenizer.decode, ids))))
    return device_name(loaded.device)


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    with job(snakemake) as record:
        torch.set_num_threads(snakemake.threads)
        device = score_answers(
            snakemake.input.model,
            snakemake.input.prompts,
            cell=dict(snakemake.wildcards.items()),
            answers=snakemake.params.answers,
            execution=snakemake.config["execution"],
            destination=snakemake.output.answers,
            **snakemake.params.model,
        )
        record.environment = {"device": device}
