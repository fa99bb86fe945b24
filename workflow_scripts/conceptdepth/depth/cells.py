"""The estimates of every cell, from the files of its probes, and the table of these with p values adjusted."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
import pandas as pd
from tqdm import tqdm

from conceptdepth.depth.estimates import Estimate, estimate, with_intervals
from conceptdepth.depth.resampling import IntervalSettings, Resamples, resamples
from conceptdepth.depth.uncertainty import adjusted
from conceptdepth.ground.names import CONCEPT, CURVE, EMBEDDING, PROBED, RANDOM
from conceptdepth.probes.predictions import Curve, facts_of, read_curves


def estimate_all(
    probes: Sequence[str],
    baselines: Sequence[str],
    *,
    depth: Mapping[str, float],
    settings: IntervalSettings,
    target: str = CONCEPT,
) -> list[Estimate]:
    """Return the estimates of every curve. Cells of a dataset share its draws, so that they are paired.

    Those of another ``target`` than the concept have its labels, splits and draws, and are held against its baselines.
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
            curves = [curve for curve in read_curves(path, target=target) if curve.names["site"] != EMBEDDING]
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
