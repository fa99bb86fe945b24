"""Names of the depths that sample sizes are told for: columns of `conceptdepth.depth.definitions.describe_curve`."""

from enum import StrEnum, auto


class Quantity(StrEnum):
    """A depth of a curve."""

    JUMP_POINT = auto()
    CONVERGING_POINT_LITERAL = auto()
    CONVERGING_POINT_PUBLISHED = auto()
    NEAR_PEAK_DEPTH = auto()
    ONE_SE_DEPTH = auto()
    PEAK_DEPTH = auto()
    GAIN_CENTRE = auto()


DEFAULT_QUANTITIES = (Quantity.CONVERGING_POINT_PUBLISHED, Quantity.NEAR_PEAK_DEPTH, Quantity.GAIN_CENTRE)
