"""The warning and the errors of astroreg that a caller may want to catch by name."""

from __future__ import annotations

from astropy.utils.exceptions import AstropyUserWarning

__all__ = ["AlreadyCorrectedError", "AstroregWarning", "CorrectionError"]


class AstroregWarning(AstropyUserWarning):
    """Something about an answer that its user should know before trusting it."""


class CorrectionError(ValueError):
    """A WCS or a header that cannot be corrected exactly; it was left as it was."""


class AlreadyCorrectedError(CorrectionError):
    """The same correction has been applied to this header before."""
