"""SkyCorrection against spherical trigonometry, Monte Carlo and its own inverse."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import FK4, FK5, ICRS, Galactic, SkyCoord
from astropy.table import QTable, vstack
from astropy.wcs import WCS

from astroreg.exceptions import CorrectionError
from astroreg.sky import SkyCorrection
from astroreg.sky.frames import UnlistedFrame

COVARIANCE = np.array([[4.0, 1.5], [1.5, 2.0]]) * 1e-4 * u.arcsec**2

# Coordinates are doubles in degree: 360 deg * 2e-16 = 3e-10 arcsec, a few of them.
ROUNDING = 2e-9


def pair(lat=60.0, offset=30.0, angle=70.0, frame=None):
    nominal = SkyCoord(210.0 * u.deg, lat * u.deg, frame=ICRS() if frame is None else frame)
    return nominal, nominal.directional_offset_by(angle * u.deg, offset * u.arcsec)


def tan_wcs(lat=60.0, scale=0.2, skew=0.0):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [210.0, lat]
    wcs.wcs.crpix = [101.0, 81.0]
    wcs.wcs.cd = np.array([[-0.8, 0.6 + skew], [0.6, 0.8]]) * scale / 3600
    wcs.pixel_shape = (200, 160)
    wcs.wcs.set()
    return wcs


@pytest.mark.parametrize("frame", [ICRS(), FK5(), FK4(), Galactic()])
@pytest.mark.parametrize("lat", [0.0, 60.0, 89.9, -90.0])
def test_offsets_are_those_of_astropy(frame, lat):
    nominal, true = pair(lat, frame=frame)
    correction = SkyCorrection.from_coordinates(nominal, true)
    lon, lat = nominal.spherical_offsets_to(true)
    assert correction.lon.to_value(u.arcsec) == pytest.approx(lon.to_value(u.arcsec), abs=ROUNDING)
    assert correction.lat.to_value(u.arcsec) == pytest.approx(lat.to_value(u.arcsec), abs=ROUNDING)
    assert correction.separation.to_value(u.arcsec) == pytest.approx(30.0, abs=ROUNDING)
    assert correction.position_angle.to_value(u.deg) == pytest.approx(70.0, abs=1e-8)
    assert correction.apply(nominal).separation(true).arcsec < ROUNDING


def transported(place, nominal, true):
    """Where the rotation without roll takes a place: its bearing to the great circle is kept."""
    onwards = true.position_angle(nominal) + 180 * u.deg
    turn = nominal.position_angle(place) - nominal.position_angle(true)
    return true.directional_offset_by(onwards + turn, nominal.separation(place))


@pytest.mark.parametrize("lat", [0.0, 60.0, 89.9])
@pytest.mark.parametrize("offset", [0.1, 300.0, 36000.0])
def test_rotation_has_no_roll(lat, offset):
    nominal, true = pair(lat, offset)
    rng = np.random.default_rng(5)
    places = nominal.directional_offset_by(rng.uniform(0, 360, 20) * u.deg, rng.uniform(0, 20, 20) * u.deg)
    found = SkyCorrection.from_coordinates(nominal, true).apply(places)
    # A bearing over 0.1 arcsec is known to 2e-16 rad / 5e-7 rad, times a distance of 20 deg.
    tolerance = 4e-16 / np.radians(offset / 3600) * np.radians(20) * 206265 + ROUNDING
    assert np.max(found.separation(transported(places, nominal, true)).arcsec) < 10 * tolerance
    assert abs(SkyCorrection.from_coordinates(nominal, true).roll.value) < 1e-9


def test_true_coordinates_in_another_frame():
    nominal, true = pair()
    same = SkyCorrection.from_coordinates(nominal, true.galactic)
    assert same.apply(nominal).separation(true).arcsec < ROUNDING
    assert same.frame.name == "icrs"


def test_nothing_to_correct_is_the_identity():
    nominal, _ = pair()
    correction = SkyCorrection.from_coordinates(nominal, nominal)
    np.testing.assert_array_equal(correction.rotation_matrix, np.eye(3))
    assert correction.separation == 0 * u.arcsec


def test_inverse_and_composition():
    first = SkyCorrection.from_coordinates(*pair(60, 300), COVARIANCE)
    second = SkyCorrection.from_coordinates(*pair(61, 200, 250), COVARIANCE)
    both = first.compose(second)
    places = SkyCoord([209, 211, 30] * u.deg, [59, 61, -20] * u.deg)
    step_by_step = second.apply(first.apply(places))
    assert np.max(both.apply(places).separation(step_by_step).arcsec) < ROUNDING
    back = both.compose(both.inverse())
    assert np.max(np.abs(back.rotation_vector)) < 1e-15
    assert np.max(first.inverse().apply(first.apply(places)).separation(places).arcsec) < ROUNDING
    # the order matters: 200" * 300" / 206265" = 0.3 arcsec of difference at most
    assert np.max(both.apply(places).separation(second.compose(first).apply(places)).arcsec) > 1e-4


def test_composition_adds_covariances_in_the_axes_of_the_first():
    nominal, true = pair()
    first = SkyCorrection.from_coordinates(nominal, true, COVARIANCE)
    second = SkyCorrection.from_coordinates(true, nominal, COVARIANCE)
    # The axes at the two pivots differ by the convergence of the meridians, 30" * tan(60 deg).
    np.testing.assert_allclose(first.compose(second).covariance.value, 2 * COVARIANCE.value, rtol=2e-3)
    assert first.compose(SkyCorrection.from_coordinates(true, nominal)).covariance is None


def test_covariance_turns_with_the_axes_of_the_frame():
    correction = SkyCorrection.from_coordinates(*pair(), COVARIANCE)
    galactic = correction.transform_to(Galactic())
    north = correction.pivot.directional_offset_by(0 * u.deg, 1 * u.arcsec).galactic
    turn = galactic.pivot.position_angle(north)
    difference = galactic.ellipse.position_angle - correction.ellipse.position_angle - turn
    # to the curvature over the probe of 1 arcsec
    assert np.abs((difference.to_value(u.deg) + 90) % 180 - 90) < 1e-3
    assert galactic.ellipse.semimajor.value == pytest.approx(correction.ellipse.semimajor.value, rel=1e-12)
    back = galactic.transform_to(ICRS())
    np.testing.assert_allclose(back.covariance.value, COVARIANCE.value, rtol=1e-10)
    np.testing.assert_allclose(back.rotation_vector, correction.rotation_vector, atol=1e-16)


@pytest.mark.parametrize("frame", [Galactic(), FK5(), FK5(equinox="J1975")])
def test_same_rotation_in_another_frame(frame):
    correction = SkyCorrection.from_coordinates(*pair(60, 3000))
    other = correction.transform_to(frame)
    places = SkyCoord([209, 211, 30] * u.deg, [59, 61, -20] * u.deg)
    assert np.max(other.apply(places).separation(correction.apply(places)).arcsec) < ROUNDING
    assert other.apply(places).frame.name == "icrs"


def test_fk4_is_refused_from_elsewhere_but_works_in_itself():
    with pytest.raises(CorrectionError, match="pure rotation"):
        SkyCorrection.from_coordinates(*pair()).transform_to(FK4())
    nominal, true = pair(frame=FK4())
    assert SkyCorrection.from_coordinates(nominal, true).transform_to(
        FK4()
    ).separation.value == pytest.approx(30)


def test_frame_without_transformations_is_refused():
    with pytest.raises(CorrectionError, match="no transformation"):
        SkyCorrection.from_coordinates(*pair()).transform_to(UnlistedFrame(axes="XXLN XXLT"))


def test_ellipse_of_known_axes():
    # 0.02" along PA 30 deg, 0.01" across: (lon, lat) components of the axes are (sin, cos) of PA
    angle = np.radians(30)
    axes = np.array([[np.sin(angle), np.cos(angle)], [np.cos(angle), -np.sin(angle)]])
    covariance = axes.T @ np.diag([0.02**2, 0.01**2]) @ axes * u.arcsec**2
    ellipse = SkyCorrection.from_coordinates(*pair(), covariance).ellipse
    assert ellipse.semimajor.to_value(u.arcsec) == pytest.approx(0.02)
    assert ellipse.semiminor.to_value(u.arcsec) == pytest.approx(0.01)
    assert ellipse.position_angle.to_value(u.deg) == pytest.approx(30)


def test_unknown_covariance_is_nan():
    correction = SkyCorrection.from_coordinates(*pair())
    assert correction.covariance is None
    assert np.all(np.isnan(correction.error))
    assert all(np.isnan(value.value) for value in correction.ellipse)


# -- from a pixel shift -------------------------------------------------------------------------


def test_sign_of_a_shift():
    """The content seen at p0 belongs at p0 - shift."""
    wcs = tan_wcs()
    correction = SkyCorrection.from_shift(wcs, [12.0, -7.0] * u.pixel, pivot_pixel=(50, 60))
    assert (
        correction.apply(wcs.pixel_to_world(50, 60)).separation(wcs.pixel_to_world(38, 67)).arcsec < ROUNDING
    )


def test_shift_through_swapped_axes_and_a_cube():
    wcs = tan_wcs()
    swapped = wcs.sub([2, 1])
    expected = SkyCorrection.from_shift(wcs, [1.5, 2.5], pivot_pixel=(50, 60))
    # sub() swaps the pixel axes together with those of the world
    found = SkyCorrection.from_shift(swapped, [2.5, 1.5], pivot_pixel=(60, 50))
    np.testing.assert_allclose(found.rotation_vector, expected.rotation_vector, atol=1e-15)
    cube = WCS(naxis=3)
    cube.wcs.ctype = ["FREQ", "RA---TAN", "DEC--TAN"]
    cube.wcs.crval, cube.wcs.crpix = [1e9, *wcs.wcs.crval], [1.0, *wcs.wcs.crpix]
    cd = np.eye(3)
    cd[1:, 1:] = wcs.wcs.cd
    cube.wcs.cd = cd
    found = SkyCorrection.from_shift(cube, [1.5, 2.5], pivot_pixel=(50, 60))
    np.testing.assert_allclose(found.rotation_vector, expected.rotation_vector, atol=1e-15)


@pytest.mark.parametrize("lat", [0.0, 60.0, 89.9])
def test_covariance_against_monte_carlo(lat):
    wcs = tan_wcs(lat, skew=0.2)
    pixel = np.array([[0.04, 0.02], [0.02, 0.09]])
    shift = np.array([4.0, -3.0])
    correction = SkyCorrection.from_shift(wcs, shift, pivot_pixel=(30, 140), covariance=pixel)
    rng = np.random.default_rng(11)
    shifts = rng.multivariate_normal(shift, pixel, size=20000)
    places = wcs.pixel_to_world(*(np.array([30, 140]) - shifts).T)
    offsets = [value.to_value(u.arcsec) for value in correction.pivot.spherical_offsets_to(places)]
    # a variance from N draws is good to sqrt(2/N) = 1 percent; 5 sigma, relative to the larger one
    scale = np.max(correction.covariance.value)
    np.testing.assert_allclose(correction.covariance.value, np.cov(offsets), atol=0.05 * scale)


def test_units_of_the_shift_and_its_covariance():
    wcs = tan_wcs()
    plain = SkyCorrection.from_shift(wcs, (1, 2), pivot_pixel=(0, 0), covariance=np.eye(2))
    quantity = SkyCorrection.from_shift(
        wcs, [1, 2] * u.pixel, pivot_pixel=(0, 0), covariance=np.eye(2) * u.pixel**2
    )
    np.testing.assert_array_equal(plain.covariance, quantity.covariance)
    assert plain.identity == quantity.identity


def test_axes_without_a_known_frame():
    wcs = tan_wcs()
    wcs.wcs.ctype = ["MALN-TAN", "MALT-TAN"]
    wcs.wcs.set()
    correction = SkyCorrection.from_shift(wcs, (1, 2), pivot_pixel=(0, 0))
    assert correction.separation.to_value(u.arcsec) == pytest.approx(np.sqrt(5) * 0.2, rel=1e-4)
    assert "MALN MALT" in str(correction)
    assert str(correction).endswith("roll 0 deg")  # not the 1e-17 that rounding leaves


# -- roll ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("lat", [0.0, 60.0, 89.0])
def test_keep_pa_is_a_turn_about_the_pole_and_along_the_meridian(lat):
    nominal, true = pair(lat, 30)
    kept = SkyCorrection.from_coordinates(nominal, true).with_roll("keep-pa")
    assert kept.apply(nominal).separation(true).arcsec < ROUNDING
    near = nominal.directional_offset_by(25 * u.deg, 100 * u.arcsec)
    assert kept.apply(nominal).position_angle(kept.apply(near)).to_value(u.deg) == pytest.approx(25, abs=1e-7)


def test_keep_pa_of_galactic_coordinates_is_about_the_celestial_pole():
    nominal, true = pair()
    one = SkyCorrection.from_coordinates(nominal, true).with_roll("keep-pa")
    two = SkyCorrection.from_coordinates(nominal.galactic, true.galactic).with_roll("keep-pa")
    place = SkyCoord(211 * u.deg, 61 * u.deg)
    assert one.apply(place).separation(two.apply(place)).arcsec < ROUNDING


def test_measured_roll_adds_to_position_angles():
    nominal, true = pair()
    zero = SkyCorrection.from_coordinates(nominal, true)
    rolled = zero.with_roll(0.5 * u.deg)
    near = nominal.directional_offset_by(25 * u.deg, 100 * u.arcsec)
    difference = true.position_angle(rolled.apply(near)) - true.position_angle(zero.apply(near))
    assert difference.to_value(u.deg) == pytest.approx(0.5, abs=1e-8)
    assert rolled.roll.to_value(u.deg) == pytest.approx(0.5, abs=1e-10)
    assert rolled.apply(nominal).separation(true).arcsec < ROUNDING


def test_roll_ambiguity_is_the_tangent_of_the_declination():
    correction = SkyCorrection.from_coordinates(*pair(60, 1.0, 90.0))
    # theta_E tan(dec) r, exact to the order of theta
    expected = 1.0 / 206264.806 * np.tan(np.radians(60)) * 200
    assert correction.roll_ambiguity(200 * u.arcsec).to_value(u.arcsec) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("roll", ["none", 3.0, 3 * u.m, [1, 2] * u.deg])
def test_unknown_roll_is_refused(roll):
    with pytest.raises(ValueError, match="`roll` must be 'zero', 'keep-pa' or one angle"):
        SkyCorrection.from_coordinates(*pair()).with_roll(roll)


# -- text, table, identity ----------------------------------------------------------------------


def test_text_states_pivot_frame_and_sign():
    text = repr(SkyCorrection.from_coordinates(*pair(), COVARIANCE))
    assert "add to nominal" in text
    assert "210.000000 60.000000 deg" in text
    assert "frame icrs" in text
    assert "+/- 0.0200" in text


@pytest.mark.parametrize("frame", [ICRS(), FK5(equinox="J1975"), Galactic()])
@pytest.mark.parametrize("covariance", [None, COVARIANCE])
def test_table_round_trip_through_ecsv(tmp_path, frame, covariance):
    nominal = SkyCoord(210.1 * u.deg, 60 * u.deg).transform_to(frame)
    correction = SkyCorrection.from_coordinates(
        nominal, nominal.spherical_offsets_by(1 * u.arcsec, 2 * u.arcsec)
    )
    correction = SkyCorrection(correction.rotation_vector, correction.pivot, covariance)
    correction.to_table().write(tmp_path / "correction.ecsv")
    read = SkyCorrection.from_table(QTable.read(tmp_path / "correction.ecsv"))
    np.testing.assert_array_equal(read.rotation_vector, correction.rotation_vector)
    assert read.identity == correction.identity
    assert read.frame.is_equivalent_frame(correction.frame)
    assert read.pivot.separation(correction.pivot).arcsec < ROUNDING
    if covariance is None:
        assert read.covariance is None
    else:
        np.testing.assert_array_equal(read.covariance, correction.covariance)


def test_rows_of_several_corrections():
    both = [SkyCorrection.from_coordinates(*pair(lat), COVARIANCE) for lat in (10, 20)]
    table = vstack([correction.to_table() for correction in both])
    assert SkyCorrection.from_table(table, 1).identity == both[1].identity


def test_table_in_a_frame_that_a_file_cannot_hold(tmp_path):
    frame = UnlistedFrame(axes="MALN MALT")
    correction = SkyCorrection.from_coordinates(*pair(frame=frame))
    correction.to_table().write(tmp_path / "correction.ecsv")
    table = QTable.read(tmp_path / "correction.ecsv")
    assert SkyCorrection.from_table(table, frame=frame).identity == correction.identity
    with pytest.raises(ValueError, match="`frame` must be given: the table tells only its name, 'MALN MALT'"):
        SkyCorrection.from_table(table)


def test_identity_tells_corrections_apart():
    base = SkyCorrection.from_coordinates(*pair(60, 30.0))
    assert base.identity == SkyCorrection.from_coordinates(*pair(60, 30.0), COVARIANCE).identity
    assert base.identity != SkyCorrection.from_coordinates(*pair(60, 30.0001)).identity
    assert base.identity != base.inverse().identity
    assert len(base.identity) == 12


# -- impossible input ---------------------------------------------------------------------------


def test_arrays_of_coordinates_are_refused():
    many = SkyCoord([1, 2] * u.deg, [3, 4] * u.deg)
    with pytest.raises(TypeError, match="`nominal` must be one SkyCoord"):
        SkyCorrection.from_coordinates(many, many)
    with pytest.raises(TypeError, match="`true` must be one SkyCoord"):
        SkyCorrection.from_coordinates(many[0], (1, 2))


def test_opposite_places_are_refused():
    with pytest.raises(ValueError, match="not unique"):
        SkyCorrection.from_coordinates(SkyCoord(0 * u.deg, 90 * u.deg), SkyCoord(0 * u.deg, -90 * u.deg))


@pytest.mark.parametrize(
    ("covariance", "message"),
    [
        (np.eye(2) * u.pixel**2, "unit of an angle squared"),
        (np.eye(3) * u.arcsec**2, r"shape \(2, 2\)"),
        (np.array([[1, 1], [0, 1]]) * u.arcsec**2, "symmetric"),
        (np.diag([1, -1]) * u.arcsec**2, "negative variance"),
    ],
)
def test_impossible_covariance_is_refused(covariance, message):
    with pytest.raises(ValueError, match=message):
        SkyCorrection.from_coordinates(*pair(), covariance)


def test_impossible_shift_is_refused():
    with pytest.raises(ValueError, match="`shift` must be finite"):
        SkyCorrection.from_shift(tan_wcs(), [np.nan, 1], pivot_pixel=(0, 0))
    allsky = WCS(naxis=2)
    allsky.wcs.ctype, allsky.wcs.cdelt = ["RA---AIT", "DEC--AIT"], [-1, 1]
    with pytest.raises(CorrectionError, match="not on the sky"):
        SkyCorrection.from_shift(allsky, [1, 1], pivot_pixel=(500, 0))
    with pytest.raises(CorrectionError, match="no pair of celestial axes"):
        SkyCorrection.from_shift(WCS(naxis=2), [1, 1], pivot_pixel=(0, 0))


def test_correction_cannot_be_changed():
    correction = SkyCorrection.from_coordinates(*pair(), COVARIANCE)
    with pytest.raises(ValueError, match="read-only"):
        correction.rotation_vector[0] = 1
    with pytest.raises(AttributeError, match="cannot assign"):
        correction.pivot = None
