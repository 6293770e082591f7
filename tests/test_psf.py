"""Two images brought to one resolution by point-spread functions of any shape."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from astroreg.inputs import Frame
from astroreg.resample import match_beams, match_psfs
from astroreg.simulation import SphericalSky, tan_wcs

CENTRE = SkyCoord(83.8 * u.deg, 40 * u.deg)
SKY = SphericalSky(CENTRE, 3 * u.arcmin, smallest=6 * u.arcsec, rng=1)
FINE = tan_wcs((150, 150), centre=CENTRE, pixel_scale=1.5 * u.arcsec, rotation=30 * u.deg)
COARSE = tan_wcs((90, 90), centre=CENTRE, pixel_scale=2 * u.arcsec)


def gaussian(n, major, minor=None, angle=0.0):
    """A Gaussian of full widths in pixels, its major axis at an angle from x towards y."""
    y, x = np.mgrid[:n, :n] - n // 2
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return np.exp(-4 * np.log(2) * ((along / major) ** 2 + (across / (minor or major)) ** 2))


def observed(wcs, shape, fwhm, noise=0.0, rng=1):
    ccd = SKY.observe(wcs, shape, fwhm=fwhm, noise=noise, rng=rng)
    variance = None if ccd.uncertainty is None else ccd.uncertainty.array**2
    return Frame(ccd.data, variance, ccd.mask, ccd.unit, ccd.wcs)


def inside(frame, margin=20):
    cut = (slice(margin, -margin),) * 2
    return frame.data[cut], frame.variance[cut]


@pytest.mark.parametrize("sharper", ["reference", "image"])
def test_gaussians_are_matched_like_beams(sharper):
    fine, coarse = (
        observed(FINE, (150, 150), 6 * u.arcsec, 0.1),
        observed(COARSE, (90, 90), 11 * u.arcsec, 0.1),
    )
    # Each as wide as 5 sigma: the light beyond would be missing in the kernel.
    psfs, beams = (gaussian(31, 6 / 1.5), gaussian(47, 11 / 2)), (6 * u.arcsec, 11 * u.arcsec)
    pair = (fine, coarse)
    if sharper == "image":
        pair, psfs, beams = pair[::-1], psfs[::-1], beams[::-1]
    found = match_psfs(*pair, reference_psf=psfs[0], image_psf=psfs[1])
    expected = match_beams(*pair, reference_beam=beams[0], image_beam=beams[1])
    for one in ("reference", "image"):
        (data, variance), (wanted, noise) = (inside(getattr(m, one)) for m in (found, expected))
        # The beams' kernel is right to 1e-3 in its second moment.
        assert np.abs(data - wanted).max() < 5e-3 * wanted.std()
        np.testing.assert_allclose(variance, noise, rtol=1e-3)
        assert np.isclose(getattr(found, f"{one}_gain"), getattr(expected, f"{one}_gain"), rtol=0.01)
    assert getattr(found, "image" if sharper == "reference" else "reference") is pair[sharper == "reference"]


def test_orientation_and_shape_are_kept():
    # A star seen by one camera, brought to the lopsided function of another, turned and mirrored one.
    mirrored = tan_wcs((90, 90), centre=CENTRE, pixel_scale=2 * u.arcsec, rotation=-70 * u.deg)
    mirrored.wcs.cd = mirrored.wcs.cd @ np.diag([-1, 1])
    mirrored.wcs.set()
    wide = gaussian(61, 9, 5, angle=0.5) + 0.4 * np.roll(gaussian(61, 6), (5, -9), axis=(0, 1))
    star = np.pad(gaussian(41, 4), 60)
    sharp = Frame(
        star, wcs=tan_wcs(star.shape, centre=CENTRE, pixel_scale=1.5 * u.arcsec, rotation=30 * u.deg)
    )
    other = Frame(np.zeros((90, 90)), wcs=mirrored)
    found = match_psfs(sharp, other, reference_psf=gaussian(41, 4), image_psf=wide).reference.data
    # Seen through both WCS, the star has the other camera's function: its value at some of that one's pixels.
    x, y = np.array([30, 24, 37, 30, 21, 33]), np.array([30, 33, 28, 36, 35, 26])
    at = mirrored.pixel_to_world(x - 30 + 44.5, y - 30 + 44.5)
    column, row = (np.rint(v).astype(int) for v in sharp.wcs.world_to_pixel(at))
    there = mirrored.world_to_pixel(sharp.wcs.pixel_to_world(column, row))
    from scipy.ndimage import map_coordinates

    wanted = map_coordinates(wide / wide.sum(), [there[1] - 14.5, there[0] - 14.5], order=5)
    # (1.5 / 2)^2 of one's pixels in one of the other's.
    wanted *= star.sum() * 0.5625
    np.testing.assert_allclose(found[row, column], wanted, rtol=0.02, atol=0.01 * wanted.max())


@pytest.mark.parametrize(
    ("psf", "message"),
    [
        (None, "`image_psf` is missing; give both"),
        (np.ones((4, 5)), r"`image_psf` must have two odd sides, got shape \(4, 5\)"),
        (np.ones(5), r"`image_psf` must have two odd sides, got shape \(5,\)"),
        (np.zeros((5, 5)), "`image_psf` must be finite with a sum > 0"),
        (np.full((5, 5), np.nan), "`image_psf` must be finite"),
    ],
)
def test_impossible_functions(psf, message):
    frame = Frame(np.ones((90, 90)), wcs=COARSE)
    with pytest.raises(ValueError, match=message):
        match_psfs(frame, frame, reference_psf=gaussian(5, 2), image_psf=psf)
