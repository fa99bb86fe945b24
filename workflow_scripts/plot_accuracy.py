"""Draw accuracy against relative depth, a panel for each dataset and a line for each model."""

import pandas as pd
from conceptdepth.depth.published import PublishedCells, published_curves
from conceptdepth.figures.curves import draw_curves, held_at_first
from conceptdepth.figures.style import save_for_job
from conceptdepth.provenance.job import job


def curves_beside(scores: pd.DataFrame, cells: PublishedCells, paths: list[str]) -> pd.DataFrame | None:
    """Return the published curves of the cells that are drawn; ``paths`` is empty if the run has none."""
    drawn = held_at_first(scores, "model")
    return published_curves(drawn, cells, pd.read_csv(paths[0])) if paths else None


if __name__ == "__main__":
    with job(snakemake) as record:
        scores = pd.read_csv(snakemake.input.scores)
        figure = draw_curves(
            scores,
            snakemake.params.labels,
            compare="model",
            published=curves_beside(scores, snakemake.params.published, snakemake.input.published),
        )
        save_for_job(figure, snakemake, record.id)
