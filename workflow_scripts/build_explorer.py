"""Put curves, depths, tables and statements into one page that opens from a file, without a network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import vl_convert
from conceptdepth.datasets.rows import read_statements
from conceptdepth.depth.published import PublishedCells, published_curves
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.names import CURVE, EMBEDDING, SCORED
from conceptdepth.pages import explorer
from conceptdepth.pages.fitting import MOST_BYTES, smaller_and_smaller
from conceptdepth.pages.html import compressed, rendered
from conceptdepth.pages.statements import HeldOut, count_right, statements_of
from conceptdepth.probes.predictions import read_curves
from conceptdepth.provenance.job import job, log
from conceptdepth.provenance.record import PREFIX, RecordContent

VEGA = "window.vegaEmbed = vegaEmbed;"
"""What the page's scripts use of Vega-Embed, which brings Vega and Vega-Lite."""

AS_TEXT = dict.fromkeys((*SCORED, "baseline", "same_tokens_as"), str)
"""Columns of names, some of which may look like numbers."""

Names = tuple[str, ...]
"""What names a curve, see `conceptdepth.ground.names.CURVE`."""


def read_tables(paths: Sequence[str], published: Sequence[str], cells: PublishedCells) -> explorer.Tables:
    """Read the tables of a run, each known by the name of its file, and the published curves of its cells, if any."""
    files = {Path(path).stem: path for path in paths}
    names = ("layer_scores", "concept_depth", "layer_intervals", "baseline_scores")
    scores, depths, intervals, baselines = (pd.read_csv(files[name], dtype=AS_TEXT) for name in names)
    curves = published_curves(scores, cells, pd.read_csv(published[0])) if published else None
    texts = {name: Path(path).read_bytes().decode("utf-8") for name, path in files.items() if name in explorer.SHOWN}
    return explorer.Tables(scores, depths, intervals, baselines, curves, texts)


def read_tested(paths: Sequence[str]) -> dict[Names, HeldOut]:
    """Return what the probes of each curve make of held-out statements, from the files of all cells."""
    return {
        tuple(curve.names[name] for name in CURVE): count_right(curve)
        for path in paths
        for curve in read_curves(path, decisions=True)
        if curve.names["site"] != EMBEDDING
    }


def read_texts(paths: Sequence[str], tested: Mapping[Names, HeldOut], labels: explorer.Labels) -> dict[str, Any]:
    """Return what may be shown of the tested statements of each dataset, as its labels say."""
    place = CURVE.index("dataset")
    found = {}
    for path in paths:
        name = Path(path).stem
        of_dataset = [one for names, one in tested.items() if names[place] == name]
        chosen = {key: labels["datasets"][name][key] for key in ("licence", "show_texts")}
        found[name] = statements_of(name, read_statements(path), of_dataset, **chosen)
    return found


def records_of(upstream: Mapping[str, RecordContent]) -> dict[str, str]:
    """Return the id of the record of each file that a job before this one wrote."""
    return {output["path"]: record["id"] for record in upstream.values() for output in record["outputs"]}


def write_page(
    destination: str,
    data: dict[str, Any],
    tested: Mapping[Names, HeldOut],
    depths: pd.DataFrame,
    files: Mapping[str, str],
) -> str:
    """Write the largest page of at most `MOST_BYTES`, or the smallest; return what was left out of it, in words."""
    given = {"title": data["title"], "record": PREFIX + data["record"], "vega": vl_convert.javascript_bundle(VEGA)}
    room = MOST_BYTES - len(rendered(files, **given, data="").encode("utf-8"))
    for version in smaller_and_smaller(data, tested, depths):
        if packed := compressed(version, room):
            break
    else:
        log.warning("there is more to show than fits into a page of %.0f MB", MOST_BYTES / 1e6)
        packed = compressed(version)
    page = rendered(files, **given, data=packed).encode("utf-8")
    with complete_file(destination) as part:
        part.write_bytes(page)
    log.info("%.2f MB. %s", len(page) / 1e6, version["kept"] or "Nothing was left out.")
    return version["kept"]


if __name__ == "__main__":
    with job(snakemake) as record:
        source, params = snakemake.input, snakemake.params
        tables = read_tables(source.tables, source.published, params.published)
        tested = read_tested(source.probes)
        data = explorer.data(
            tables,
            labels=params.labels,
            level=params.intervals["level"],
            records=records_of(record.upstream),
            record=record.id,
        )
        data["statements"] = read_texts(source.statements, tested, params.labels)
        files = {Path(path).name: Path(path).read_text(encoding="utf-8") for path in source.page}
        write_page(snakemake.output.page, data, tested, tables.depths, files)
