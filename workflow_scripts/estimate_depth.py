"""Find the depths of every cell, with intervals, and test which layers are above chance and above the baselines."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
import pandas as pd
from conceptdepth.depth.draws import write_draws
from conceptdepth.depth.estimates import Estimate, estimate, with_intervals
from conceptdepth.depth.resampling import IntervalSettings, Resamples, resamples
from conceptdepth.depth.uncertainty import adjusted
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.hdf5 import new_hdf5
from conceptdepth.ground.names import CURVE, EMBEDDING, PROBED, RANDOM
from conceptdepth.probes.predictions import Curve, facts_of, read_curves
from conceptdepth.provenance.job import job, log
from conceptdepth.provenance.record import PREFIX
from tqdm import tqdm


def estimate_all(
    probes: Sequence[str], baselines: Sequence[str], *, depth: Mapping[str, float], settings: IntervalSettings
) -> list[Estimate]:
    """Return the estimates of every curve. Cells of a dataset share its draws, so that they are paired.

    Datasets are taken one by one, so that the draws of one alone take memory.
    """
    controls = Controls(probes, baselines)
    found: dict[str, list[Estimate]] = {}
    facts = {path: facts_of(path, "dataset", "weights") for path in probes}

    def dataset_of(path: str) -> str:
        return facts[path]["dataset"]

    in_order = sorted(probes, key=dataset_of)
    for _, paths in groupby(tqdm(in_order, unit="cell", mininterval=5), key=dataset_of):
        taken = None
        for path in paths:
            curves = [curve for curve in read_curves(path) if curve.names["site"] != EMBEDDING]
            taken = taken or resamples(curves[0], settings)
            weights = {"weights": facts[path]["weights"]}
            estimates = of_one_cell(curves, taken, controls, depth=depth, settings=settings)
            found[path] = [replace(one, facts=weights | one.facts) for one in estimates]
    return [one for path in probes for one in found[path]]


def of_one_cell(
    curves: Sequence[Curve],
    taken: Resamples,
    controls: "Controls",
    *,
    depth: Mapping[str, float],
    settings: IntervalSettings,
) -> list[Estimate]:
    """Return the estimates of a cell's curves. One of the same tokens as another is that one under its own name."""
    found: dict[tuple[str, ...], Estimate] = {}
    for curve in curves:
        site, position, probe = (curve.names[name] for name in PROBED)
        same = found.get((site, curve.same_tokens_as, probe))
        found[site, position, probe] = (
            replace(same, names=curve.names)
            if same
            else estimate(curve, taken, baselines=controls.of(curve), depth=dict(depth), settings=settings)
        )
    return list(found.values())


class Controls:
    """The control curves that each curve is compared with, by the columns that name it."""

    def __init__(self, probes: Sequence[str], baselines: Sequence[str]) -> None:
        self._texts = [curve for path in baselines for curve in read_curves(path)]
        self._untrained = {
            tuple(curve.names.values()): curve
            for path in probes
            for curve in read_curves(path)
            if curve.names["quantization"] == RANDOM or curve.names["site"] == EMBEDDING
        }

    def of(self, curve: Curve) -> dict[str, Curve]:
        """Return the baselines of a curve by name: of its texts, of the embedding and of random weights."""
        names = curve.names
        found = {
            text.names["site"]: text
            for text in self._texts
            if all(text.names[key] == names[key] for key in ("dataset", "perturbation"))
        }
        wanted = {"embedding_layer": names | {"site": EMBEDDING}}
        if names["quantization"] != RANDOM:
            wanted["random_weights"] = names | {"quantization": RANDOM}
        return found | {
            name: self._untrained[key]
            for name, key in ((name, tuple(names.values())) for name, names in wanted.items())
            if key in self._untrained
        }


def depth_table(estimates: Sequence[Estimate], settings: IntervalSettings) -> pd.DataFrame:
    """Return a row for each curve, with p values adjusted for the number of curves; one with two names counts once.

    ``above_baselines`` says by them whether a curve has a depth; it is NaN if that was not tested.
    """
    table = pd.DataFrame([with_intervals(found, settings.level) for found in estimates])
    tests = tests_of(table)
    for tested in ("p_above_chance", "p_above_baseline"):
        place = table.columns.get_loc(tested) + 1
        table.insert(place, f"{tested}_adjusted", adjusted(table[tested], settings.correction, tests))
    p_values = table["p_above_baseline_adjusted"]
    above = (p_values <= 1 - settings.level).astype(object).where(p_values.notna(), np.nan)
    table.insert(table.columns.get_loc("p_above_baseline_adjusted") + 1, "above_baselines", above)
    return table


def tests_of(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return of each row which curve it is, whatever names it has: those of one token are one."""
    own = table.assign(position=table["same_tokens_as"])
    return list(own[list(CURVE)].itertuples(index=False, name=None))


def warn_of_few(table: pd.DataFrame, settings: IntervalSettings) -> None:
    """Say if draws or permutations are so few that one curve among so many could not be called, whatever it is."""
    n, alone = len(set(tests_of(table))), 1e-9
    times = adjusted([alone, *[1.0] * (n - 1)], settings.correction)[0] / alone  # What adjustment makes of one p value.
    combined = 2 if table["n_seeds"].max() > 1 else 1
    for name, given, smallest in (
        ("permutations", settings.permutations, combined),
        ("draws", settings.draws, 1),
    ):
        enough = math.ceil(smallest * times / (1 - settings.level))
        if 0 < given < enough - 1:
            log.warning("intervals.%s: one of %d curves alone could not be called; %d would be enough", name, n, enough)


def layer_table(estimates: Sequence[Estimate]) -> pd.DataFrame:
    """Return a row for each layer of each curve."""
    return pd.concat(
        [pd.DataFrame({**found.names, "layer": range(found.facts["n_layers"]), **found.layers}) for found in estimates],
        ignore_index=True,
    )


if __name__ == "__main__":
    with job(snakemake) as record:
        settings = IntervalSettings(**snakemake.params.intervals)
        estimates = estimate_all(
            snakemake.input.probes, snakemake.input.baselines, depth=snakemake.params.depth, settings=settings
        )
        tables = {
            snakemake.output.depths: depth_table(estimates, settings),
            snakemake.output.layers: layer_table(estimates),
        }
        for destination, table in tables.items():
            with complete_file(destination) as part:
                # "NaN" in words: an empty field could be taken for a value that was forgotten.
                table.to_csv(part, index=False, na_rep="NaN")
        depths = tables[snakemake.output.depths]
        above = depths["above_baselines"].eq(True).tolist()  # NaN, where that was not tested, is not.
        with complete_file(snakemake.output.draws) as part, new_hdf5(part) as file:
            file.attrs["record"] = PREFIX + record.id
            write_draws(file, estimates, above)
        above_chance = (depths["p_above_chance_adjusted"] <= 1 - settings.level).sum()
        warn_of_few(depths, settings)
        log.info("%d curves: %d above chance, %d above their baselines", len(depths), above_chance, sum(above))
        if few := depths["mostly_converged"].eq(False).sum():
            log.warning("of %d curves most probes did not converge: their depths depend on rounding", few)
