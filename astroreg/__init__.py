"""Measure the offset between two images of extended emission and correct the WCS with it."""

from astroreg.align import Alignment, align
from astroreg.exceptions import AlreadyCorrectedError, AstroregWarning, CorrectionError
from astroreg.flags import ShiftFlag
from astroreg.methods import chi2_shift, cross_correlation_shift, register_images
from astroreg.results import ShiftResult
from astroreg.sky import SkyCorrection, correct_header, correct_wcs, restore_header

__all__ = [
    "Alignment",
    "AlreadyCorrectedError",
    "AstroregWarning",
    "CorrectionError",
    "ShiftFlag",
    "ShiftResult",
    "SkyCorrection",
    "align",
    "chi2_shift",
    "correct_header",
    "correct_wcs",
    "cross_correlation_shift",
    "register_images",
    "restore_header",
]
