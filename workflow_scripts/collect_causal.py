"""Find at which layers changes along a concept change what models answer, and how that lies to where it is readable."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from conceptdepth.depth.causal import WHERE_READABLE, find, interval_of_draws
from conceptdepth.depth.changed_answers import read_effects
from conceptdepth.depth.interventions import AGAINST, ERASE, LEACE, most_thorough
from conceptdepth.depth.uncertainty import adjusted
from conceptdepth.figures.style import Labels, word
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.names import CURVE
from conceptdepth.provenance.job import job, log
from tqdm import tqdm

FACTS = ("share_of_variance", "relative_change", "auc_before", "auc_after", "completeness")
"""Columns of what a change does to vectors, NaN where it is not asked of a method."""

WORDS = {
    LEACE: "erasing it (LEACE)",
    ERASE: "erasing its direction",
    AGAINST: "moving vectors against their class",
}
"""What is done to a concept, in sentences."""

GAP = "readout_gap"
"""How much deeper the first effect lies than the first layer above chance of the probe."""


def of_one_cell(effects: str, facts: str, intervals: Mapping[str, Any]) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Return the rows of ``causal_depth.csv``, one for each method, and those of ``causal.csv``."""
    known, measured = pd.read_csv(facts, dtype=dict.fromkeys(CURVE, str)), read_effects(effects)
    names = known.loc[0, list(CURVE)].to_dict()
    n_layers, first = int(known["n_layers"].iloc[0]), float(known["onset_of_probe"].iloc[0])
    onset = first / n_layers
    sizes = {"n_statements": len(measured.labels), "n_layers": n_layers, "n_layers_changed": len(measured.layers)}
    rows, layers = [], []
    for method in measured.ways:
        found = find(measured, method, n_layers, first, **{key: intervals[key] for key in ("draws", "seed", "level")})
        row = {**names, "method": method, **sizes, "n_random": len(measured.of_controls(method))}
        row |= {"p": found.columns["p"].min(), "onset_of_probe": onset}
        values, draws = ({**of, GAP: of["causal_onset"] - onset} for of in (found.values, found.draws))
        for name, drawn in draws.items():
            row[name] = values[name]
            bounds = interval_of_draws(drawn, intervals["level"]) if np.isfinite(values[name]) else (np.nan, np.nan)
            row[f"{name}_low"], row[f"{name}_high"] = bounds
        row |= {name: found.values[name] for name in found.values if name.startswith(WHERE_READABLE)}
        has, effect = found.columns["has_effect"], found.columns["effect"]
        counted = np.where(has | ~has.any(), effect, -np.inf)  # Of the layers that have an effect, if any has.
        best = int(counted.argmax())
        row |= {"largest_effect": counted[best], "largest_effect_depth": measured.layers[best] / n_layers}
        rows.append(row)
        of_method = known[known["method"] == method].set_index("layer").reindex(measured.layers)
        said = {name: of_method[name].to_numpy() if name in of_method else float("nan") for name in FACTS}
        layers.append(
            pd.DataFrame({
                **names, "method": method, "layer": measured.layers, "n_layers": n_layers, **found.columns, **said
            })
        )  # fmt: skip
    return rows, pd.concat(layers, ignore_index=True)


def sentences(depths: pd.DataFrame, labels: Labels, level: float) -> Iterator[str]:
    """Yield what was found of each cell, by the most thorough way to change vectors, as items of a list in Markdown."""
    method = most_thorough(depths["method"])
    for row in depths[depths["method"] == method].to_dict("records"):
        model, dataset = labels["models"][row["model"]]["label"], labels["datasets"][row["dataset"]]["label"]
        n_layers, place = row["n_layers"], f"{model}, {word(row['quantization'])}, {word(row['perturbation'])}"
        first, last, read = (row[name] * n_layers for name in ("causal_onset", "last_effect", "onset_of_probe"))
        p, more = f"p = {row['p']:.2g}", "no more than random directions do"
        if row["causal_onset"] >= 0:
            where = f"from layer {first:.0f} to {last:.0f}" if last > first else f"at layer {first:.0f}"
            p, more = f"log-odds by up to {row['largest_effect']:.2g}, {p}", f"{where} of {n_layers}"
        elif row["p"] <= 1 - level:
            more = "by too little to tell from none"
        known = f"a probe reads it from layer {read:.0f} on" if read >= 0 else "no probe is above chance"
        yield f"- **{dataset}** ({place}): {WORDS[method]} changes what the model answers {more} ({p}); {known}."


def collect_causal(
    effects: Sequence[str], facts: Sequence[str], intervals: Mapping[str, Any]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return ``causal_depth.csv``, a row for each cell and method, and ``causal.csv``, a row for each of its layers."""
    pairs = list(zip(effects, facts, strict=True))
    cells = [of_one_cell(*pair, intervals) for pair in tqdm(pairs, unit="cell", delay=5)]
    depths = pd.DataFrame([row for rows, _ in cells for row in rows])
    of_methods = depths.groupby("method")["p"].transform(lambda values: adjusted(values, intervals["correction"]))
    depths.insert(depths.columns.get_loc("p") + 1, "p_adjusted", of_methods)
    return depths, pd.concat([layers for _, layers in cells], ignore_index=True)


if __name__ == "__main__":
    with job(snakemake):
        depths, layers = collect_causal(snakemake.input.effects, snakemake.input.facts, snakemake.params.intervals)
        for destination, table in ((snakemake.output.depths, depths), (snakemake.output.layers, layers)):
            with complete_file(destination) as part:
                table.to_csv(part, index=False, na_rep="NaN")
        said = list(sentences(depths, snakemake.params.labels, snakemake.params.intervals["level"]))
        with complete_file(snakemake.output.words) as part:
            part.write_text("\n".join(["# What is used", "", *said, ""]), encoding="utf-8")
        for sentence in said:
            log.info("%s", sentence)
