"""correct_wcs on astropy.wcs.WCS objects: the rotation, the detector shift, and what they leave alone."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import FK4, FK5, Galactic, SkyCoord
from astropy.io import fits
from astropy.wcs import PRJ_CODES, WCS, DistortionLookupTable, Sip

from astroreg.exceptions import CorrectionError
from astroreg.sky import SkyCorrection, correct_wcs

# The limit that the package promises; what is reached is 1e-9 but near the poles of projections
# that are not zenithal.
TOLERANCE = 1e-6

# XPH is HPX about the pole, known to wcslib; every code that astropy lists can be inverted.
CODES = [str(code) for code in PRJ_CODES]


def sip_wcs(tools, order=3, size=1e-5):
    """An image with distortions of `size` times the square of the pixel, as in a camera of HST."""
    wcs = tools.read(tools.header("TAN-SIP", A_ORDER=0, B_ORDER=0))
    rng = np.random.default_rng(3)
    a, b = (np.zeros((order + 1, order + 1)) for _ in range(2))
    for matrix in (a, b):
        matrix[2, 0], matrix[1, 1], matrix[0, 2] = size * rng.normal(size=3)
        matrix[3, 0], matrix[0, 3] = 1e-3 * size * rng.normal(size=2)
    wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    wcs.wcs.set()
    return wcs


def with_tables(wcs):
    """Lookup tables in pixels, smooth and a third of a pixel high, before the matrix."""
    x, y = np.meshgrid(np.linspace(-1, 1, 16), np.linspace(-1, 1, 20))
    for name, values in (("cpdis1", 0.3 * x * y), ("cpdis2", 0.2 * np.cos(3 * x)), ("det2im1", 0.1 * y)):
        table = DistortionLookupTable(values.astype(np.float32), (1.0, 1.0), (1.0, 1.0), (14.0, 14.0))
        setattr(wcs, name, table)
    return wcs


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(("dec", "offset"), [(0.0, 30.0), (60.0, 300.0), (89.9, 0.1)])
def test_every_projection(tools, code, dec, offset):
    wcs = tools.read(tools.header(code, "cd", dec))
    correction = tools.correction(wcs, offset)
    assert tools.offset_pixels(wcs, correct_wcs(wcs, correction), correction) < TOLERANCE


@pytest.mark.parametrize("code", ["TAN", "CAR", "COE"])
@pytest.mark.parametrize("dec", [90.0, -90.0, 89.99999, 1e-9, -1e-9])
@pytest.mark.parametrize("offset", [0.1, 30.0])
def test_reference_pixel_at_a_pole_and_at_the_equator(tools, code, dec, offset):
    """Where CRVAL and LONPOLE do not determine the native pole well."""
    wcs = tools.read(tools.header(code, "pc", dec))
    for angle in (10, 130, 250):
        correction = tools.correction(wcs, offset, angle=angle)
        assert tools.offset_pixels(wcs, correct_wcs(wcs, correction), correction) < TOLERANCE


@pytest.mark.parametrize("form", ["cd", "pc", "crota", "cdelt"])
@pytest.mark.parametrize("unit", ["deg", "arcsec"])
@pytest.mark.parametrize("dec_first", [False, True])
def test_every_form_of_the_matrix(tools, form, unit, dec_first):
    wcs = tools.read(tools.header("TAN", form, unit=unit, dec_first=dec_first))
    correction = tools.correction(wcs, 30.0)
    corrected = correct_wcs(wcs, correction)
    assert tools.offset_pixels(wcs, corrected, correction) < TOLERANCE
    # a zenithal projection keeps its LONPOLE: other software reads the matrix, not always that
    assert corrected.wcs.lonpole == wcs.wcs.lonpole


@pytest.mark.parametrize("ra", [0.0, 1e-4, 359.9999])
def test_across_the_zero_of_right_ascension(tools, ra):
    wcs = tools.read(tools.header(ra=ra))
    for angle in (90.0, 270.0):
        correction = tools.correction(wcs, 30.0, angle=angle)
        assert tools.offset_pixels(wcs, correct_wcs(wcs, correction), correction) < TOLERANCE


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("TAN", {"LONPOLE": 170.0}),
        ("TAN", {"PV1_3": 170.0, "PV1_4": 60.0}),
        ("CAR", {"PV1_0": 1.0, "PV1_1": 10.0, "PV1_2": 20.0}),
        ("SIN", {"PV2_1": 0.1, "PV2_2": 0.05}),
        ("NCP", {}),
        ("TPV", {"PV1_1": 1.0, "PV2_1": 1.01, "PV1_4": 0.5, "PV2_5": 0.7}),
        ("TAN", {"PV1_1": 1.0, "PV2_1": 1.01, "PV1_4": 0.5, "PV2_5": 0.7}),
    ],
    ids=["lonpole", "lonpole-as-pv", "fiducial", "slant-sin", "ncp", "tpv", "tpv-called-tan"],
)
def test_orientations_and_distortions_behind_the_matrix(tools, code, extra):
    wcs = tools.read(tools.header(code, **extra))
    for offset in (0.1, 300.0):
        correction = tools.correction(wcs, offset)
        assert tools.offset_pixels(wcs, correct_wcs(wcs, correction), correction) < TOLERANCE


def test_distortions_before_the_matrix(tools):
    wcs = with_tables(sip_wcs(tools))
    correction = tools.correction(wcs, 300.0)
    corrected = correct_wcs(wcs, correction)
    assert tools.offset_pixels(wcs, corrected, correction) < TOLERANCE
    np.testing.assert_array_equal(corrected.sip.a, wcs.sip.a)
    np.testing.assert_array_equal(corrected.wcs.crpix, wcs.wcs.crpix)


@pytest.mark.parametrize("naxis", [3, 4])
def test_only_the_celestial_axes_of_a_cube_turn(tools, naxis):
    wcs = WCS(naxis=naxis)
    types = ["RA---TAN", "FREQ", "DEC--TAN", "STOKES"][:naxis]
    wcs.wcs.ctype = types
    wcs.wcs.crval = [150.0, 1.4e9, 60.0, 1.0][:naxis]
    wcs.wcs.crpix = [100.0, 7.0, 110.0, 1.0][:naxis]
    wcs.wcs.cdelt = [-5e-5, 1e6, 5e-5, 1.0][:naxis]
    wcs.wcs.set()
    correction = tools.correction(wcs.celestial, 30.0)
    corrected = correct_wcs(wcs, correction)
    assert tools.offset_pixels(wcs.celestial, corrected.celestial, correction) < TOLERANCE
    pixels = np.random.default_rng(1).uniform(0, 200, (20, naxis))
    before, after = (w.wcs_pix2world(pixels, 0) for w in (wcs, corrected))
    np.testing.assert_array_equal(after[:, 1], before[:, 1])


def test_cube_with_a_matrix_that_mixes_sky_and_spectrum(tools):
    wcs = WCS(naxis=3)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN", "FREQ"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [150.0, 60.0, 1.4e9], [50.0, 60.0, 3.0], [-5e-5, 5e-5, 1e6]
    wcs.wcs.pc = [[1, 0, 0.2], [0, 1, 0.1], [0, 0, 1]]
    wcs.wcs.set()
    pivot, true = (
        SkyCoord(*wcs.wcs_pix2world([pixel], 0)[0][:2] * u.deg) for pixel in ([10, 20, 2], [11, 25, 2])
    )
    correction = SkyCorrection.from_coordinates(pivot, true)
    corrected = correct_wcs(wcs, correction)
    pixels = np.random.default_rng(1).uniform(0, 100, (20, 3))
    before, after = (w.wcs_pix2world(pixels, 0) for w in (wcs, corrected))
    wanted = correction.apply(SkyCoord(*before[:, :2].T * u.deg))
    assert np.max(wanted.separation(SkyCoord(*after[:, :2].T * u.deg)).arcsec) < TOLERANCE * 0.18


@pytest.mark.parametrize("frame", [Galactic(), FK5(), FK5(equinox="J1975")])
def test_correction_told_in_another_frame(tools, frame):
    wcs = tools.read(tools.header())
    correction = tools.correction(wcs, 30.0)
    corrected = correct_wcs(wcs, correction.transform_to(frame))
    assert tools.offset_pixels(wcs, corrected, correction) < TOLERANCE


def test_fk4_image_takes_only_a_correction_in_fk4(tools):
    wcs = tools.read(tools.header(RADESYS="FK4", EQUINOX=1950.0))
    correction = tools.correction(wcs, 30.0)
    assert correction.frame.is_equivalent_frame(FK4(equinox="B1950"))
    assert tools.offset_pixels(wcs, correct_wcs(wcs, correction), correction) < TOLERANCE
    elsewhere = tools.correction(tools.read(tools.header()), 30.0)
    with pytest.raises(CorrectionError, match="pure rotation"):
        correct_wcs(wcs, elsewhere)


@pytest.mark.parametrize("system", ["HP", "SO", "E"])
def test_other_celestial_axes(tools, system):
    """Helioprojective, unknown and ecliptic axes turn in their own frame."""
    names = {"HP": ("HPLN", "HPLT"), "SO": ("SOLN", "SOLT"), "E": ("ELON", "ELAT")}[system]
    header = tools.header(dec=0.1, ra=0.2)
    del header["RADESYS"]
    header["CTYPE1"], header["CTYPE2"] = (f"{name}-TAN" for name in names)
    wcs = tools.read(header)
    correction = SkyCorrection.from_shift(wcs, (20.0, -30.0), pivot_pixel=(40, 50))
    moved = correct_wcs(wcs, correction)
    # At 0.2 deg from the origin of a flat frame the rotation is a shift to 1e-5 of itself.
    found = np.array(moved.wcs_pix2world([[150, 150]], 0)) - wcs.wcs_pix2world([[130, 180]], 0)
    assert np.max(np.abs(found - 360 * np.round(found / 360))) * 3600 / tools.scale < 36 * 1e-4


@pytest.mark.parametrize("roll", ["keep-pa", 0.3 * u.deg])
def test_roll_policies(tools, roll):
    wcs = tools.read(tools.header())
    correction = tools.correction(wcs, 30.0)
    rolled = correction.with_roll(roll)
    corrected = correct_wcs(wcs, correction, roll=roll)
    assert tools.offset_pixels(wcs, corrected, rolled) < TOLERANCE
    # 30" at dec 60: 0.36 px at the corner of 2048 pixels, 0.05 here; 0.3 deg: 1 px
    assert tools.offset_pixels(wcs, corrected, correction) > 0.01


def test_one_rotation_for_all_chips(tools):
    """Chips stay rigid: distances between their pixels do not change."""
    first = tools.read(tools.header())
    second = tools.read(tools.header(CRPIX1=-1900.0))
    correction = tools.correction(first, 30.0)
    moved = [correct_wcs(wcs, correction) for wcs in (first, second)]
    before = first.pixel_to_world(0, 0).separation(second.pixel_to_world(50, 60))
    after = moved[0].pixel_to_world(0, 0).separation(moved[1].pixel_to_world(50, 60))
    assert (after - before).to_value(u.arcsec) / tools.scale == pytest.approx(0, abs=TOLERANCE)


def test_correction_and_inverse_give_the_nominal_wcs(tools):
    wcs = tools.read(tools.header())
    correction = tools.correction(wcs, 300.0)
    back = correct_wcs(correct_wcs(wcs, correction), correction.inverse())
    x, y = tools.grid()
    assert np.max(back.pixel_to_world(x, y).separation(wcs.pixel_to_world(x, y)).arcsec) < 1e-9


def test_the_input_is_not_changed_and_its_shape_is_kept(tools):
    wcs = sip_wcs(tools)
    before = wcs.to_header(relax=True).tostring()
    corrected = correct_wcs(wcs, tools.correction(wcs, 30.0))
    assert wcs.to_header(relax=True).tostring() == before
    assert corrected.pixel_shape == wcs.pixel_shape
    assert type(corrected) is type(wcs)


def test_written_and_read_again(tools):
    """CCDData.to_hdu and other writers go through to_header."""
    for code in ("TAN", "SFL"):
        wcs = tools.read(tools.header(code))
        correction = tools.correction(wcs, 30.0)
        corrected = correct_wcs(wcs, correction)
        assert tools.offset_pixels(wcs, WCS(corrected.to_header(relax=True)), correction) < TOLERANCE


# -- a shift of the detector --------------------------------------------------------------------


@pytest.mark.parametrize("tables", [False, True])
def test_detector_shift_moves_the_distortions_along(tools, tables):
    wcs = with_tables(sip_wcs(tools, size=1e-4)) if tables else sip_wcs(tools, size=1e-4)
    shift = np.array([7.25, -5.5])
    correction = SkyCorrection.from_shift(wcs, shift, pivot_pixel=(60, 90))
    corrected = correct_wcs(wcs, correction, kind="detector")
    x, y = tools.grid()
    wanted = wcs.pixel_to_world(x - shift[0], y - shift[1])
    # Tables are in single precision, and linear between their nodes: 1e-6 px of a 0.3 px table.
    assert np.max(wanted.separation(corrected.pixel_to_world(x, y)).arcsec) / tools.scale < TOLERANCE


def test_detector_shift_is_that_of_a_cut_out(tools):
    """Trimming pixels without telling the WCS is put right to the last digit."""
    wcs = sip_wcs(tools, size=1e-4)
    trimmed = wcs[12:, 30:]
    # the content of pixel p of the cut-out is at p + (30, 12) of the uncut image
    correction = SkyCorrection.from_shift(wcs, [-30.0, -12.0], pivot_pixel=(60, 90))
    corrected = correct_wcs(wcs, correction, kind="detector")
    x, y = tools.grid()
    assert np.max(corrected.pixel_to_world(x, y).separation(trimmed.pixel_to_world(x, y)).arcsec) < 1e-7


# -- refusals -----------------------------------------------------------------------------------


def test_impossible_requests_are_refused(tools):
    wcs = tools.read(tools.header())
    correction = tools.correction(wcs, 1.0)
    with pytest.raises(ValueError, match="`kind` must be 'pointing' or 'detector', got 'both'"):
        correct_wcs(wcs, correction, kind="both")
    with pytest.raises(ValueError, match="`roll` has no meaning with kind='detector'"):
        correct_wcs(wcs, correction, kind="detector", roll="keep-pa")
    with pytest.raises(TypeError, match="`correction` must be a SkyCorrection, got tuple"):
        correct_wcs(wcs, (1, 2))
    with pytest.raises(CorrectionError, match="no pair of celestial axes"):
        correct_wcs(WCS(naxis=2), correction)
    with pytest.raises(CorrectionError, match="no pair of celestial axes in a projection"):
        correct_wcs(WCS(fits.Header([("CTYPE1", "RA"), ("CTYPE2", "DEC")])), correction)
