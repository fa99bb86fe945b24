"""Helpers of the rules that run a cell under a switch: settings and files, with and without it."""


def section(*path):
    """Return a params function that gives a part of the configuration under the wildcard's switch."""
    return lambda wildcards: settings.in_order(
        lookup(dpath="/".join(path).format(**wildcards), within=switches.under(config, wildcards))
    )


def own_or_switched(stage, pattern):
    """Return an input function that gives what a stage made for the cell, under the switch if that touches it."""
    return lambda wildcards: switches.upstream(config, wildcards, stage, pattern)


def switched(pattern):
    """Return an input function that gives the pattern for every switch and every cell of the grid that it touches."""
    return lambda wildcards: [pattern.format(**cell) for cell in switches.switched_cells(config)]
