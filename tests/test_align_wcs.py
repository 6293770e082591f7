"""`align` on images whose WCS is not a FITS WCS: the correction in the pipeline of a gWCS, in a wrapper."""

import astropy.units as u
import gwcs
import numpy as np
import pytest
from astropy.io import fits
from astropy.modeling import models
from astropy.nddata import NDData, StdDevUncertainty
from astropy.wcs import WCS
from astropy.wcs.wcsapi import HighLevelWCSWrapper, SlicedLowLevelWCS
from scipy import ndimage

from astroreg.align import align
from astroreg.exceptions import AlreadyCorrectedError
from astroreg.simulation import SphericalSky, tan_wcs
from astroreg.sky import SkyCorrection, correct_wcs
from astroreg.sky.wrapped_wcs import RotatedWCS
from tests.sky.cameras import SCALE, SIZE, ground_like, jwst_like

N = 120
LOW = SIZE // 2 - N // 2  # first pixel of the subarray that is simulated
OFFSET = (-0.24, 0.32)  # arcsec, 6 pixels


def subarray(wcs):
    """The WCS of the middle N x N pixels of a camera."""
    wcs.insert_transform(wcs.available_frames[0], models.Shift(LOW) & models.Shift(LOW), after=True)
    wcs.pixel_shape = (N, N)
    wcs.bounding_box = ((-0.5, N - 0.5), (-0.5, N - 0.5))
    return wcs


def scene(claimed, shape=(N, N), seed=1):
    """An undistorted mosaic, an image whose WCS claims wrong coordinates, the true WCS."""
    middle = claimed.pixel_to_world((shape[1] - 1) / 2, (shape[0] - 1) / 2)
    correction = SkyCorrection.from_coordinates(middle, middle.spherical_offsets_by(*(OFFSET * u.arcsec)))
    true = correct_wcs(claimed, correction)
    sky = SphericalSky(middle.icrs, 8 * u.arcsec, smallest=0.2 * u.arcsec, rng=seed)
    mosaic = tan_wcs((200, 200), centre=middle.icrs, pixel_scale=SCALE * u.arcsec, rotation=20 * u.deg)
    options = {"fwhm": 0.25 * u.arcsec, "noise": 0.02, "unit": "MJy/sr"}
    reference = sky.observe(mosaic, (200, 200), rng=[seed, 1], **options)
    seen = sky.observe(true, shape, claimed_wcs=mosaic, rng=[seed, 2], **options)
    image = NDData(
        seen.data,
        uncertainty=StdDevUncertainty(seen.uncertainty.array),
        unit=seen.unit,
        wcs=claimed,
        meta={"a": 1},
    )
    return reference, image, true


def misplaced(corrected, true, n=N):
    """Largest distance over the corners and the middle."""
    x, y = np.array([0, 1, 0, 1, 0.5]) * (n - 1), np.array([0, 0, 1, 1, 0.5]) * (n - 1)
    return corrected.pixel_to_world(x, y).separation(true.pixel_to_world(x, y)).max()


def corrected_of(found, image, true):
    """Check an alignment, and give the corrected image."""
    # Errors along two axes: a distance of 4.3 sigma has a probability of 1e-4.
    sigma = found.sky_correction.error.max()
    assert sigma < 0.02 * SCALE * u.arcsec
    assert misplaced(found.corrected.wcs, true) < 4.3 * sigma
    assert misplaced(image.wcs, true) > 0.39 * u.arcsec
    assert type(found.corrected) is type(image) and found.corrected.meta["a"] == 1
    with pytest.raises(AlreadyCorrectedError, match="applied before"):
        found.correct(found.corrected)
    return found.corrected


@pytest.mark.parametrize("aberration", [False, True])
def test_jwst_like(aberration):
    reference, image, true = scene(subarray(jwst_like(dec=40.0, aberration=aberration)))
    corrected = corrected_of(align(reference, image), image, true).wcs
    assert type(corrected) is gwcs.WCS and "v2v3corr" in corrected.available_frames
    assert "v2v3corr" not in image.wcs.available_frames
    # The inverse and the bounds are those of the pipeline.
    assert np.allclose(corrected.world_to_pixel(corrected.pixel_to_world(20, 90)), (20, 90), atol=1e-3)
    assert corrected.pixel_bounds == image.wcs.pixel_bounds


def test_gwcs_of_another_camera():
    reference, image, true = scene(subarray(ground_like(dec=40.0)))
    corrected = corrected_of(align(reference, image), image, true).wcs
    assert type(corrected) is gwcs.WCS and corrected.available_frames == image.wcs.available_frames


@pytest.mark.parametrize("method", ["slice of NDData", "plane of a cube"])
def test_sliced(method):
    if method == "slice of NDData":
        # As NDData cuts its WCS: the bounding box of the whole camera stays, LOW pixels off.
        part = slice(LOW, LOW + N)
        claimed = HighLevelWCSWrapper(SlicedLowLevelWCS(ground_like(dec=40.0), (part, part)))
    else:
        cube = WCS(naxis=3)
        cube.wcs.ctype = ["RA---TAN", "DEC--TAN", "FREQ"]
        cube.wcs.crval, cube.wcs.crpix = [150, 40, 1e11], [60, 50, 1]
        cube.wcs.cdelt, cube.wcs.cunit = [-SCALE / 3600, SCALE / 3600, 1e6], ["deg", "deg", "Hz"]
        claimed = HighLevelWCSWrapper(SlicedLowLevelWCS(cube, (4, slice(None), slice(None))))
    reference, image, true = scene(claimed)
    corrected = corrected_of(align(reference, image), image, true).wcs
    assert isinstance(corrected.low_level_wcs, RotatedWCS)
    assert np.allclose(corrected.world_to_pixel(corrected.pixel_to_world(20, 90)), (20, 90), atol=1e-6)


def test_detector_that_moved():
    claimed = subarray(ground_like(dec=40.0))
    reference, image, true = scene(claimed)
    found = align(reference, image, kind="detector")
    moved = found.corrected.wcs.pixel_to_world(*(60 + found.shift.value))
    assert moved.separation(claimed.pixel_to_world(60, 60)) < 1e-6 * u.arcsec
    # 0.4 arcsec over 8 arcsec: shift and rotation are the same to 1e-5 pixel.
    assert misplaced(found.corrected.wcs, true) < 4.3 * found.sky_correction.error.max()


def test_ndcube():
    ndcube = pytest.importorskip("ndcube")
    reference, image, true = scene(subarray(ground_like(dec=40.0)))
    image = ndcube.NDCube(
        image.data, wcs=image.wcs, uncertainty=image.uncertainty, unit=image.unit, meta=dict(image.meta)
    )
    corrected_of(align(reference, image), image, true)


def solar_header(crval, shape):
    header = fits.Header()
    header["NAXIS"], header["NAXIS1"], header["NAXIS2"] = 2, shape[1], shape[0]
    header["CTYPE1"], header["CTYPE2"], header["CUNIT1"], header["CUNIT2"] = (
        "HPLN-TAN",
        "HPLT-TAN",
        "arcsec",
        "arcsec",
    )
    header["CRVAL1"], header["CRVAL2"] = crval
    header["CRPIX1"], header["CRPIX2"] = (shape[1] + 1) / 2, (shape[0] + 1) / 2
    header["CDELT1"] = header["CDELT2"] = 0.6
    header["DATE-OBS"], header["DSUN_OBS"] = "2020-01-01T00:00:00", 1.5e11
    header["HGLN_OBS"], header["HGLT_OBS"], header["RSUN_REF"] = 0.0, 7.0, 6.957e8
    return header


def test_solar_maps():
    sunpy_map = pytest.importorskip("sunpy.map")
    rng = np.random.default_rng(4)
    field = ndimage.gaussian_filter(rng.normal(size=(170, 170)), 2, mode="wrap")
    field /= field.std()
    noisy = [field + 0.02 * rng.normal(size=field.shape) for _ in range(2)]
    reference = sunpy_map.Map(noisy[0], solar_header((300.0, -200.0), (170, 170)))
    # Cut out 20 pixels right and 30 up of the lower left corner; the middle of it is 5 and 15 pixels off
    # that of the whole. It claims to lie 4 and -3 arcsec elsewhere.
    cut = noisy[1][30:150, 20:140]
    truth = (300 + (20 + 59.5 - 84.5) * 0.6, -200 + (30 + 59.5 - 84.5) * 0.6)
    image = sunpy_map.Map(cut, solar_header((truth[0] - 4, truth[1] + 3), cut.shape))
    found = align(reference, image, roll="keep-pa")
    assert found.sky_correction.frame.name == "helioprojective"
    assert isinstance(found.corrected, type(image))
    sigma = found.sky_correction.error
    # In a frame of small angles the offsets are differences of Tx and Ty.
    assert abs(found.sky_correction.lon - 4 * u.arcsec) < 4.3 * sigma[0]
    assert abs(found.sky_correction.lat + 3 * u.arcsec) < 4.3 * sigma[1]
    centre = found.corrected.wcs.pixel_to_world(59.5, 59.5)
    assert abs(centre.Tx - truth[0] * u.arcsec) < 4.3 * sigma[0] and sigma[0] < 0.02 * u.arcsec
    assert image.meta["crval1"] == truth[0] - 4
    with pytest.raises(AlreadyCorrectedError, match="applied before"):
        found.correct(found.corrected)
