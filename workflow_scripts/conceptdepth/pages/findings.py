"""What a run found, in sentences that are computed from its tables. They are Markdown; names are escaped already."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptdepth.figures.words import word
from conceptdepth.ground.names import CONTROL_FORMATS, PROBED, RANDOM
from conceptdepth.ground.tables import at_first
from conceptdepth.ground.text import counted
from conceptdepth.pages.names import Names, escaped

if TYPE_CHECKING:
    import pandas as pd

ONE_BY_ONE = 6
"""Up to so many concepts have a sentence each; of more there is one for each model."""

LISTED = 3
"""Up to so many differences are named one by one."""

QUANTITIES = {
    "held_out_peak_accuracy": "the held-out peak accuracy",
    "mean_accuracy": "the mean accuracy over layers",
    "gain_centre": "the centre of gain",
}
"""What readers call the quantities of which differences are tested, `conceptdepth.depth.comparison.PRIMARY`."""

VERDICTS = ("supported", "contradicted", "undecided")

Row = Mapping[str, Any]


def main_rows(depths: "pd.DataFrame") -> "pd.DataFrame":
    """Return the rows of ``concept_depth.csv`` in the first format, rendering, site, position and probe of the run."""
    own = depths[~depths["quantization"].isin(CONTROL_FORMATS)]
    return at_first(own, ("quantization", "perturbation", *PROBED))


def with_interval(row: Row, quantity: str, form: str = ".2f") -> str:
    """Write a quantity with its interval, if it has one: ``0.35 (0.32 to 0.38)``; a dash if there is none."""
    if np.isnan(row[quantity]):
        return "-"
    bounds = [row.get(f"{quantity}_{side}", np.nan) for side in ("low", "high")]
    value = f"{row[quantity]:{form}}"
    return value if np.isnan(bounds).any() else f"{value} ({bounds[0]:{form}} to {bounds[1]:{form}})"


def percent(share: float) -> str:
    """Write a share as docs do: ``95 %``."""
    return f"{100 * share:g} %"


def layer_of(row: Row, depth: str) -> int:
    """Return the number of a layer, counted from 0, by a relative depth i/d."""
    return round(row[depth] * row["n_layers"])


def is_above(row: Row) -> bool:
    """Tell whether a curve is known to be above its baselines; one that was not tested is not."""
    return bool(row["above_baselines"] == True)  # noqa: E712 - NaN is neither


def found(rows: "pd.DataFrame", names: Names) -> list[str]:
    """Say of each concept and model whether it is above its baselines, from where on, and how well it is told.

    ``rows`` are those of `main_rows`. Of more than `ONE_BY_ONE` there is a sentence for each model.
    """
    if len(rows) <= ONE_BY_ONE:
        return [_of_curve(row, names) for row in rows.to_dict("records")]
    return [
        _of_model(own.to_dict("records"), names.models[model], names)
        for model, own in rows.groupby("model", sort=False)
    ]


def _of_curve(row: Row, names: Names) -> str:
    concept, model = names.datasets[row["dataset"]], names.models[row["model"]]
    peak = f"its best layer has an accuracy of {with_interval(row, 'held_out_peak_accuracy')}, held out"
    if np.isnan(row["held_out_peak_accuracy"]):
        peak = "there are too few groups for an accuracy that is held out"
    elif isinstance(row["baseline"], str):
        peak += f", the best baseline ({word(row['baseline'])}) one of {row['baseline_accuracy']:.2f}"
    if is_above(row):
        centre = f"The centre of gain is {with_interval(row, 'gain_centre')} of the depth"
        if np.isnan(row["gain_centre"]):
            centre = "No layer is better than the first"
        above = f"**{concept}** is above its baselines in {model}, from {_from_layer(row)} on at the latest"
        return f"{above}. {centre}; {peak}."
    if row["above_baselines"] == False:  # noqa: E712 - NaN is neither
        return f"**{concept}** is not above its baselines in {model}, so that it has no depth: {peak}."
    return f"**{concept}** was not held against its baselines in {model}, so that no depth is given: {peak}."


def _from_layer(row: Row) -> str:
    return f"layer {layer_of(row, 'first_above_baseline')} of {row['n_layers']}"


def _of_model(rows: Sequence[Row], model: str, names: Names) -> str:
    if len(rows) == 1:
        return _of_curve(rows[0], names)
    above = sorted(filter(is_above, rows), key=lambda row: row["first_above_baseline"])
    tested = [row for row in rows if row["above_baselines"] in (True, False)]
    if not tested:
        return (
            f"**{model}**: none of {counted(len(rows), 'concept')} was held against its baselines; no depth is given."
        )
    text = f"**{model}**: {len(above)} of {counted(len(tested), 'concept')} are above their baselines"
    if above:
        ends = [f"{names.datasets[row['dataset']]} from {_from_layer(row)} on" for row in (above[0], above[-1])]
        text += f", at the latest {ends[0]}" if len(above) == 1 else f", earliest {ends[0]}, latest {ends[1]}"
    without = [names.datasets[row["dataset"]] for row in tested if not is_above(row)]
    text += f"; without a depth: {', '.join(without)}" if without else ""
    known = [row for row in rows if not np.isnan(row["held_out_peak_accuracy"])]
    if not known:
        return f"{text}."
    known = sorted(known, key=lambda row: row["held_out_peak_accuracy"])
    peaks = [
        f"{with_interval(row, 'held_out_peak_accuracy')} ({names.datasets[row['dataset']]})"
        for row in (known[0], known[-1])
    ]
    return f"{text}. Held-out peak accuracies go from {peaks[0]} to {peaks[1]}."


def changes(differences: "pd.DataFrame", rows: "pd.DataFrame", names: Names, level: float) -> list[str]:
    """Say what renderings and weight formats change, as far as ``depth_differences.csv`` can tell.

    Renderings are compared in the first format of the run and formats in its first rendering, those of ``rows``.
    """
    first = rows.iloc[0]
    said = []
    for compared, held in (("perturbation", "quantization"), ("quantization", "perturbation")):
        alike = (differences[[held, *PROBED]] == list(first[[held, *PROBED]])).all(axis=1)
        own = differences[alike & (differences["compared"] == compared) & (differences["second"] != RANDOM)]
        for (before, after), pairs in own.groupby(["first", "second"], sort=False):
            tested = pairs[pairs["p_adjusted"].notna()]
            parts = (
                _change(tested[tested["quantity"] == quantity], name, names, level)
                for quantity, name in QUANTITIES.items()
                if quantity in set(tested["quantity"])
            )
            told = "; ".join(parts) or "no difference was tested"
            said.append(f"**{escaped(word(after))}** in the place of {escaped(word(before))}: {told}.")
    return said


def _change(tested: "pd.DataFrame", quantity: str, names: Names, level: float) -> str:
    differ = tested[tested["p_adjusted"] <= 1 - level]
    if differ.empty:
        low, high = tested["low"].min(), tested["high"].max()
        where = "the only cell" if len(tested) == 1 else f"any of {len(tested)} cells"
        return f"{quantity} does not differ for certain in {where} (intervals within {low:+.2f} to {high:+.2f})"
    if len(differ) <= LISTED:
        each = [
            f"{names.concept(row)} by {row['difference']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})"
            for row in differ.to_dict("records")
        ]
        return f"{quantity} differs in {len(differ)} of {len(tested)}: {', '.join(each)}"
    lower = int((differ["difference"] < 0).sum())
    low, high = differ["difference"].min(), differ["difference"].max()
    return (
        f"{quantity} differs in {len(differ)} of {len(tested)}: lower in {lower}, higher in {len(differ) - lower}, by "
        f"{low:+.3f} to {high:+.3f}"
    )


def of_claims(claims: "pd.DataFrame", level: float) -> list[str]:
    """Say which claims this run, and the paper's published numbers, support, contradict or leave open."""
    said = []
    for source, whose in (("run", "This run"), ("published", "The paper's published numbers")):
        own = claims[claims["source"] == source].to_dict("records")
        if not own:
            continue
        said.append(f"{whose}: {verdicts(own)}.")
        for row in own:
            if row["verdict"] != "undecided":
                said.append(f"{row['verdict'].capitalize()} {_by(source)}: {_decided(row, level)}.")
    return said


def _by(source: str) -> str:
    return "by this run" if source == "run" else "by the published numbers"


def _decided(row: Row, level: float) -> str:
    quantity = QUANTITIES.get(row["quantity"], f"the {word(row['quantity'])}").removeprefix("the ")
    sizes = f"{counted(row['n_datasets'], 'dataset')}, {counted(row['n_models'], 'model')}"
    effect = f"{row['effect']:+.3f}, {percent(level)} interval {row['low']:+.3f} to {row['high']:+.3f}"
    return f"{escaped(row['statement'].rstrip('.'))} ({quantity} {effect}; {sizes})"


def verdicts(rows: Sequence[Row], *, briefly: bool = False) -> str:
    """Count the verdicts of rows of ``claims.csv``, and why some could not be tested."""
    numbers = [sum(row["verdict"] == verdict for row in rows) for verdict in VERDICTS]
    text = ", ".join(f"{number} {verdict}" for number, verdict in zip(numbers, VERDICTS))
    untested = [row for row in rows if np.isnan(row["p_adjusted"])]
    if not untested:
        return text
    if briefly:
        return f"{text} ({len(untested)} for want of datasets or models)"
    none = sum(row["n_datasets"] == 0 for row in untested)
    alike = sum(row["n_datasets"] > 0 and not np.isnan(row["error"]) for row in untested)
    reasons = {
        "for want of cells to compare": none,
        "for too few datasets or models": len(untested) - none - alike,
        "since nothing varies": alike,
    }
    return f"{text} ({', '.join(f'{number} {why}' for why, number in reasons.items() if number)})"


def headline(rows: "pd.DataFrame", names: Names) -> str:
    """Say in one line how many concepts are above their baselines, and from where on."""
    records = rows.to_dict("records")
    tested = [row for row in records if row["above_baselines"] in (True, False)]
    if not tested:
        return "no concept was held against its baselines: no depth is given"
    above = sorted(filter(is_above, tested), key=lambda row: row["first_above_baseline"])
    what = counted(len(tested), "concept") if len(names.models) == 1 else counted(len(tested), "curve")
    text = f"{len(above)} of {what} above {'its' if len(tested) == 1 else 'their'} baselines"
    if not above:
        return text
    if rows["n_layers"].nunique() == 1:
        places, of = [f"{layer_of(row, 'first_above_baseline')}" for row in above], f" of {rows['n_layers'].iloc[0]}"
        text += ", from layer "
    else:
        places, of = [f"{row['first_above_baseline']:.2f}" for row in above], ""
        text += ", from depth "
    where = [f"{place} ({names.concept(row)})" for place, row in zip(places, above)]
    return text + (", ".join(where) if len(where) <= LISTED else f"{where[0]} to {where[-1]}") + of
