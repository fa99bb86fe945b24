"""Check a dataset for labels that can be told without knowing the concept."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from conceptdepth.datasets.audit import audit_data, problems
from conceptdepth.datasets.checks import Data
from conceptdepth.datasets.rows import read_prompts, read_statements
from conceptdepth.datasets.statements import Statement, load_statements
from conceptdepth.datasets.too_long import parted, read_too_long
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import complete_file
from conceptdepth.probes.baselines import held_out_accuracy
from conceptdepth.probes.splits import SplitSettings, splits_of
from conceptdepth.provenance.job import job, log
from threadpoolctl import threadpool_limits


def audit_dataset(
    dataset: str,
    *,
    statements: str,
    prompts: Sequence[str],
    entry: Mapping[str, Any],
    source: str | None,
    answers: Sequence[str],
    split: SplitSettings,
    settings: Mapping[str, Any],
    too_long: str | None = None,
    destination: str,
) -> None:
    """Write a row for each check.

    Raises `UserError` if a part or fold lacks a class, and for a warning if the policy is to stop.

    ``prompts`` are the files of all perturbations. ``too_long`` is the table of prompts whose statements are left out,
    None if such prompts are refused.
    """
    every = load_statements(dataset, {**entry, "max_per_class": None}, source)
    kept, dropped = parted(read_statements(statements), read_too_long(too_long) if too_long is not None else ())
    try:
        data = data_of(
            kept,
            every,
            prompts=[read_prompts(path) for path in prompts],
            dropped=None if too_long is None else dropped,
            answers=answers,
            split=split,
        )
    except UserError as error:
        raise UserError(f"datasets.{dataset}: {error}") from None
    findings = list(audit_data(data, settings["limits"]))
    for finding in findings:
        (log.warning if finding.verdict == "warning" else log.info)("%s: %s", finding.check, finding.finding)
    if settings["policy"] == "stop" and any(finding.verdict == "warning" for finding in findings):
        raise problems(dataset, findings)
    table = pd.DataFrame([{"dataset": dataset, **asdict(finding)} for finding in findings])
    with complete_file(destination) as part:
        table.to_csv(part, index=False, na_rep="NaN")


def data_of(
    kept: Sequence[Statement],
    every: Sequence[Statement],
    *,
    prompts: Sequence[Sequence[Mapping[str, Any]]],
    dropped: Sequence[Statement] | None = None,
    answers: Sequence[str],
    split: SplitSettings,
) -> Data:
    """Return a dataset as it is probed, from its statements and those that there would be without a cap.

    ``prompts`` are the rows of the same statements under each perturbation; ``dropped`` is that of `Data`.
    """
    texts, groups = (np.array([statement[key] for statement in kept], dtype=object) for key in ("text", "group"))
    labels = np.array([statement["label"] for statement in kept], dtype=np.int8)
    splits = list(splits_of(labels, groups, split))
    ids = {statement["id"] for statement in (*kept, *(dropped or ()))}
    return Data(
        texts=texts,
        prompts=[np.array([row["prompt"] for row in rows], dtype=object) for rows in prompts],
        labels=labels,
        groups=groups,
        splits=splits,
        accuracy=partial(held_out_accuracy, labels=labels, groups=groups, splits=splits),
        left_out=[statement for statement in every if statement["id"] not in ids],
        answers=answers,
        dropped=dropped,
    )


if __name__ == "__main__":
    with job(snakemake), threadpool_limits(1):
        audit_dataset(
            snakemake.wildcards.dataset,
            statements=snakemake.input.statements,
            prompts=snakemake.input.prompts,
            entry=snakemake.params.dataset,
            source=snakemake.input.source[0] if snakemake.input.source else None,
            answers=snakemake.params.answers,
            split=SplitSettings(**snakemake.params.split),
            settings=snakemake.params.data_audit,
            too_long=snakemake.input.too_long[0] if snakemake.input.too_long else None,
            destination=snakemake.output.findings,
        )
