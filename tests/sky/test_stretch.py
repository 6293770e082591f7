"""Corrections that stretch the sky, of scale and general linear models: every way to apply them."""

import io
import warnings

import astropy.units as u
import gwcs  # noqa: F401 - the cameras are made with it
import numpy as np
import pytest
from astropy.coordinates import Galactic, SkyCoord
from astropy.wcs.wcsapi import HighLevelWCSWrapper, SlicedLowLevelWCS

from astroreg.exceptions import AstroregWarning, CorrectionError
from astroreg.sky import SkyCorrection, correct_header, correct_wcs, restore_header
from tests.sky.cameras import SIZE, ground_like, jwst_like

# The stretch in the plane of projection differs from that about the pivot by less than
# (k - 1) (field)^2 = 0.03 (20 arcsec / 206265)^2 of the field of 200 pixels: 1e-7 pixel and less.
TOLERANCE = 1e-6
STRETCH = [[1.03, 0.01], [0.01, 0.98]]


def stretched(wcs, *, stretch=STRETCH, pixel=(60.0, 200.0), roll=3.0, offset=(20.0, -8.0)):
    """A correction with an offset in arcsec, a roll in degree and a stretch, about one pixel."""
    pivot = wcs.pixel_to_world(*pixel)
    place = pivot.spherical_offsets_by(*(value * u.arcsec for value in offset))
    turn = SkyCorrection.from_coordinates(pivot, place).with_roll(roll * u.deg)
    return SkyCorrection(turn.rotation_vector, pivot, np.diag([1e-4, 4e-4]) * u.arcsec**2, stretch)


def test_what_it_does_to_lengths_and_angles():
    # 100 arcsec East and North of the pivot: the plane is flat there to (100 arcsec)^3, 2e-5 arcsec.
    pivot = SkyCoord(150 * u.deg, 30 * u.deg)
    correction = SkyCorrection(np.zeros(3), pivot, None, STRETCH)
    for offset in ((100, 0), (0, 100)):
        moved = correction.apply(pivot.spherical_offsets_by(*(offset * u.arcsec)))
        lon, lat = (value.to_value(u.arcsec) for value in pivot.spherical_offsets_to(moved))
        assert np.allclose([lon, lat], np.array(STRETCH) @ offset, rtol=0, atol=1e-4)
    assert correction.apply(pivot).separation(pivot) < 1e-9 * u.arcsec


@pytest.mark.parametrize(
    ("code", "form", "dec", "unit"),
    [
        ("TAN", "cd", 60.0, "arcsec"),
        ("TAN", "pc", 0.0, "deg"),
        ("TAN", "crota", 60.0, "deg"),
        ("TAN", "cdelt", -89.9, "arcsec"),
        ("SIN", "cd", 89.9, "deg"),
        ("ZEA", "pc", 60.0, "arcsec"),
        ("CAR", "cd", 30.0, "deg"),
        ("SFL", "crota", 40.0, "deg"),
    ],
)
def test_headers_and_wcs(tools, code, form, dec, unit):
    header = tools.header(code, form, dec, unit=unit)
    before = header.tostring()
    nominal = tools.read(header)
    correction = stretched(nominal)
    corrected = correct_header(header, correction)
    assert tools.offset_pixels(nominal, tools.read(corrected), correction) < TOLERANCE
    assert tools.offset_pixels(nominal, correct_wcs(nominal, correction), correction) < TOLERANCE
    restored = restore_header(corrected)
    assert [restored.cards[name].image for name in header if name] == [c.image for c in header.cards]
    assert header.tostring() == before


def test_a_sip_polynomial_stays_as_it_is(tools):
    sip = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 2e-5, "B_1_1": -1e-5}
    header = tools.header("TAN-SIP", "cd", **sip)
    nominal = tools.read(header)
    correction = stretched(nominal)
    corrected = correct_header(header, correction)
    assert tools.offset_pixels(nominal, tools.read(corrected), correction) < TOLERANCE
    assert [corrected[name] for name in sip] == list(sip.values())


def test_a_polynomial_behind_the_matrix_is_refused(tools):
    # PV1_4 is a term x^2 of TPV: stretched before it instead of after, 0.03 x 40 x^2 with x = 20 arcsec
    # = 0.0056 deg is off by 0.7 pixel.
    header = tools.header("TPV", "cd", PV1_1=1.0, PV1_4=40.0, PV2_1=1.0)
    with pytest.raises(CorrectionError, match="cannot express the stretch"):
        correct_header(header, stretched(tools.read(header)))


def test_history_tells_the_turn_and_the_stretch(tools):
    header = tools.header()
    corrected = correct_header(header, stretched(tools.read(header)))
    text = " ".join(corrected["HISTORY"])
    assert "turned by +3.0000000 deg (North through East)" in text
    assert "lon 1.03000000 lat 0.98000000" in text


def test_a_rotation_without_stretch_is_exact(tools):
    header = tools.header("TPV", "cd", PV1_1=1.0, PV1_4=40.0, PV2_1=1.0)
    nominal = tools.read(header)
    correction = stretched(nominal, stretch=None)
    assert (
        tools.offset_pixels(nominal, tools.read(correct_header(header, correction)), correction) < TOLERANCE
    )


def test_generalized_wcs():
    nominal = ground_like()
    correction = stretched(nominal, pixel=(SIZE / 2, SIZE / 2))
    corrected = correct_wcs(nominal, correction)
    assert type(corrected) is type(nominal)
    x, y = np.meshgrid(np.linspace(0, SIZE - 1, 7), np.linspace(0, SIZE - 1, 7))
    wanted = correction.apply(nominal.pixel_to_world(x, y))
    assert corrected.pixel_to_world(x, y).separation(wanted).max() < 1e-7 * u.arcsec
    back = corrected.world_to_pixel(wanted)
    assert np.allclose(back, (x, y), rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Importing sunpy", "ignore:asdf.extensions plugin")
def test_a_stretched_generalized_wcs_can_be_written_and_taken_back():
    asdf = pytest.importorskip("asdf")
    nominal = ground_like()
    correction = stretched(nominal, pixel=(SIZE / 2, SIZE / 2))
    corrected = correct_wcs(nominal, correction)
    file = io.BytesIO()
    asdf.AsdfFile({"wcs": corrected}).write_to(file)
    file.seek(0)
    with asdf.open(file) as tree:
        # The numbers are the same; matrices that lie elsewhere in memory may be multiplied in another order.
        np.testing.assert_array_max_ulp(
            np.array(tree["wcs"](3.0, 5.0)), np.array(corrected(3.0, 5.0)), maxulp=4
        )
    back = correct_wcs(corrected, correction.inverse())
    assert back.pixel_to_world(3, 5).separation(nominal.pixel_to_world(3, 5)) < 1e-8 * u.arcsec


def test_the_tangent_plane_of_jwst():
    nominal = jwst_like()
    correction = stretched(nominal, pixel=(SIZE / 2, SIZE / 2), offset=(0.3, -0.2), roll=0.5)
    corrected = correct_wcs(nominal, correction)
    assert "v2v3corr" in corrected.available_frames
    x, y = np.meshgrid(np.linspace(0, SIZE - 1, 7), np.linspace(0, SIZE - 1, 7))
    wanted = correction.apply(nominal.pixel_to_world(x, y))
    # an affine map of the tangent plane at V2, V3 of the aperture: 1e-3 pixel of 0.1 arcsec and better
    assert corrected.pixel_to_world(x, y).separation(wanted).max() < 1e-4 * u.arcsec


def test_any_other_wcs_is_wrapped(tools):
    nominal = HighLevelWCSWrapper(SlicedLowLevelWCS(tools.read(tools.header()), [slice(10, 190)] * 2))
    correction = stretched(nominal)
    corrected = correct_wcs(nominal, correction)
    x, y = tools.grid()
    wanted = correction.apply(nominal.pixel_to_world(x, y))
    assert corrected.pixel_to_world(x, y).separation(wanted).max() < 1e-8 * u.arcsec
    assert np.allclose(corrected.world_to_pixel(wanted), (x, y), rtol=0, atol=1e-6)


def test_inverse_frame_and_table(tools):
    nominal = tools.read(tools.header())
    correction = stretched(nominal)
    place = nominal.pixel_to_world(10, 20)
    moved = correction.apply(place)
    assert correction.inverse().apply(moved).separation(place) < 1e-9 * u.arcsec
    assert correction.transform_to(Galactic()).apply(place).separation(moved) < 1e-8 * u.arcsec
    again = SkyCorrection.from_table(correction.to_table())
    assert np.array_equal(again.stretch, correction.stretch)
    assert again.identity == correction.identity
    assert correction.identity != stretched(nominal, stretch=None).identity
    assert "stretched about the pivot by lon 1.030000" in str(correction)


def test_composition():
    pivot = SkyCoord(150 * u.deg, 30 * u.deg)
    first = SkyCorrection(np.zeros(3), pivot, None, STRETCH)
    second = SkyCorrection.from_coordinates(pivot, pivot.spherical_offsets_by(5 * u.arcsec, 0 * u.arcsec))
    place = pivot.spherical_offsets_by(30 * u.arcsec, 10 * u.arcsec)
    both = first.compose(second)
    assert both.apply(place).separation(second.apply(first.apply(place))) < 1e-9 * u.arcsec
    with pytest.raises(CorrectionError, match="`other` stretches the sky"):
        second.compose(first)


@pytest.mark.parametrize(
    ("stretch", "message"),
    [
        (np.eye(3), "`stretch` must be a finite 2x2 matrix"),
        ([[np.nan, 0], [0, 1]], "`stretch` must be a finite 2x2 matrix"),
        ([[1, 0.1], [-0.1, 1]], "`stretch` must be symmetric"),
        ([[1, 0], [0, 3]], "from 0.5 to 2"),
        ("nonsense", "`stretch` cannot be used"),
    ],
)
def test_impossible_stretches(stretch, message):
    with pytest.raises(ValueError, match=message):
        SkyCorrection(np.zeros(3), SkyCoord(0 * u.deg, 0 * u.deg), None, stretch)


def test_a_detector_does_not_stretch_the_sky(tools):
    nominal = tools.read(tools.header())
    with pytest.raises(ValueError, match="`kind` must be 'pointing'"):
        correct_wcs(nominal, stretched(nominal), kind="detector")


def test_a_region_is_stretched_too(tools):
    header = tools.header(S_REGION="POLYGON ICRS 150.0 60.0 150.01 60.0 150.01 60.01")
    nominal = tools.read(header)
    correction = stretched(nominal)
    with warnings.catch_warnings():
        warnings.simplefilter("error", AstroregWarning)
        words = correct_header(header, correction)["S_REGION"].split()
    first = SkyCoord(float(words[2]) * u.deg, float(words[3]) * u.deg)
    # nine decimals of a degree: 4e-6 arcsec
    assert first.separation(correction.apply(SkyCoord(150 * u.deg, 60 * u.deg))) < 1e-5 * u.arcsec
