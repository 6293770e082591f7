"""Everything a user may pass: images -> `Frame`, arguments -> checked values. The only door.

Each kind of input is reduced to its parts (`kinds`), and the parts are checked once (`frame`,
`uncertainty`, `image_wcs`), so that everything behind the door may rely on them.
"""

from astroreg.checks import parse_choice, parse_fraction, parse_positive
from astroreg.inputs.arguments import parse_boundary, parse_max_shift
from astroreg.inputs.frame import Frame
from astroreg.inputs.image_wcs import is_celestial, pixel_scale
from astroreg.inputs.kinds import Reference, as_frame, prepare_pair

__all__ = [
    "Frame",
    "Reference",
    "as_frame",
    "is_celestial",
    "parse_boundary",
    "parse_choice",
    "parse_fraction",
    "parse_max_shift",
    "parse_positive",
    "pixel_scale",
    "prepare_pair",
]
