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
class Grid:
    """Cells that a claim is about."""

    compare: str
    models: int
    datasets: int
    families: int = 1
    of_first: int = 0
    """Datasets of the first domain, half of all if 0."""
    missing: bool = False
    """Whether some cells are not there: where datasets are compared, one domain for the smaller half of the models and with
    noise; by size, the smaller half of the models with noise, which adds to the quantity."""

    def __str__(self) -> str:
        """Name it as the table does."""
        datasets = f"{self.of_first} and {self.datasets - self.of_first}" if self.of_first else str(self.datasets)
        return f"{self.compare}, {self.models} models, {datasets} datasets{', cells missing' * self.missing}"


GRIDS = [
    Grid("perturbation", 3, 6),
    Grid("perturbation", 9, 9),
    Grid(DOMAIN, 3, 8),
    Grid(SIZE, 9, 9, families=3),
    Grid(DOMAIN, 9, 12, missing=True),
    Grid(SIZE, 8, 9, families=2, missing=True),
    Grid(DOMAIN, 9, 16, of_first=4),
    Grid(SIZE, 5, 6),
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
        for name in ("none", "one label a group")
        for n in (1, 10)
    }
    return three | others


def claim_experiments(grids: Sequence[Grid], spreads: Sequence[Spread], *, repetitions: int) -> pd.DataFrame:
    """Return how often effects are called that are not there, and held to be none that are as large as the margin."""
    rows = Parallel(n_jobs=2)(delayed(of_grid)(grid, spread, repetitions) for grid in grids for spread in spreads)
    return pd.DataFrame(rows)


def of_grid(grid: Grid, spread: Spread, repetitions: int) -> dict[str, Any]:
    """Return a row: shares of repetitions."""
    draw, cells = np.random.default_rng(0), cells_of(grid)
    found = []
    for _ in range(repetitions):
        values = drawn(grid, cells, spread, draw)
        effect, at_margin = (
            effect_of(cells, pd.DataFrame(v), compare=grid.compare, of="b", than="a")
            for v in (values, values + MARGIN * contrast(grid, cells))
        )
        low, high = effect.interval(LEVEL)
        found.append((effect.p_of_none() <= 1 - LEVEL, at_margin.p_of_more(MARGIN) <= 1 - LEVEL, low <= 0 <= high))
    shares = dict(zip(("false_alarms", "false_equality", "coverage"), np.mean(found, axis=0)))
    error = np.sqrt(LEVEL * (1 - LEVEL) / repetitions)
    return {"claims": str(grid), **vars(spread), **shares, "error": error}


def cells_of(grid: Grid) -> pd.DataFrame:
    """Return the cells of a grid; perturbations and domains are a and b."""
    first = grid.of_first or grid.datasets // 2
    rows = [
        (f"m{m}", f"f{m % grid.families}", 2.0 ** (m // grid.families), f"d{d}", "ab"[d >= first], "fp32", p)
        for m in range(grid.models)
        for d in range(grid.datasets)
        for p in ("a", "b")[: 2 if grid.compare == "perturbation" or grid.missing else 1]
    ]
    names = ["model", "family", "parameters", "dataset", "domain", "quantization", "perturbation"]
    cells = pd.DataFrame(rows, columns=names)
    if grid.missing:
        small = cells["parameters"] < 2 ** (grid.models // grid.families / 2)
        noise, second = cells["perturbation"] == "b", cells["domain"] == "b"
        cells = cells[~(second & (noise | small)) if grid.compare == DOMAIN else ~(noise & small)]
    return cells.reset_index(drop=True)


def contrast(grid: Grid, cells: pd.DataFrame) -> np.ndarray:
    """Return what is compared of each cell, so that an effect of 1 is its value."""
    if grid.compare == SIZE:
        return np.log2(cells["parameters"].to_numpy())
    return (cells[grid.compare] == "b").to_numpy(dtype=float)


def drawn(grid: Grid, cells: pd.DataFrame, spread: Spread, draw: np.random.Generator) -> np.ndarray:
    """Return a quantity of each cell, whose effect is nothing on average but differs between datasets and models."""

    def between(column: str, deviation: float) -> np.ndarray:
        codes = cells[column].astype("category").cat.codes.to_numpy()
        of_each = draw.exponential(size=codes.max() + 1) - 1 if spread.skewed else draw.normal(size=codes.max() + 1)
        return deviation * of_each[codes]

    values = between("dataset", spread.datasets) + between("model", spread.models)
    effects = 0.0 if grid.compare == DOMAIN else between("dataset", spread.datasets)
    effects = effects + (0.0 if grid.compare == SIZE else between("model", spread.models))
    if grid.missing:  # What is not compared has effects of its own.
        values = values + 0.5 * (cells["perturbation"] == "b").to_numpy()
        values = values + 0.3 * np.log2(cells["parameters"].to_numpy()) * (grid.compare == DOMAIN)
    return values + effects * contrast(grid, cells) + spread.cells * draw.normal(size=len(cells))


def missed(found: pd.DataFrame, claims: pd.DataFrame) -> Iterator[str]:
    """Yield what is beyond a bar by more than a Monte Carlo standard error."""
    for row in found.to_dict("records"):
        name = f"{row['experiment']}: {row['quantity']}"
        if row["false_alarms"] - row["false_alarms_error"] > MOST_FALSE_ALARMS:
            yield f"{name} is called in {row['false_alarms']:.3f}"
        if row["intervals"] > 0.1 and row["coverage"] + row["coverage_error"] < LEAST_COVERAGE:
            yield f"{name} is held in {row['coverage']:.3f}"
    for row in claims.to_dict("records"):
        for column in ("false_alarms", "false_equality"):
            if row[column] - row["error"] > MOST_FALSE_ALARMS:
                yield f"{row['claims']}: {column} in {row[column]:.3f}"
        if row["coverage"] + row["error"] < LEAST_COVERAGE:
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
    parser.add_argument("--repetitions", type=int, default=300)
    parser.add_argument("--claims", type=int, default=1000, help="repetitions of claims")
    arguments = parser.parse_args()
    found = experiments(arguments.repetitions)
    claims = claim_experiments(GRIDS, SPREADS, repetitions=arguments.claims)
    every = shown(found)
    tests = [name for name in every if name.startswith(("p_", "difference"))]
    for columns in ([name for name in every if name not in tests], ["experiment", *tests]):
        print("\n".join(markdown(every[columns])), end="\n\n")
    print("\n".join(markdown(claims.map(lambda value: f"{value:.3f}" if isinstance(value, float) else str(value)))))
    problems = list(missed(found, claims))
    print("\n".join(["", *problems, f"{len(problems)} bars missed"]), file=sys.stderr)
    sys.exit(bool(problems))
