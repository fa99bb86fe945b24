"""What a run ends with: where to look first, what was found, whether probes converged and models read chats."""

import csv
from collections.abc import Iterator
from pathlib import Path

import yaml

from conceptdepth.configuration.renderings import chat_settings
from conceptdepth.configuration.schema import YAML_LOADER
from conceptdepth.ground.errors import explained, one_of
from conceptdepth.ground.shapes import json_of_shape
from conceptdepth.models.chat_files import KEY
from conceptdepth.pages.finished import others, results_of_run
from conceptdepth.pages.names import unescaped
from conceptdepth.pages.summary import first_section

TABLE = "results/tables/concept_depth.csv"
CONFIGURATION = "results/tables/configuration.yaml"
EXPLORER = "results/explorer.html"
README = "results/README.md"
LATEX = "results/tables/latex/main.tex"


def summary(folder: Path) -> Iterator[str]:
    """Give the lines that a person reads when a run in a folder is done."""
    if (folder / EXPLORER).is_file():
        yield f"Explorer {folder / EXPLORER}   (open it in a browser)"
    yield from found(folder)
    yield converged(folder)
    yield from no_chats(folder)
    yield from earlier(folder)
    yield f"Read     {folder / README}   (all of this in sentences)"
    yield f"Figures  {folder / 'results/figures'}/   (accuracy.png first)"
    yield f"Tables   {folder / 'results/tables'}/    (concept_depth.csv; latex/main.tex for papers)"
    yield f"Report   {folder / 'results/report.html'}, audit.html beside it (again: make audit)"


def found(folder: Path) -> Iterator[str]:
    """Give the lines that the README of the results begins with, if there is one."""
    if (folder / README).is_file():
        with explained(f"{README} is damaged"):
            lines = first_section((folder / README).read_text(encoding="utf-8"))
        yield from (f"{name:<8} {unescaped(line)}" for name, line in lines.items())


def earlier(folder: Path) -> Iterator[str]:
    """Say if figures or tables of an earlier run lie beside those of this one."""
    left, _ = others(folder, [*results_of_run(folder), LATEX])
    if left:
        names = one_of(Path(path).name for path in left[:2]) + (" and others" if len(left) > 2 else "")
        yield f"Earlier  {names}: of an earlier run, not made anew (listed in {README})"


def converged(folder: Path) -> str:
    """Say how many probes of a finished run in a folder converged, and of how many curves most did not."""
    with explained(f"{TABLE} is damaged"), Path(folder, TABLE).open(encoding="utf-8", newline="") as file:
        curves = list(csv.DictReader(file))
        sizes = [int(curve["n_layers"]) * int(curve["n_seeds"]) for curve in curves]
        n_converged = sum(round(float(curve["converged"]) * size) for curve, size in zip(curves, sizes))
    if n_converged == sum(sizes):
        return f"Probes   {n_converged:,}, all converged"
    few = sum(curve["mostly_converged"] == "False" for curve in curves)
    return (
        f"Probes   {n_converged:,} of {sum(sizes):,} converged; most did not in {few} of {len(curves)} curves ({TABLE})"
    )


def no_chats(folder: Path) -> Iterator[str]:
    """Say which models of a finished run have a chat template, if no rendering of the run uses it."""
    with explained(f"{CONFIGURATION} is damaged"):
        config = yaml.load(Path(folder, CONFIGURATION).read_text(encoding="utf-8"), YAML_LOADER)
        if any(chat_settings(config, name) for name in config["run"]["perturbations"]):
            return
        described = ((name, Path(folder, f"results/models/{name}/model.json")) for name in config["run"]["models"])
        found = [name for name, path in described if (json_of_shape(path, {KEY: bool}) or {}).get(KEY)]
    if found:
        yield f"Chat     no chat template was used, though there is one of {one_of(found)} (docs/renderings.md)"
