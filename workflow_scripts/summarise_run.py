"""Say in words what a run found, and write its main results as LaTeX tables."""

from pathlib import Path

import pandas as pd
import yaml
from conceptdepth.ground.files import complete_file
from conceptdepth.pages.finished import duration, jobs_of_run, others, results_of_run, verdict_of
from conceptdepth.pages.latex import latex_tables
from conceptdepth.pages.names import Names
from conceptdepth.pages.summary import Run, summary_page
from conceptdepth.provenance.job import job, log

if __name__ == "__main__":
    with job(snakemake) as record:
        found, written = snakemake.input, snakemake.output
        config = yaml.safe_load(Path(found.configuration).read_text(encoding="utf-8"))
        depths = pd.read_csv(found.depths)
        own = [*results_of_run(), written.latex]
        earlier, beside = others(Path(), own)
        run = Run(
            config=config,
            depths=depths,
            differences=pd.read_csv(found.differences),
            claims=pd.read_csv(found.claims),
            verdict=verdict_of(found.audit),
            took=duration(jobs_of_run()),
            own=own,
            earlier=earlier,
            beside=beside,
        )
        for destination, text in (
            (written.latex, latex_tables(depths, Names.of(config), config["intervals"]["level"])),
            (written.readme, summary_page(run, record.id)),
        ):
            with complete_file(destination) as part:
                part.write_text(text, encoding="utf-8")
        log.info("%d figures and tables are of this run, %d of an earlier one", len(own), len(earlier))
