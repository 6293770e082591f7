"""Point sources: a cross-check of the shift of extended emission, and masks.

- `register_sources`: the shift from the centroids of the point sources that both images show, as one more
  method beside `astroreg.chi2_shift`;
- `check_sources`: how far that is from a shift measured otherwise, in sigmas;
- `source_mask`: keeps the point sources, or everything but them, out of a fit;
- `find_sources`: the point sources of one image.

photutils, which detects the sources, is imported when it is used.
"""

from astroreg.sources.check import SourceCheck, check_sources
from astroreg.sources.finding import find_sources
from astroreg.sources.masking import source_mask
from astroreg.sources.register import SourceShift, register_sources

__all__ = [
    "SourceCheck",
    "SourceShift",
    "check_sources",
    "find_sources",
    "register_sources",
    "source_mask",
]
