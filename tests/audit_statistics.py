"""How often the statistics of this workflow are wrong, on generated experiments: `make audit-statistics`.

Prints two tables in Markdown, those of docs/statistics.md, and ends with 1 if a bar is missed. Experiments are
`conceptdepth.depth.simulation`'s, each with statements, splits and probes of its own; claims are made about cells that
differ by nothing but chance, from dataset to dataset and from model to model.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from conceptdepth.depth.coverage import coverage
from conceptdepth.depth.effects import DOMAIN, SIZE, effect_of
from conceptdepth.depth.resampling import IntervalSettings
from conceptdepth.depth.simulation import Case, cases, simulate
from joblib import Parallel, delayed

LEVEL = 0.95
DEPTH = {"jump_ratio": 1.1, "plateau_band": 0.03, "peak_share": 0.95}
INTERVALS = IntervalSettings(level=LEVEL, draws=400, permutations=199, seed=0, correction="bh")

MOST_FALSE_ALARMS = 0.065
LEAST_COVERAGE = 0.93

MARGIN = 0.5
"""Of claims of equality, in standard deviations of what is drawn."""


@dataclass(frozen=True)
class Design:
    """Cells that a claim is about."""

    compare: str
    models: int
    datasets: int
    families: int = 1

    def __str__(self) -> str:
        """Name it as the table does."""
        return f"{self.compare}, {self.models} models, {self.datasets} datasets"


DESIGNS = [
    Design("perturbation", 3, 5),
    Design("perturbation", 9, 9),
    Design(DOMAIN, 3, 8),
    Design(SIZE, 9, 9, families=3),
    Design(DOMAIN, 9, 14),
    Design(SIZE, 5, 5),
]


@dataclass(frozen=True)
class Spread:
    """Standard deviations of what differs between datasets, models and cells."""

    datasets: float
    models: float
    cells: float
    skewed: bool = False
    """Whether what differs is exponential instead of normal."""


SPREADS = [
    Spread(1, 0.25, 1),
    Spread(1, 1, 0.3),
    Spread(0.2, 1, 0.3),
    Spread(1, 0.2, 0.3, skewed=True),
    Spread(0, 0, 1),
]


def experiments(repetitions: int, *, only: Sequence[str] = (), threads: int = 2) -> pd.DataFrame:
    """Return the coverage of intervals and false alarms of tests, with one, three and ten splits."""
    chosen = {name: case for name, case in every_case().items() if not only or name in only}
    tables = {}
    for name, case in chosen.items():
        found = simulate(case, repetitions=repetitions, depth=DEPTH, intervals=INTERVALS, threads=threads, title=name)
        tables[name] = coverage(found, case, depth=DEPTH, level=LEVEL)
    return pd.concat(tables, names=["experiment"]).reset_index("experiment")


def every_case() -> dict[str, Case]:
    """Return each experiment by name: three splits, and of some also one and ten."""
    three = cases(240)
    others = {
        f"{name}, {n} split{'s' * (n > 1)}": replace(three[name], n_splits=n)
        for name in ("sharp", "none", "one label a group", "none, one label a group", "as good as words")
        for n in (1, 10)
    }
    return three | others


def claim_experiments(designs: Sequence[Design], spreads: Sequence[Spread], *, repetitions: int) -> pd.DataFrame:
    """Return how often effects are called that are not there, and held to be none that are as large as the margin."""
    rows = Parallel(n_jobs=2)(
        delayed(of_design)(design, spread, repetitions) for design in designs for spread in spreads
    )
    return pd.DataFrame(rows)


def of_design(design: Design, spread: Spread, repetitions: int) -> dict[str, Any]:
    """Return a row: shares of repetitions."""
    draw, cells = np.random.default_rng(0), grid(design)
    found = []
    for _ in range(repetitions):
        values = drawn(design, cells, spread, draw)
        effect, at_margin = (
            effect_of(cells, pd.DataFrame(v), compare=design.compare, of="b", than="a")
            for v in (values, values + MARGIN * contrast(design, cells))
        )
        low, high = effect.interval(LEVEL)
        found.append((effect.p_of_none() <= 1 - LEVEL, at_margin.p_of_more(MARGIN) <= 1 - LEVEL, low <= 0 <= high))
    shares = dict(zip(("false_alarms", "false_equality", "coverage"), np.mean(found, axis=0)))
    error = np.sqrt(LEVEL * (1 - LEVEL) / repetitions)
    return {"claims": str(design), **vars(spread), **shares, "error": error}


def grid(design: Design) -> pd.DataFrame:
    """Return the cells of a design; perturbations and domains are a and b."""
    rows = [
        (f"m{m}", f"f{m % design.families}", 2.0 ** (m // design.families), f"d{d}", "ab"[2 * d >= design.datasets], "fp32", p)
        for m in range(design.models)
        for d in range(design.datasets)
        for p in ("a", "b")[: 2 if design.compare == "perturbation" else 1]
    ]  # fmt: skip
    names = ["model", "family", "parameters", "dataset", "domain", "quantization", "perturbation"]
    return pd.DataFrame(rows, columns=names)


def contrast(design: Design, cells: pd.DataFrame) -> np.ndarray:
    """Return what is compared of each cell, so that an effect of 1 is its value."""
    if design.compare == SIZE:
        return np.log2(cells["parameters"].to_numpy())
    return (cells[design.compare] == "b").to_numpy(dtype=float)


def drawn(design: Design, cells: pd.DataFrame, spread: Spread, draw: np.random.Generator) -> np.ndarray:
    """Return a quantity of each cell, whose effect is nothing on average but differs between datasets and models."""

    def between(column: str, deviation: float) -> np.ndarray:
        codes = cells[column].astype("category").cat.codes.to_numpy()
        of_each = draw.exponential(size=codes.max() + 1) - 1 if spread.skewed else draw.normal(size=codes.max() + 1)
        return deviation * of_each[codes]

    values = between("dataset", spread.datasets) + between("model", spread.models)
    effects = 0.0 if design.compare == DOMAIN else between("dataset", spread.datasets)
    effects = effects + (0.0 if design.compare == SIZE else between("model", spread.models))
    return values + effects * contrast(design, cells) + spread.cells * draw.normal(size=len(cells))


def missed(found: pd.DataFrame, claims: pd.DataFrame) -> Iterator[str]:
    """Yield what is beyond a bar by more than three Monte Carlo standard errors."""
    for row in found.to_dict("records"):
        name = f"{row['experiment']}: {row['quantity']}"
        if row["false_alarms"] - 3 * row["false_alarms_error"] > MOST_FALSE_ALARMS:
            yield f"{name} is called in {row['false_alarms']:.3f}"
        if row["intervals"] > 0.1 and row["coverage"] + 3 * row["coverage_error"] < LEAST_COVERAGE:
            yield f"{name} is held in {row['coverage']:.3f}"
    for row in claims.to_dict("records"):
        for column in ("false_alarms", "false_equality"):
            if row[column] - 3 * row["error"] > MOST_FALSE_ALARMS:
                yield f"{row['claims']}: {column} in {row[column]:.3f}"
        if row["coverage"] + 3 * row["error"] < LEAST_COVERAGE:
            yield f"{row['claims']}: held in {row['coverage']:.3f}"


def markdown(table: pd.DataFrame) -> Iterator[str]:
    """Yield the lines of a table; a share and its error are one cell."""
    yield "| " + " | ".join(table.columns) + " |"
    yield "|" + " --- |" * len(table.columns)
    for row in table.itertuples(index=False):
        yield "| " + " | ".join(row) + " |"


def shown(found: pd.DataFrame) -> pd.DataFrame:
    """Return an experiment in each row and a quantity or test in each column."""
    tested = found["false_alarms"].notna()
    share = found["coverage"].where(~tested, found["false_alarms"])
    error = found["coverage_error"].where(~tested, found["false_alarms_error"])
    some = share.notna() & (tested | (found["intervals"] > 0.1))
    text = share.map("{:.3f}".format) + " ± " + error.map("{:.3f}".format)
    table = found.assign(text=text.where(some, "")).query("text != ''")
    table = table.pivot(index="experiment", columns="quantity", values="text").fillna("")
    return table.loc[list(dict.fromkeys(found["experiment"]))].reset_index()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=400)
    parser.add_argument("--claims", type=int, default=2000, help="repetitions of claims")
    arguments = parser.parse_args()
    found = experiments(arguments.repetitions)
    claims = claim_experiments(DESIGNS, SPREADS, repetitions=arguments.claims)
    every = shown(found)
    tests = [name for name in every if name.startswith(("p_", "difference"))]
    for columns in ([name for name in every if name not in tests], ["experiment", *tests]):
        print("\n".join(markdown(every[columns])), end="\n\n")
    print("\n".join(markdown(claims.map(lambda value: f"{value:.3f}" if isinstance(value, float) else str(value)))))
    problems = list(missed(found, claims))
    print("\n".join(["", *problems, f"{len(problems)} bars missed"]), file=sys.stderr)
    sys.exit(bool(problems))
