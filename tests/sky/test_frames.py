"""Frames of WCS, the rotations between them, and the rotations of vectors."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import FK4, FK5, GCRS, ICRS, ITRS, Galactic, SkyCoord, Supergalactic
from astropy.wcs import WCS
from astropy.wcs.wcsapi import HighLevelWCSWrapper, SlicedLowLevelWCS
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from astroreg.exceptions import CorrectionError
from astroreg.sky import rotations
from astroreg.sky.frames import UnlistedFrame, celestial_frame, frame_rotation, frame_text, pixel_to_lonlat
from astroreg.sky.grid_check import first_exact

angles = st.floats(-np.pi / 2, np.pi / 2)


def tan(names=("RA--", "DEC-"), **attributes):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [f"{name}-TAN" for name in names]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [15.0, 30.0], [50.0, 60.0], [-1e-4, 1e-4]
    for name, value in attributes.items():
        setattr(wcs.wcs, name, value)
    wcs.wcs.set()
    return wcs


@pytest.mark.parametrize(
    ("wcs", "frame"),
    [
        (tan(), ICRS()),
        (tan(equinox=2000.0), FK5()),
        (tan(equinox=1950.0), FK4(equinox="B1950")),
        (tan(("GLON", "GLAT")), Galactic()),
        (tan(("SLON", "SLAT")), Supergalactic()),
        (tan(("GLAT", "GLON")), Galactic()),
    ],
)
def test_frame_of_a_fits_wcs(wcs, frame):
    assert celestial_frame(wcs).is_equivalent_frame(frame)


def test_earth_fixed_axes():
    assert isinstance(celestial_frame(tan(("TLON", "TLAT"), dateobs="2020-01-01")), ITRS)


@pytest.mark.parametrize("names", [("MALN", "MALT"), ("XYLN", "XYLT")])
def test_axes_of_unknown_systems(names):
    frame = celestial_frame(tan(names))
    assert isinstance(frame, UnlistedFrame)
    assert frame_text(frame) == " ".join(names)
    assert frame.is_equivalent_frame(celestial_frame(tan(names)))
    assert not frame.is_equivalent_frame(UnlistedFrame(axes="other"))


def test_frame_and_coordinates_through_the_shared_interface():
    cube = WCS(naxis=3)
    cube.wcs.ctype = ["GLAT-CAR", "FREQ", "GLON-CAR"]
    cube.wcs.crval, cube.wcs.crpix, cube.wcs.cdelt = [0.0, 1e9, 30.0], [5.0, 1.0, 6.0], [0.1, 1e6, -0.1]
    cube.wcs.set()
    sliced = SlicedLowLevelWCS(cube, np.s_[:, 3, :])
    for wcs in (sliced, HighLevelWCSWrapper(sliced)):
        # a slice keeps the world axes that its pixels reach: the frequency is gone
        assert celestial_frame(wcs).is_equivalent_frame(Galactic())
        found = pixel_to_lonlat(wcs, 7.0, 8.0)
        np.testing.assert_allclose(found, pixel_to_lonlat(cube, 7.0, 8.0), atol=1e-15)
    np.testing.assert_allclose(np.degrees(found), cube.wcs_pix2world([[7, 3, 8]], 0)[0][[2, 0]], atol=1e-12)


def test_three_pixel_axes_of_another_class_are_refused():
    cube = WCS(naxis=3)
    cube.wcs.ctype = ["RA---TAN", "DEC--TAN", "FREQ"]
    cube.wcs.set()
    with pytest.raises(CorrectionError, match="3 pixel axes"):
        pixel_to_lonlat(SlicedLowLevelWCS(cube, np.s_[1:, :, :]), 0, 0)


@pytest.mark.parametrize("pair", [(ICRS(), Galactic()), (FK5(), Galactic()), (FK5(equinox="J1975"), ICRS())])
def test_rotation_between_frames(pair):
    start, end = pair
    place = SkyCoord(123 * u.deg, -45 * u.deg, frame=start)
    turned = frame_rotation(start, end) @ place.cartesian.xyz.value
    np.testing.assert_allclose(turned, place.transform_to(end).cartesian.xyz.value, atol=1e-14)


def test_frame_of_an_observer_is_no_rotation():
    # aberration: 20 arcsec, and not the same everywhere
    with pytest.raises(CorrectionError, match="not related by a pure rotation"):
        frame_rotation(ICRS(), GCRS())


@given(lon=st.floats(0, 2 * np.pi, exclude_max=True), lat=angles)
def test_vectors_and_angles(lon, lat):
    back = rotations.vector_to_lonlat(rotations.lonlat_to_vector(lon, lat))
    # the longitude is lost in proportion to the distance from the pole
    assert np.abs(np.sin(back[0] - lon)) * np.cos(lat) < 1e-15
    assert back[1] == pytest.approx(lat, abs=4e-16)
    basis = rotations.local_basis(lon, lat)
    np.testing.assert_allclose(basis @ basis.T, np.eye(3), atol=1e-15)
    assert np.linalg.det(basis) == pytest.approx(1.0)


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3), st.floats(1e-12, 3.0))
def test_minimal_rotation(direction, size):
    start = np.array([0.36, 0.48, 0.8])
    axis = np.cross(start, direction)
    if np.linalg.norm(axis) < 1e-3:
        return
    vector = axis / np.linalg.norm(axis) * size
    end = Rotation.from_rotvec(vector).apply(start)
    np.testing.assert_allclose(rotations.minimal_rotation(start, end), vector, atol=1e-14)
    np.testing.assert_allclose(rotations.rotation_vector_to_matrix(vector) @ start, end, atol=1e-15)
    assert rotations.angular_distance(start, end) == pytest.approx(size, abs=1e-15 + 1e-9 * size**4)


def test_first_exact_form_is_taken_and_no_more_are_made():
    made = []

    def forms():
        for residual in (3e-7, 2e-9, 1e-12):
            made.append(residual)
            yield residual, residual

    assert first_exact(forms()) == (2e-9, 2e-9)
    assert made == [3e-7, 2e-9]
    assert first_exact([(3e-7, "a"), (5e-7, "b")]) == (3e-7, "a")
    assert first_exact([]) == (np.inf, None)
