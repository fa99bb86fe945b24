"""Check a dataset for labels that can be told without knowing the concept."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
from conceptdepth.data_audit import audit_data, data_of, problems
from conceptdepth.datasets import load_statements
from conceptdepth.files import complete_file
from conceptdepth.job import job, log
from conceptdepth.records import read_jsonl
from conceptdepth.splits import SplitSettings
from threadpoolctl import threadpool_limits


def audit_dataset(
    dataset: str,
    *,
    statements: str,
    entry: Mapping[str, Any],
    source: str | None,
    answers: Sequence[str],
    split: SplitSettings,
    settings: Mapping[str, Any],
    destination: str,
) -> None:
    """Write a row for each check. Raises `UserError` for a warning if the policy is to stop."""
    every = load_statements(dataset, {**entry, "max_per_class": None}, source)
    data = data_of(read_jsonl(statements), every, answers=answers, settings=split)
    findings = list(audit_data(data, settings["limits"]))
    for finding in findings:
        (log.warning if finding.verdict == "warning" else log.info)("%s: %s", finding.check, finding.finding)
    if settings["policy"] == "stop" and any(finding.verdict == "warning" for finding in findings):
        raise problems(dataset, findings)
    table = pd.DataFrame([{"dataset": dataset, **asdict(finding)} for finding in findings])
    with complete_file(destination) as part:
        table.to_csv(part, index=False, na_rep="NaN")


if __name__ == "__main__":
    with job(snakemake), threadpool_limits(1):
        audit_dataset(
            snakemake.wildcards.dataset,
            statements=snakemake.input.statements,
            entry=snakemake.params.dataset,
            source=snakemake.input.source[0] if snakemake.input.source else None,
            answers=snakemake.params.answers,
            split=SplitSettings(**snakemake.params.split),
            settings=snakemake.params.data_audit,
            destination=snakemake.output.findings,
        )
