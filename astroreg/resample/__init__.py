"""One image on another's grid and at another's resolution, its mask and its variance with it."""

from astroreg.resample.beams import Beam, MatchedFrames, beam_of, match_beams
from astroreg.resample.psf import match_psfs
from astroreg.resample.resampling import Resampled, resample_to
from astroreg.resample.smoothing import matching_kernel

__all__ = [
    "Beam",
    "MatchedFrames",
    "Resampled",
    "beam_of",
    "match_beams",
    "match_psfs",
    "matching_kernel",
    "resample_to",
]
