"""Find what each layer would answer if it were the last, and at which depth the answers are right."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from conceptdepth.depth.above import majority
from conceptdepth.depth.definitions import first_depth, gain_centre, near_peak_depth, peak
from conceptdepth.depth.estimates import estimate, with_intervals
from conceptdepth.depth.lens import areas, log_odds_of, p_of_order, read_lens
from conceptdepth.depth.resampling import IntervalSettings, accuracy, resamples
from conceptdepth.depth.uncertainty import adjusted
from conceptdepth.ground.files import complete_file
from conceptdepth.probes.predictions import Curve
from conceptdepth.provenance.job import job
from tqdm import tqdm

OF_PROBES = ("same_tokens_as", "n_seeds", "converged", "mostly_converged", "baseline", "baseline_accuracy")
"""Columns of ``concept_depth.csv`` that a lens has not, for which nothing is trained and there is one baseline."""

NAMES = {
    "n_test": "n",
    "p_above_baseline": "p_above_majority",
    "first_above_baseline": "first_above_majority",
    "held_out_peak_above_baseline": "held_out_peak_above_majority",
    "held_out_peak_above_baseline_low": "held_out_peak_above_majority_low",
    "held_out_peak_above_baseline_high": "held_out_peak_above_majority_high",
}
"""Column of ``concept_depth.csv`` -> its name here."""

TESTED = ("p_above_chance", "p_above_majority", "p_auc_above_chance")
"""Columns of p values, which are adjusted for the number of cells."""


def of_one_cell(
    curve: Curve, depth: Mapping[str, float], settings: IntervalSettings
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return the row of ``lens_depth.csv``, and the rows of ``lens.csv``."""
    taken = resamples(curve, settings)
    found = estimate(curve, taken, depth=dict(depth), settings=settings)
    area = areas(log_odds_of(curve), curve.labels[np.newaxis])[0]
    p_area = np.full(len(area), np.nan)
    if settings.permutations:
        p_area = p_of_order(area, areas(log_odds_of(curve), np.asarray(taken.permuted[0])))
    row = {NAMES.get(name, name): value for name, value in with_intervals(found, settings.level).items()}
    row = {name: value for name, value in row.items() if name not in OF_PROBES}
    peak_auc, peak_auc_depth = peak(area)
    row |= {
        "peak_auc": peak_auc,
        "peak_auc_depth": peak_auc_depth,
        "near_peak_auc_depth": near_peak_depth(area, share=depth["peak_share"]),
        "auc_gain_centre": gain_centre(area),
        "p_auc_above_chance": p_area.min(),
        "first_auc_above_chance": first_depth(p_area <= 1 - settings.level),
    }
    layers = {
        "layer": range(len(area)),
        "n_layers": len(area),
        "n": len(curve.labels),
        "majority": accuracy(majority(curve))[0],
        **{name: found.layers[name] for name in ("accuracy", "low", "high", "standard_error", "p_above_chance")},
        "auc": area,
        "p_auc_above_chance": p_area,
        "says_1": curve.splits[0].predicted.mean(axis=1),
    }
    return row, pd.DataFrame({**curve.names, **layers})


def collect_lens(
    paths: Sequence[str], depth: Mapping[str, float], settings: IntervalSettings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return ``lens_depth.csv``, a row for each cell, and ``lens.csv``, a row for each of its layers."""
    rows, layers = zip(*(of_one_cell(read_lens(path), depth, settings) for path in tqdm(paths, unit="cell", delay=5)))
    table = pd.DataFrame(rows)
    for tested in TESTED:
        place = int(table.columns.get_indexer([tested])[0]) + 1
        table.insert(place, f"{tested}_adjusted", adjusted(table[tested], settings.correction))
    return table, pd.concat(layers, ignore_index=True)


if __name__ == "__main__":
    with job(snakemake):
        tables = collect_lens(
            snakemake.input.lens, snakemake.params.depth, IntervalSettings(**snakemake.params.intervals)
        )
        for destination, table in zip((snakemake.output.depths, snakemake.output.layers), tables):
            with complete_file(destination) as part:
                table.to_csv(part, index=False, na_rep="NaN")
