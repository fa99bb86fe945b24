"""Draw accuracy against relative depth, a panel for each dataset and a line for each model."""

import pandas as pd
from conceptdepth.figures import draw_curves, save_figure
from conceptdepth.job import job

if __name__ == "__main__":
    with job(snakemake) as record:
        figure = draw_curves(pd.read_csv(snakemake.input.scores), snakemake.params.labels, compare="model")
        save_figure(
            figure,
            svg=snakemake.output.svg,
            png=snakemake.output.png,
            record=record.id,
            **snakemake.params.figures,
        )
