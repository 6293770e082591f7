"""From a measured offset to a correct WCS: the correction itself and what applies it."""

from astroreg.sky.correction import SkyCorrection
from astroreg.sky.dispatch import correct_wcs

__all__ = ["SkyCorrection", "correct_wcs"]
