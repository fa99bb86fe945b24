"""The README of a run's results: what was run and found in sentences, and where to look."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment

from conceptdepth.figures.words import word
from conceptdepth.ground.text import counted
from conceptdepth.pages import findings
from conceptdepth.pages.cautions import cautions
from conceptdepth.pages.finished import Duration, Verdict, in_words, lasting
from conceptdepth.pages.listed import FIGURES, TABLES
from conceptdepth.pages.names import Names, escaped, some, words
from conceptdepth.provenance.record import PREFIX

if TYPE_CHECKING:
    import pandas as pd

TEMPLATE = """# What this run found

{% for name, line in lines.items() -%}
- **{{ name }}** {{ line }}
{% endfor %}

## What was run

{% for line in setup -%}
- {{ line }}
{% endfor %}

## Findings

In {{ first }}. In brackets: {{ level }} intervals. Layers count from 0; a depth is a share of the layers.

{% for sentence in found -%}
- {{ sentence }}
{% endfor %}

{{ table }}

## What formats and renderings change

{% for sentence in changes -%}
- {{ sentence }}
{% else -%}
One format and one rendering were run: nothing to compare.
{% endfor %}

## Claims

{% for sentence in claims -%}
- {{ sentence }}
{% endfor %}

## What not to read into it

{% for sentence in cautions -%}
- {{ sentence }}
{% endfor %}

## Where to look

{% for path, shown in places.items() -%}
- [{{ path }}]({{ path }}): {{ shown }}
{% endfor %}

{% for heading, paths in others.items() if paths -%}
## {{ heading }}

{% for path in paths -%}
- {{ path }}
{% endfor %}

{% endfor %}
## Audit and time

{{ audit }}

<!-- {{ record }} -->
"""

EARLIER = "Of an earlier run: not made anew"
BESIDE = "Made from these results besides, because it was asked for"

LINE = re.compile(r"- \*\*(\w+)\*\* (.+)")


@dataclass(frozen=True)
class Run:
    """What a summary is made from."""

    config: Mapping[str, Any]
    depths: "pd.DataFrame"
    differences: "pd.DataFrame"
    claims: "pd.DataFrame"
    verdict: Verdict
    took: Duration
    own: Sequence[str]
    """Paths of the figures, tables and pages that the run made."""
    earlier: Sequence[str]
    """Paths of figures and tables that are of an earlier run."""
    beside: Sequence[str]
    """Paths of those that were made from these results by name."""


def summary_page(run: Run, record: str) -> str:
    """Return the README of a run's results, whose first section is `five_lines`; ``record`` is the id of its record."""
    names, level = Names.of(run.config).escaped(), run.config["intervals"]["level"]
    rows = findings.main_rows(run.depths)
    # Markdown, for which names are escaped already.
    page = Environment(trim_blocks=True, keep_trailing_newline=True).from_string(TEMPLATE)
    return page.render(
        lines=five_lines(run, names),
        setup=list(setup(run, names)),
        first=_first(rows.iloc[0]),
        level=findings.percent(level),
        found=findings.found(rows, names),
        table=table(rows, names),
        changes=findings.changes(run.differences, rows, names, level),
        claims=findings.of_claims(run.claims, level),
        cautions=cautions(run.depths, rows, run.claims, names, run.config),
        places=dict(places(run.own)),
        others={EARLIER: run.earlier, BESIDE: run.beside},
        audit=f"The audit says: **{run.verdict.verdict}** ({run.verdict.checked}). Again: `conceptdepth audit --all`. "
        f"Behind these results are {in_words(run.took)}.",
        record=PREFIX + record,
    )


def five_lines(run: Run, names: Names) -> dict[str, str]:
    """Return what a person reads when a run is done: five short lines by what they are about."""
    chosen = run.config["run"]
    rows = findings.main_rows(run.depths)
    without = int((~rows.apply(findings.is_above, axis=1)).sum())
    own_claims = run.claims[run.claims["source"] == "run"].to_dict("records")
    formats = counted(len(chosen["quantizations"]), "format")
    renderings = counted(len(chosen["perturbations"]), "rendering")
    time = f"{lasting(run.took.work)} of work, more than one run" if run.took.pauses else lasting(run.took.wall)
    return {
        "Run": f"{some(list(names.models.values()))} on {some(list(names.datasets.values()))}; {formats}, {renderings}",
        "Found": findings.headline(rows, names),
        "Claims": findings.verdicts(own_claims, briefly=True) if own_claims else "none was held against this run",
        "Beware": "decodable is not used"
        + (f"; {without} of {counted(len(rows), 'curve')} without a depth" if without else "")
        + ("; one model" if rows["model"].nunique() == 1 else "")
        + ("; one split" if rows["n_seeds"].max() == 1 else ""),
        "Audit": f"{run.verdict.verdict}: {run.verdict.checked}; the run took {time}",
    }


def first_section(text: str) -> dict[str, str]:
    """Read the five lines of a page again, as `summary_page` wrote them; none of a page that has no such lines."""
    section = text.partition("\n## ")[0]
    return {found[1]: found[2] for found in map(LINE.fullmatch, section.splitlines()) if found}


def setup(run: Run, names: Names) -> Iterator[str]:
    """Say what was run: what the grid is made of, what was probed, and how probes were tested."""
    config, chosen = run.config, run.config["run"]
    domains = {name: config["datasets"][name]["domain"] for name in chosen["datasets"]}
    depths = run.depths.drop_duplicates("dataset").set_index("dataset")
    tested = [f"{names.datasets[name]} ({domains[name]}, {depths.loc[name, 'n_test']} tested)" for name in domains]
    yield f"Models: {', '.join(names.models.values())}"
    yield f"Weight formats: {words(chosen['quantizations'])}"
    yield f"Datasets: {', '.join(tested)}"
    yield f"Renderings: {escaped(words(chosen['perturbations']))}"
    yield f"Read at: {words(config['activations']['sites'])}; {words(config['activations']['positions'])}"
    yield f"Probes: {words(config['probes']['kinds'])}"
    yield f"Splits: {counted(len(config['probes']['seeds']), 'split')}, {word(config['probes']['split'])}"


def _first(row: Mapping[str, Any]) -> str:
    kinds = ("quantization", "perturbation", "site", "position", "probe")
    return ", ".join(escaped(word(row[kind])) for kind in kinds)


def table(rows: "pd.DataFrame", names: Names) -> str:
    """Return a table of Markdown with a row for each model and concept."""
    head = ["model", "concept", "above baselines", "from layer", "centre of gain", "held-out peak", "best baseline"]
    lines = [head, ["---"] * len(head)]
    for row in rows.to_dict("records"):
        above = findings.is_above(row)
        baseline = (
            f"{row['baseline_accuracy']:.2f} ({word(row['baseline'])})" if isinstance(row["baseline"], str) else "-"
        )
        lines.append([
            names.models[row["model"]],
            names.datasets[row["dataset"]],
            {True: "yes", False: "no"}.get(row["above_baselines"], "not tested"),
            f"{findings.layer_of(row, 'first_above_baseline')} of {row['n_layers']}" if above else "-",
            findings.with_interval(row, "gain_centre") if above else "-",
            findings.with_interval(row, "held_out_peak_accuracy"),
            baseline,
        ])  # fmt: skip
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def places(own: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield where to look, from the folder of results, and what is there: the page first, then figures, then tables."""
    paths = [Path(path).relative_to("results").as_posix() for path in own]
    if "explorer.html" in paths:
        yield "explorer.html", "every curve, depth and statement, to choose from; start here"
    for folder, suffix, told in (("figures", ".png", FIGURES), ("tables", "", TABLES)):
        for path in paths:
            if path.startswith(f"{folder}/") and path.endswith(suffix):
                yield path, told.get(Path(path).stem, word(Path(path).stem))
    yield "report.html", "figures and tables with captions, in one file (`conceptdepth report` makes it)"
    yield "audit.html", "where each figure and table comes from, back to the sources"
