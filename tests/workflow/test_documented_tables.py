"""docs/tables.md has every column of every table, and docs/results.md every table."""

import csv
import re

import pytest
from conceptdepth.depth import coverage, verdicts
from documentation import ROOT, sections

TABLES, FILES = ROOT / "docs/tables.md", ROOT / "docs/results.md"

ENDS = re.compile(r"_(?:low|high|adjusted|change|random|random_low|random_high|error)$")
"""What a page explains once for all columns: ends of intervals, adjusted p values, differences, controls."""


def named(text: str) -> set[str]:
    """Return the columns that a text names."""
    return set(re.findall(r"`(\w+)`", text))


def missing(table: str, columns) -> list[str]:
    """Return the columns of a table that neither its section nor that of common columns explains."""
    own = "".join(body for heading, body in sections(TABLES).items() if table.replace(".", "") in heading)
    assert own, f"{table} has no section"
    known = named(own) | named(sections(TABLES)["columns-that-many-have"]) | extended(table)
    return [column for column in columns if column not in known and ENDS.sub("", column) not in known]


def extended(table: str) -> set[str]:
    """Return what a table has from another one, as its section says."""
    return (
        named(sections(TABLES)["concept_depthcsv"]) if table in ("lens_depth.csv", "depth_differences.csv") else set()
    )


def test_every_column_of_a_finished_run_is_explained(finished):
    tables = sorted((finished.folder / "results/tables").glob("*.csv"))
    assert len(tables) >= 8
    for table in tables:
        with table.open(newline="") as file:
            assert missing(table.name, next(csv.reader(file))) == [], table.name


@pytest.mark.parametrize("table", ["coverage.csv", "claims.csv", "transfer.csv", "depth_variance.csv"])
def test_every_column_of_a_table_that_not_all_runs_have_is_explained(table):
    from measure_transfer import COLUMNS as OF_TRANSFER
    from measure_variance import COLUMNS as OF_VARIANCE

    columns = {
        "coverage.csv": coverage.COLUMNS,
        "claims.csv": verdicts.COLUMNS,
        "transfer.csv": OF_TRANSFER,
        "depth_variance.csv": OF_VARIANCE,
    }
    assert missing(table, columns[table]) == []


def test_a_column_that_is_not_explained_is_found():
    assert missing("coverage.csv", ["truth", "coverage_error", "unheard_of"]) == ["unheard_of"]


def test_every_table_of_a_run_is_in_the_list_of_files(finished):
    names = {f"results/tables/{path.name}" for path in (finished.folder / "results/tables").glob("*.csv")}
    assert names - set(re.findall(r"`([^`]+)`", FILES.read_text())) == set()
