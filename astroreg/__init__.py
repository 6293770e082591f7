"""Measure the offset between two images of extended emission and correct the WCS with it."""

from astroreg.exceptions import AlreadyCorrectedError, AstroregWarning, CorrectionError

__all__ = ["AlreadyCorrectedError", "AstroregWarning", "CorrectionError"]
