"""The results of a run, from the files that it left: tables, curves, cells, figures, records."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from conceptdepth.configuration.schema import YAML_LOADER
from conceptdepth.configuration.sentences import nearest
from conceptdepth.ground.errors import UserError, explained, one_of
from conceptdepth.ground.files import SCRIPTS, complete_file
from conceptdepth.ground.names import CELL, CONCEPT, CURVE, EMBEDDING, PROBED
from conceptdepth.interface.cell import Cell
from conceptdepth.interface.choosing import only_row, rows_with
from conceptdepth.interface.curves import mean_curves
from conceptdepth.interface.tables import as_names, read_table
from conceptdepth.interface.vectors import Vectors
from conceptdepth.pages.listed import FIGURES, TABLES
from conceptdepth.provenance.findings import Audit
from conceptdepth.provenance.record import RECORDS, RecordContent, read_record


class Results:
    """A folder of results, in which nothing is read until it is asked for, and nothing is written.

    Every method raises `UserError`, one sentence that names what there is, for what is not there or is damaged.
    """

    def __init__(self, folder: str | Path = "results") -> None:
        self.folder = Path(folder)
        if not any((self.folder / name).is_dir() for name in ("tables", "activations", "probes")):
            inner = self.folder / "results"
            instead = f"{inner} may be one" if inner.is_dir() else "give the folder `results` of a run"
            raise UserError(f"{folder} is no folder of results: it has no tables, activations or probes; {instead}.")

    def __repr__(self) -> str:
        return f"Results({str(self.folder)!r}): {len(self.cells)} cells, {len(self.tables)} tables"

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables that the run wrote, the main ones first."""
        return _in_order((path.stem for path in (self.folder / "tables").glob("*.csv")), TABLES)

    def table(self, name: str, **where: Any) -> pd.DataFrame:
        """Return a table, its columns typed (`conceptdepth.interface.tables`), and its rows chosen by ``where``.

        ``dataset="cities"`` keeps the rows of one, ``dataset=["cities", "coin_flips"]`` of several. Depths are shares
        of the layers, in [0, 1); accuracies are shares of statements; ``_low`` and ``_high`` bound intervals.
        """
        if name not in self.tables:
            raise UserError(f"{self.folder} has no table {name!r}; there are {one_of(self.tables) or 'none'}.")
        table = rows_with(read_table(self.folder / f"tables/{name}.csv"), where, f"{name} of {self.folder}")
        return as_names(table.reset_index(drop=True))

    @cached_property
    def figures(self) -> dict[str, Path]:
        """The figures that the run drew: name -> PNG; the SVG lies beside it."""
        names = _in_order((path.stem for path in (self.folder / "figures").glob("*.png")), FIGURES)
        return {name: self.folder / f"figures/{name}.png" for name in names}

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """All settings of the run, by section: ``configuration["probes"]`` has those that `probe` takes."""
        path = self.folder / "tables/configuration.yaml"
        if not path.is_file():
            raise UserError(f"there is no {path}, which a finished run has.")
        with explained(f"{path} is damaged; run again"):
            return dict(yaml.load(path.read_text(encoding="utf-8"), YAML_LOADER))

    @cached_property
    def cells(self) -> pd.DataFrame:
        """The cells that there are, in the order of the run, and where: in ``tables``, as ``vectors``, as ``probes``.

        A cell that no table has was made by an earlier run into the same folder.
        """
        where = {
            "tables": self._in_tables(),
            "vectors": self._in_files("activations"),
            "probes": self._in_files("probes"),
        }
        found = dict.fromkeys([*where["tables"], *sorted({*where["vectors"], *where["probes"]})])
        table = pd.DataFrame(list(found), columns=list(CELL), dtype="str")
        return as_names(table.assign(**{name: [cell in cells for cell in found] for name, cells in where.items()}))

    def _in_tables(self) -> list[tuple[str, ...]]:
        if "layer_scores" not in self.tables:
            return []
        return list(self.table("layer_scores")[list(CELL)].drop_duplicates().itertuples(index=False, name=None))

    def _in_files(self, kind: str) -> list[tuple[str, ...]]:
        """Return the names of cells that have a file; names of datasets and perturbations have no dots."""
        paths = sorted((self.folder / kind).glob("*/*/[!.]*.*.h5"))
        return [(*path.parts[-3:-1], *path.stem.rsplit(".", 1)) for path in paths]

    def cell(
        self,
        model: str | None = None,
        quantization: str | None = None,
        dataset: str | None = None,
        perturbation: str | None = None,
    ) -> Cell:
        """Return one cell. A name that is left out is taken where there is only one."""
        names = dict(zip(CELL, (model, quantization, dataset, perturbation)))
        found = rows_with(self.cells, names, str(self.folder))
        return Cell(self.folder, only_row(found, CELL, str(self.folder)))

    def vectors(self, *cell: str, **named: str) -> Vectors:
        """Return the vectors of a cell, named as for `cell`, on disk: see `Cell.vectors`."""
        return self.cell(**cell_names(cell, named)).vectors

    def statements(
        self,
        *cell: str,
        site: str | None = None,
        position: str | None = None,
        probe: str | None = None,
        layer: int | None = None,
        target: str = CONCEPT,
        **named: str,
    ) -> pd.DataFrame:
        """Return what probes say of held-out statements; see `Cell.statements`."""
        chosen = self.cell(**cell_names(cell, named))
        return chosen.statements(site=site, position=position, probe=probe, layer=layer, target=target)

    def curves(self, *, target: str = CONCEPT, **where: Any) -> pd.DataFrame:
        """Return a row for each curve and layer: means of scores over splits, and intervals of accuracy.

        See `conceptdepth.interface.curves.mean_curves`. ``where`` chooses rows as in `table`; the embedding is there
        only if it is asked for, as ``site="embedding"``. Intervals are of the concept.
        """
        scores = self.table("layer_scores", target=target, **where)
        if where.get("site") is None:
            scores = scores[scores["site"] != EMBEDDING]
        known = "layer_intervals" in self.tables and target == CONCEPT
        return mean_curves(scores, self.table("layer_intervals") if known else None)

    def curve(self, *cell: str, target: str = CONCEPT, **named: str) -> pd.DataFrame:
        """Return one curve, a row for each layer. Names that are left out are taken where there is only one.

        They are those of `cell`, and ``site``, ``position`` and ``probe``.
        """
        found = self.curves(target=target, **cell_names(cell, named, (*CELL, *PROBED)))
        only_row(found, CURVE, str(self.folder))
        return found

    def record(self, file: str | Path) -> RecordContent:
        """Return the record of the job that wrote a file: what it read, did and wrote (docs/audit.md).

        ``file`` is a path from the folder of results, ``tables/concept_depth.csv``, or one that leads into it.
        """
        wanted = str(Path("results") / self._inner(file))
        for path in sorted((self.folder / RECORDS.name).rglob("*.json")):
            record = read_record(path)
            if any(output["path"] == wanted for output in record["outputs"]):
                return record
        raise UserError(
            f"no record in {self.folder / RECORDS.name} is of {file}; give a path such as `tables/lens.csv`."
        )

    def audit(self, file: str | Path) -> Audit:
        """Compare a file, and all that it was made from, with the records; the ``verdict`` is "intact" if all agree.

        ``file`` is a path as for `record`. It takes the repository, whose code is compared too.
        """
        from conceptdepth.models.weights import weight_files  # These two take a Unix.
        from conceptdepth.provenance.audit import Auditor

        if not SCRIPTS.is_dir() or self.folder.resolve().name != RECORDS.parent.name:
            raise UserError("an audit takes the library of a clone of the repository, and a folder called `results`.")
        return Auditor(self.folder.resolve().parent, weight_files).audit_file(self.folder / self._inner(file))

    def _inner(self, file: str | Path) -> Path:
        """Return the path of a file from the folder of results, if it leads into it."""
        for given, folder in (
            (Path(file).absolute(), self.folder.absolute()),
            (Path(file).resolve(), self.folder.resolve()),
        ):
            if given.is_relative_to(folder):
                return given.relative_to(folder)
        return Path(file)

    def to_parquet(self, folder: str | Path) -> list[Path]:
        """Write every table as Parquet, with its types, into a folder, and return the paths."""
        paths = [Path(folder) / f"{name}.parquet" for name in self.tables]
        for name, path in zip(self.tables, paths):
            with complete_file(path) as part:
                self.table(name).to_parquet(part, index=False)
        return paths


def cell_names(given: Sequence[str], named: Mapping[str, Any], known: Sequence[str] = CELL) -> dict[str, Any]:
    """Return the names of a cell, and others that are known, those first that are given without saying which they are.

    Raises `UserError` for a name that does not exist or is given twice.
    """
    if len(given) > len(CELL):
        raise UserError(f"a cell has the names {one_of(CELL)}, and {len(given)} were given.")
    names = dict(zip(CELL, given))
    for name in named:
        if name not in known:
            raise UserError(f"there is no name {name!r}{nearest(name, known)}; there are {one_of(known)}.")
        if name in names:
            raise UserError(f"{name} was given twice, as {names[name]!r} and as {named[name]!r}.")
    return names | dict(named)


def _in_order(names: Any, first: Any) -> tuple[str, ...]:
    """Return names in the order of those that come first, and then by name."""
    order = {name: place for place, name in enumerate(first)}
    return tuple(sorted(names, key=lambda name: (order.get(name, len(order)), name)))
