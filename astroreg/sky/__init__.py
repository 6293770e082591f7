"""From a measured offset to a correct WCS: the correction itself and what applies it."""

from astroreg.sky.correction import SkyCorrection
from astroreg.sky.dispatch import correct_wcs
from astroreg.sky.header import correct_header, restore_header

__all__ = ["SkyCorrection", "correct_header", "correct_wcs", "restore_header"]
