"""Measure the offset between two images of extended emission and correct the WCS with it.

- `align`: the main job, two images with WCS on any grids; `measure`: three methods on one pair;
- `align_stack`: the corrections of many exposures at once, a `StackResult`;
- `chi2_shift`, `register_images`, `cross_correlation_shift`: the methods, each giving a `ShiftResult`;
- `register_series`, `Reference`: many images against one reference, of which what is computed is kept;
- `register_cube`, `register_channels`: spectral cubes; two spectra go to `chi2_shift`, a `SpectralShift`;
- `register_tiles`: a field of shifts over an image, and whether rotation, scale or distortion is in it;
- `SkyCorrection`, `correct_wcs`, `correct_header`, `restore_header`, `correct_file`: the sky side;
- `astroreg.sources`: a cross-check by point sources, and masks of them;
- `astroreg.simulation`, `astroreg.calibration`, `astroreg.transform`, `astroreg.plotting`: to try it out.
"""

from importlib.metadata import PackageNotFoundError, version

from astroreg.align import Alignment, align
from astroreg.cubes import CubeShift, register_channels, register_cube
from astroreg.exceptions import AlreadyCorrectedError, AstroregWarning, CorrectionError
from astroreg.files import apply_correction, correct_file, restore_file
from astroreg.flags import ShiftFlag
from astroreg.inputs import Reference
from astroreg.measure import Measurement, measure
from astroreg.methods import chi2_shift, cross_correlation_shift, register_images
from astroreg.results import ShiftResult
from astroreg.series import register_series
from astroreg.sky import SkyCorrection, correct_header, correct_wcs, restore_header
from astroreg.spectra import SpectralShift
from astroreg.stack import StackFlag, StackResult, align_stack
from astroreg.tiles import FieldFlag, LinearModel, ShiftField, TileShift, describe_field, register_tiles

try:
    __version__ = version("astroreg")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "unknown"

__all__ = [
    "Alignment",
    "AlreadyCorrectedError",
    "AstroregWarning",
    "CorrectionError",
    "CubeShift",
    "FieldFlag",
    "LinearModel",
    "Measurement",
    "Reference",
    "ShiftField",
    "ShiftFlag",
    "ShiftResult",
    "SkyCorrection",
    "SpectralShift",
    "StackFlag",
    "StackResult",
    "TileShift",
    "__version__",
    "align",
    "align_stack",
    "apply_correction",
    "chi2_shift",
    "correct_file",
    "correct_header",
    "correct_wcs",
    "cross_correlation_shift",
    "describe_field",
    "measure",
    "register_channels",
    "register_cube",
    "register_images",
    "register_series",
    "register_tiles",
    "restore_file",
    "restore_header",
]
