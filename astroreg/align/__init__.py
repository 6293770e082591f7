"""The main job: measure the offset of an image from a reference on any grid, and correct its WCS."""

from astroreg.align.alignment import Alignment
from astroreg.align.passes import align

__all__ = ["Alignment", "align"]
