"""Spectra: the shift between two of them, in pixels and along their spectral axis.

`chi2_shift` comes here when both of its images have one axis: `spectra_shift` is the door, `fit` the
equations of the images on a canvas of one row, `axis` the spectral WCS, `result` what comes out.
"""

from astroreg.spectra.register import are_spectra, spectra_shift
from astroreg.spectra.result import DeltaChi2Curve, SpectralShift

__all__ = ["DeltaChi2Curve", "SpectralShift", "are_spectra", "spectra_shift"]
