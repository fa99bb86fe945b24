"""What not to read into the results of a run, with its own numbers where it has some."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from conceptdepth.ground.text import counted
from conceptdepth.pages.findings import is_above
from conceptdepth.pages.names import Names, some

if TYPE_CHECKING:
    import pandas as pd


def cautions(
    depths: "pd.DataFrame", rows: "pd.DataFrame", claims: "pd.DataFrame", names: Names, config: Mapping[str, Any]
) -> list[str]:
    """Return what a reader should know before a number is quoted.

    ``rows`` are those of ``depths`` in the first format and rendering, `main_rows`.
    """
    return [
        "**Decodable is not used.** A probe shows that a layer holds a concept, not that the model makes use of it.",
        *_no_depth(rows, names),
        *_not_converged(depths),
        "**The paper's converging point hangs on single steps.** "
        + _noise(rows)
        + "It is there for comparison with the paper; the centre of gain uses all layers.",
        "**First layer above the baselines** is a bound without an interval: with more statements it is found earlier.",
        *_few(claims),
        *_only_one(rows, config),
        *_controls(rows, names, config),
    ]


def _no_depth(rows: "pd.DataFrame", names: Names) -> Iterator[str]:
    without = [names.concept(row) for row in rows.to_dict("records") if not is_above(row)]
    if without:
        yield (
            f"**{len(without)} of {counted(len(rows), 'curve')} not above the baselines: no depth.** Points in tables "
            f"for {some(without)} are those of noise."
        )


def _not_converged(depths: "pd.DataFrame") -> Iterator[str]:
    few = int((~depths["mostly_converged"].astype(bool)).sum())
    if few:
        yield (
            f"**Probes that did not converge**: most of them in {few} of {counted(len(depths), 'curve')} of the run. "
            "Depths there depend on rounding (column `converged`)."
        )


def _noise(rows: "pd.DataFrame") -> str:
    chance = rows["band_noise_anywhere"].median()
    if chance != chance:  # NaN: not measured.
        return ""
    return f"Here other test statements alone would take some step out of its band with a chance of {chance:.2f}. "


def _few(claims: "pd.DataFrame") -> Iterator[str]:
    own = claims[(claims["source"] == "run") & claims["p_adjusted"].isna()]
    if len(own):
        yield (
            f"**Too few datasets or models for claims**: {len(own)} of {int((claims['source'] == 'run').sum())} "
            "could not be tested. Undecided is not refuted."
        )


def _only_one(rows: "pd.DataFrame", config: Mapping[str, Any]) -> Iterator[str]:
    one = [
        text
        for text, number in (
            ("one split (`probes.seeds`)", rows["n_seeds"].max()),
            ("one model", rows["model"].nunique()),
            ("one dataset", rows["dataset"].nunique()),
            ("one wording and position", len(config["run"]["perturbations"]) * len(config["activations"]["positions"])),
        )
        if number == 1
    ]
    if one:
        yield f"**{' and '.join(one).capitalize()}**: what holds here need not hold for others."


def _controls(rows: "pd.DataFrame", names: Names, config: Mapping[str, Any]) -> Iterator[str]:
    generated = [name for name, entry in config["datasets"].items() if "generator" in entry["source"]]
    made_up = [names.datasets[name] for name in dict.fromkeys(rows["dataset"]) if name in generated]
    if made_up:
        yield f"**Made by a rule**: {some(made_up)}. No word tells the class: a control, of texts that nobody wrote."
