"""Draw the accuracy of the weight formats against each other."""

import pandas as pd
from conceptdepth.figures.curves import draw_curves
from conceptdepth.figures.style import save_figure
from conceptdepth.provenance.job import job

if __name__ == "__main__":
    with job(snakemake) as record:
        figure = draw_curves(pd.read_csv(snakemake.input.scores), snakemake.params.labels, compare="quantization")
        save_figure(
            figure,
            svg=snakemake.output.svg,
            png=snakemake.output.png,
            record=record.id,
            **snakemake.params.figures,
        )
