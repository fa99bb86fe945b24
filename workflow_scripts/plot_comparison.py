"""Draw the accuracy of the values of one column against each other: of weight formats, or of perturbations."""

import pandas as pd
from conceptdepth.figures.curves import draw_curves
from conceptdepth.figures.style import save_for_job
from conceptdepth.provenance.job import job

if __name__ == "__main__":
    with job(snakemake) as record:
        figure = draw_curves(
            pd.read_csv(snakemake.input.scores), snakemake.params.labels, compare=snakemake.params.compare
        )
        save_for_job(figure, snakemake, record.id)
