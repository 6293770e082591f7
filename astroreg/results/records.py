"""The small records in a result: the Delta chi-squared map, a rival peak, a confidence ellipse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy import units as u

__all__ = ["ConfidenceEllipse", "DeltaChi2Map", "RivalPeak"]


@dataclass(frozen=True, eq=False)
class DeltaChi2Map:
    """Chi-squared above its minimum, as a function of the shift.

    Levels of 2.30, 6.18 and 11.83 bound the joint regions of 68.3, 95.4 and 99.7 %; the marginal
    1-sigma errors are the half widths of the region below 1.

    Attributes
    ----------
    map : ndarray
        2-D, Delta chi-squared; rows go with `y`, columns with `x`.
    x, y : Quantity
        The shifts along the axes of the map, in pixel.
    """

    map: np.ndarray
    x: u.Quantity
    y: u.Quantity

    def __post_init__(self) -> None:
        object.__setattr__(self, "map", np.asarray(self.map))
        object.__setattr__(self, "x", u.Quantity(self.x, u.pixel))
        object.__setattr__(self, "y", u.Quantity(self.y, u.pixel))
        if self.map.shape != (self.y.size, self.x.size):
            needed = (self.y.size, self.x.size)
            raise ValueError(f"`map` has shape {self.map.shape}, its axes need {needed} (y, x)")


@dataclass(frozen=True, eq=False)
class RivalPeak:
    """The second-best shift.

    Attributes
    ----------
    shift : Quantity
        (dx, dy) in pixel, in the sense of `ShiftResult.shift`.
    delta_chi2 : float
        How much worse it explains the images than the best, over the smaller of the two overlaps; negative
        where it explains a small overlap better.
    """

    shift: u.Quantity
    delta_chi2: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "shift", u.Quantity(self.shift, u.pixel))


@dataclass(frozen=True)
class ConfidenceEllipse:
    """The region that holds the true shift with a given probability, both axes jointly.

    Attributes
    ----------
    semi_major, semi_minor : Quantity
        Half axes in pixel.
    angle : Quantity
        Of the major axis, from +x towards +y, in degrees, within -90 and 90.
    level : float
        The joint probability.
    delta_chi2 : float
        The Delta chi-squared that bounds the region: 2.30 for a level of 0.6827.
    """

    semi_major: u.Quantity
    semi_minor: u.Quantity
    angle: u.Quantity
    level: float
    delta_chi2: float
