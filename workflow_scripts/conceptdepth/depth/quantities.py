"""Names of what sample sizes are told for: quantities of a curve whose intervals can be trusted."""

from enum import StrEnum, auto


class Quantity(StrEnum):
    """A quantity of a curve."""

    GAIN_CENTRE = auto()
    MEAN_ACCURACY = auto()


DEFAULT_QUANTITIES = (Quantity.GAIN_CENTRE,)
