"""One image on another's grid and at another's resolution, its mask and its variance with it."""

from astroreg.resample.resampling import Resampled, resample_to

__all__ = ["Resampled", "resample_to"]
