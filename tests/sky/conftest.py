"""Headers of every projection and form, and an independent measure of what a correction did."""

import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS

from astroreg.sky import SkyCorrection

# Parameters without which these projections are not defined or degenerate, on the latitude axis.
PARAMETERS = {
    "AZP": {1: 2.0, 2: 10.0},
    "SZP": {1: 2.0, 2: 180.0, 3: 60.0},
    "ZPN": {1: 1.0, 3: -0.05},
    "CYP": {1: 1.0, 2: 0.7},
    "CEA": {1: 1.0},
    "COP": {1: 45.0, 2: 25.0},
    "COE": {1: 45.0, 2: 25.0},
    "COD": {1: 45.0, 2: 25.0},
    "COO": {1: 45.0, 2: 25.0},
    "BON": {1: 45.0},
    "AIR": {1: 45.0},
}

SCALE = 0.2  # arcsec a pixel
SHAPE = (200, 260)  # NAXIS1, NAXIS2


def build_header(code="TAN", form="cd", dec=60.0, *, ra=150.0, unit="deg", dec_first=False, **extra):
    """The header of an image with rotated and skewed pixels, in one of the forms of the linear matrix."""
    lon, lat = (2, 1) if dec_first else (1, 2)
    in_unit = u.deg.to(unit)
    header = fits.Header([("SIMPLE", True), ("BITPIX", -32), ("NAXIS", 2)])
    header["NAXIS1"], header["NAXIS2"] = SHAPE
    header[f"CTYPE{lon}"], header[f"CTYPE{lat}"] = f"RA---{code}", f"DEC--{code}"
    header[f"CRVAL{lon}"], header[f"CRVAL{lat}"] = ra * in_unit, dec * in_unit
    header["CRPIX1"], header["CRPIX2"] = (100.5, "reference pixel"), 110.0
    header["CUNIT1"] = header["CUNIT2"] = unit
    step = SCALE / 3600.0 * in_unit
    matrix = np.array([[-0.94, 0.31], [0.36, 0.93]])
    if form == "cd":
        for (i, j), value in np.ndenumerate(step * matrix):
            header[f"CD{i + 1}_{j + 1}"] = value
    else:
        header["CDELT1"], header["CDELT2"] = -step, 1.1 * step
    if form == "pc":
        for (i, j), value in np.ndenumerate(matrix * [[-1.0], [1.0]]):
            header[f"PC{i + 1}_{j + 1}"] = value
    elif form == "crota":
        header[f"CROTA{lat}"] = (21.0, "rotation")
    for m, value in PARAMETERS.get(code, {}).items():
        header[f"PV{lat}_{m}"] = value
    header["RADESYS"] = "ICRS"
    header.update(extra)
    # through text, as from a file: only then are the cards those of a header read from disk
    return fits.Header.fromstring(header.tostring())


def read(header, key=" ", fobj=None):
    """The WCS of a header without astropy's remarks on it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        return WCS(fits.Header.fromstring(header.tostring()), fobj, key=key)


def grid(shape=SHAPE):
    """Pixels over an image, corners included, away from the grid that the package itself checks."""
    x, y = np.meshgrid(np.linspace(0, shape[0] - 1, 6), np.linspace(0, shape[1] - 1, 7))
    return x.ravel(), y.ravel()


def offset_pixels(nominal, corrected, correction, pixels=None, scale=SCALE):
    """Largest distance, in pixel, of a corrected 2-D WCS from the correction of the nominal one."""
    x, y = grid() if pixels is None else pixels
    before, after = (SkyCoord(wcs.pixel_to_world(x, y)) for wcs in (nominal, corrected))
    assert np.all(np.isfinite(before.data.lon))
    return np.max(correction.apply(before).separation(after).arcsec) / scale


def correction_of(wcs, offset, *, angle=130.0, pixel=(30.0, 180.0), covariance=None):
    """A correction of a given length (arcsec) at a pixel away from the reference pixel."""
    pivot = SkyCoord(wcs.pixel_to_world(*pixel))
    true = pivot.directional_offset_by(angle * u.deg, offset * u.arcsec)
    return SkyCorrection.from_coordinates(pivot, true, covariance)


class Tools:
    """The functions above, for tests to take as one fixture."""

    header = staticmethod(build_header)
    read = staticmethod(read)
    grid = staticmethod(grid)
    offset_pixels = staticmethod(offset_pixels)
    correction = staticmethod(correction_of)
    scale = SCALE


@pytest.fixture
def tools():
    return Tools
