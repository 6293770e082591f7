"""`align` with rotation, scale and general linear maps: the corrected WCS against the true one."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import Galactic
from astropy.io import fits
from astropy.nddata import CCDData, NDData, StdDevUncertainty
from astropy.wcs import WCS

from astroreg import AstroregWarning, CorrectionError, ShiftFlag, align, restore_header
from astroreg.simulation import SphericalSky, tan_wcs
from astroreg.sky import SkyCorrection, correct_wcs
from tests.sky.cameras import SCALE, ground_like
from tests.test_align_wcs import subarray

N = 120
OPTICS = {"fwhm": 3 * u.arcsec, "noise": 0.04}
SKY = SphericalSky(radius=2.6 * u.arcmin, smallest=3 * u.arcsec, rng=11)
REFERENCE = tan_wcs((160, 160), rotation=30 * u.deg)
TRUE = tan_wcs((N, N), rotation=20 * u.deg)
OFFSET = (6.0, -4.0)  # arcsec, of a pixel each

# Tile shifts have errors of some 0.03 pixel here. 16 of them tell rotation and scale to 0.03 / (4 x 38 pixels
# rms from the pivot) = 2e-4, or 0.02 pixel in a corner at 85 pixels, and the shift to 0.01: 0.15 pixel is six
# sigma of any corner.
TOLERANCE = 0.15


def wrong(true, *, stretch=None, roll=0.0, offset=OFFSET, shape=(N, N)):
    """What a camera claims that is wrong by a stretch, a roll in degree and an offset in arcsec."""
    middle = true.pixel_to_world((shape[1] - 1) / 2, (shape[0] - 1) / 2)
    moved = middle.spherical_offsets_by(*(value * u.arcsec for value in offset))
    error = SkyCorrection.from_coordinates(middle, moved).with_roll(roll * u.deg)
    return correct_wcs(true, SkyCorrection(error.rotation_vector, middle, None, stretch))


def observed(claimed, true=TRUE, *, noise=OPTICS["noise"], seed=2):
    """An image of the sky whose header claims something else than the truth."""
    return SKY.observe(true, (N, N), fwhm=OPTICS["fwhm"], noise=noise, claimed_wcs=claimed, rng=seed)


@pytest.fixture(scope="module")
def reference():
    return SKY.observe(REFERENCE, rng=1, **OPTICS)


def misplaced(corrected, true=TRUE):
    """Largest distance, in pixels, over the corners and the middle."""
    x, y = np.array([0, 1, 0, 1, 0.5]) * (N - 1), np.array([0, 0, 1, 1, 0.5]) * (N - 1)
    found = np.array(true.world_to_pixel(corrected.pixel_to_world(x, y)))
    return np.hypot(*(found - [x, y])).max()


CASES = {
    "rshift": {"roll": 2.0},
    "rscale": {"roll": -2.0, "stretch": np.eye(2) * 1.02},
    "general": {"roll": 1.0, "stretch": [[1.02, 0.008], [0.008, 0.985]]},
}


@pytest.mark.parametrize("geometry", CASES)
def test_the_true_coordinates_come_back(reference, geometry):
    claimed = wrong(TRUE, **CASES[geometry])
    image = observed(claimed)
    header = claimed.to_header()
    assert misplaced(claimed) > 5
    found = align(reference, image, geometry="auto", tiles=4)
    assert found.geometry == geometry
    assert found.ok
    assert misplaced(found.corrected.wcs) < TOLERANCE
    assert misplaced(found.corrected_wcs()) < TOLERANCE
    assert image.wcs.to_header() == header
    # the roll that is told is the one to add to the position angles: the error, with the other sign
    model = found.field.model
    assert abs(abs(model.rotation.value) - abs(CASES[geometry]["roll"])) < 5 * model.rotation_error.value
    assert found.sky_correction.roll.value == pytest.approx(-CASES[geometry]["roll"], abs=0.1)
    assert (found.sky_correction.stretch is None) == (geometry == "rshift")


def test_scale_and_its_error(reference):
    # The image's pixels are said to be 2 % larger than they are: as if its content was too small by that.
    found = align(reference, observed(wrong(TRUE, **CASES["rscale"])), geometry="rscale", tiles=4)
    model = found.field.model
    assert abs(model.scale - 1.02) < 5 * model.scale_error
    assert model.scale_error < 2e-3
    assert np.allclose(found.sky_correction.stretch, np.eye(2) / model.scale, rtol=0, atol=1e-9)


def test_a_shift_stays_the_shift_of_the_whole_image(reference):
    image = observed(wrong(TRUE))
    plain, auto = (align(reference, image, **options) for options in ({}, {"geometry": "auto", "tiles": 3}))
    assert auto.geometry == plain.geometry == "shift"
    assert np.array_equal(auto.shift, plain.shift)
    assert np.array_equal(auto.covariance, plain.covariance)
    assert plain.field is None
    assert set(auto.field.models) == {"shift", "rshift", "rscale", "general"}
    # The tiles say the same, at the pivot that both tell it at but for a pixel.
    assert np.abs((auto.field.model.shift - plain.shift).value).max() < 0.1


def test_other_grids_frames_and_units(reference):
    centre = REFERENCE.pixel_to_world(80, 80).transform_to(Galactic())
    other = tan_wcs((130, 130), centre=centre, rotation=-70 * u.deg, pixel_scale=1.3 * u.arcsec)
    seen = SKY.observe(other, rng=5, scale=3, unit="Jy", fwhm=OPTICS["fwhm"], noise=0.1)
    found = align(seen, observed(wrong(TRUE, **CASES["rscale"])), geometry="auto", tiles=4)
    assert found.geometry == "rscale"
    assert misplaced(found.corrected.wcs) < 2 * TOLERANCE  # the noise is that of another detector


def test_mirrored_pixels_that_are_not_square(reference):
    true = TRUE.deepcopy()
    true.wcs.cd = TRUE.wcs.cd * [-1.3, 0.9]
    true.wcs.set()
    found = align(reference, observed(wrong(true, **CASES["rscale"]), true), geometry="auto", tiles=4)
    assert found.geometry == "rscale"
    assert misplaced(found.corrected.wcs, true) < TOLERANCE


def test_a_distorted_camera(reference):
    header = TRUE.to_header()
    header.update({"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2})
    header.update({"A_2_0": 2e-4, "B_1_1": -1e-4})
    true = WCS(header)
    true.pixel_shape = (N, N)
    found = align(reference, observed(wrong(true, **CASES["rscale"]), true), geometry="rscale", tiles=4)
    assert misplaced(found.corrected.wcs, true) < TOLERANCE
    assert np.array_equal(found.corrected.wcs.sip.a, true.sip.a)


def test_a_generalized_wcs():
    true = subarray(ground_like())
    claimed = wrong(true, roll=1.5, stretch=1.015 * np.eye(2), offset=(4 * SCALE, -6 * SCALE))
    middle = true.pixel_to_world((N - 1) / 2, (N - 1) / 2)
    sky = SphericalSky(middle.icrs, 130 * SCALE * u.arcsec, smallest=3 * SCALE * u.arcsec, rng=3)
    mosaic = tan_wcs((160, 160), centre=middle.icrs, pixel_scale=SCALE * u.arcsec, rotation=15 * u.deg)
    optics = {"fwhm": 3 * SCALE * u.arcsec, "noise": 0.04}
    seen = sky.observe(true, (N, N), claimed_wcs=mosaic, rng=5, **optics)
    sigma = StdDevUncertainty(seen.uncertainty.array)
    image = NDData(seen.data, uncertainty=sigma, mask=seen.mask, unit=seen.unit, wcs=claimed)
    found = align(sky.observe(mosaic, rng=4, **optics), image, geometry="rscale", tiles=4)
    assert found.ok
    assert type(found.corrected.wcs.low_level_wcs) is type(true)
    x, y = np.array([0, 1, 0, 1, 0.5]) * (N - 1), np.array([0, 0, 1, 1, 0.5]) * (N - 1)
    off = found.corrected.wcs.pixel_to_world(x, y).separation(true.pixel_to_world(x, y))
    assert off.max() < TOLERANCE * SCALE * u.arcsec


def test_a_header_takes_the_model_and_gives_it_back(reference):
    claimed = wrong(TRUE, **CASES["general"])
    header = fits.Header.fromstring(claimed.to_header().tostring())
    image = observed(claimed)
    found = align(reference, (image.data, header), geometry="general", tiles=4)
    data, corrected = found.corrected
    assert np.array_equal(data, image.data)
    assert misplaced(WCS(corrected)) < TOLERANCE
    text = " ".join(str(corrected["HISTORY"]).split())
    assert "geometry general, from 16 of 16 tiles" in text
    assert "stretched about it" in text
    restored = restore_header(corrected)
    assert [restored.cards[name].image for name in header] == [card.image for card in header.cards]


def test_what_is_told(reference):
    found = align(reference, observed(wrong(TRUE, **CASES["rscale"])), geometry="rscale", tiles=4)
    lines = str(found).splitlines()
    assert lines[0].startswith("dx = ")
    assert any(line.startswith("geometry: rscale, from 16 of 16 tiles") for line in lines)
    assert any(line.startswith("rotation: ") and line.endswith(" deg") for line in lines)
    assert any(line.startswith("scale of lengths: 1.0") for line in lines)
    assert "scale of lengths" in found._repr_html_()
    assert found.to_table().colnames == align(reference, observed(TRUE)).to_table().colnames
    # 400 pixels of 3 arcsec beams in a tile and 16 tiles: the flux scale is 1 to a per cent
    assert abs(found.scale.value - 1) < 5 * found.scale_error.value
    assert found.scale_error.value < 0.02


def test_noise_alone_is_not_corrected(reference):
    rng = np.random.default_rng(9)
    noise = CCDData(rng.standard_normal((N, N)), unit="adu", wcs=TRUE)
    with pytest.warns(AstroregWarning, match="the WCS was not corrected: NO_SIGNAL"):
        found = align(reference, noise, geometry="rscale", tiles=3)
    assert ShiftFlag.NO_SIGNAL in found.flags
    assert found.corrected is None
    assert found.sky_correction is None
    assert np.isnan(found.shift.value).all()


def test_a_wcs_that_cannot_express_it(reference):
    header = TRUE.to_header()
    # A quadratic term of TPV, 1 % at the edge: stretched before it instead of after is off by 0.02 pixel.
    header.update({"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": 1.0, "PV1_4": 8.0, "PV2_1": 1.0})
    true = WCS(header)
    true.pixel_shape = (N, N)
    image = observed(wrong(true, roll=1.0), true)
    rotated = align(reference, image, geometry="rshift", tiles=4)
    assert misplaced(rotated.corrected.wcs, true) < TOLERANCE
    squeezed = observed(
        wrong(true, roll=1.0),
        correct_wcs(
            TRUE, SkyCorrection(np.zeros(3), TRUE.pixel_to_world(N / 2, N / 2), None, 0.95 * np.eye(2))
        ),
    )
    with pytest.raises(CorrectionError, match=r'cannot express the stretch.*geometry="rshift"'):
        align(reference, squeezed, geometry="rscale", tiles=4)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"geometry": "affine"}, ValueError, "`geometry` must be"),
        ({"geometry": "rscale", "kind": "detector"}, ValueError, '`kind` must be "pointing"'),
        ({"geometry": "auto", "roll": "keep-pa"}, ValueError, "`roll` is measured"),
        ({"geometry": "auto", "roll": 1 * u.deg}, ValueError, "`roll` is measured"),
        ({"tiles": 4}, ValueError, '`tiles` has no meaning with geometry="shift"'),
        ({"geometry": "auto", "tiles": 60}, ValueError, "`tiles` makes tiles of 2 pixels"),
    ],
)
def test_bad_options(reference, options, error, message):
    with pytest.raises(error, match=message):
        align(reference, observed(TRUE), **options)
