"""From words that a person types to work: the command ``conceptdepth``, a module for each subcommand.

In: options, results of a run, arguments of snakemake. Out: text on the screen, an exit code, the report, the archive.
May import: every room; none imports it. Only ``main`` knows of options, and imports the others when they are called.
"""
