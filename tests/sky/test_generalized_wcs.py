"""Generalized WCS and other WCS of the shared interface: compared with the rotation itself."""

import sys

import astropy.units as u
import gwcs
import numpy as np
import pytest
from astropy.coordinates import ICRS, Galactic, SkyCoord
from astropy.io import fits
from astropy.modeling import models
from astropy.nddata import NDData
from astropy.wcs import WCS
from astropy.wcs.wcsapi import HighLevelWCSWrapper, SlicedLowLevelWCS
from gwcs import coordinate_frames

from astroreg.exceptions import AstroregWarning, CorrectionError
from astroreg.sky import SkyCorrection
from astroreg.sky.dispatch import correct_wcs
from astroreg.sky.generalized_wcs import correct_generalized_wcs
from astroreg.sky.wrapped_wcs import RotatedWCS
from tests.sky.cameras import SCALE, SIZE, detector_frame, ground_like, jwst_like, sky_frame


def correction_of(wcs, lon, lat, pixel=(SIZE / 2, SIZE / 2)):
    nominal = wcs.pixel_to_world(*pixel)
    return SkyCorrection.from_coordinates(
        nominal, nominal.spherical_offsets_by(lon * u.arcsec, lat * u.arcsec)
    )


def grid(size=SIZE):
    x, y = np.meshgrid(np.linspace(0, size - 1, 7), np.linspace(0, size - 1, 7))
    return x.ravel(), y.ravel()


def deviation(nominal, corrected, correction, scale=SCALE, size=SIZE):
    """Largest distance, in pixel, from the rotation applied to coordinates by SkyCoord."""
    x, y = grid(size)
    wanted = correction.apply(nominal.pixel_to_world(x, y))
    return np.max(corrected.pixel_to_world(x, y).separation(wanted).to_value(u.arcsec)) / scale


OFFSETS = [(0.06, -0.08), (0.6, 0.8), (-18.0, 24.0)]


class TestV2V3:
    # 1e-4 pixel is what is asked for; the quadratic rest of 30 arcsec over 133 arcsec is 2e-5
    @pytest.mark.parametrize("aberration", [False, True], ids=["v2v3", "v2v3vacorr"])
    @pytest.mark.parametrize("dec", [0.0, 60.0, 89.9])
    @pytest.mark.parametrize("offset", OFFSETS)
    def test_agrees_with_the_rotation(self, offset, dec, aberration):
        wcs = jwst_like(dec=dec, aberration=aberration)
        correction = correction_of(wcs, *offset)
        corrected = correct_wcs(wcs, correction)
        assert deviation(wcs, corrected, correction) < 1e-4
        assert "v2v3corr" in corrected.available_frames
        assert "v2v3corr" not in wcs.available_frames

    def test_keeps_bounds_shape_and_inverse(self):
        wcs = jwst_like()
        corrected = correct_wcs(wcs, correction_of(wcs, 1, 2))
        assert corrected.pixel_shape == wcs.pixel_shape
        assert corrected.pixel_bounds == wcs.pixel_bounds
        sky = corrected.pixel_to_world(300.0, 1700.0)
        np.testing.assert_allclose(corrected.world_to_pixel(sky), (300.0, 1700.0), atol=1e-4)

    def test_second_correction_merges_and_undoes(self):
        wcs = jwst_like()
        correction = correction_of(wcs, 0.6, -0.8)
        back = correct_wcs(correct_wcs(wcs, correction), correction.inverse())
        assert back.available_frames.count("v2v3corr") == 1
        x, y = grid()
        # two affine maps of 1 arcsec, each within 1e-6 pixel of its rotation
        assert (
            np.max(back.pixel_to_world(x, y).separation(wcs.pixel_to_world(x, y))) < 2e-6 * SCALE * u.arcsec
        )

    def test_roll_is_written_too(self):
        wcs = jwst_like()
        correction = correction_of(wcs, 6, 8)
        corrected = correct_wcs(wcs, correction, roll=2 * u.arcmin)
        assert deviation(wcs, corrected, correction.with_roll(2 * u.arcmin)) < 1e-4
        # 2 arcmin over a half diagonal of 1448 pixel
        assert deviation(wcs, corrected, correction) > 0.5

    def test_pivot_and_reference_far_from_the_image(self):
        wcs = jwst_like(v2=120.0, v3=-527.0)
        beside = wcs.pixel_to_world(0, 0).directional_offset_by(100 * u.deg, 300 * u.arcsec)
        correction = SkyCorrection.from_coordinates(
            beside, beside.spherical_offsets_by(20 * u.arcsec, 20 * u.arcsec)
        )
        corrected = correct_generalized_wcs(
            wcs, correction, wcsinfo={"v2_ref": 0.0, "v3_ref": -480.0, "roll_ref": 0.0}
        )
        assert deviation(wcs, corrected, correction) < 2e-4

    @pytest.mark.parametrize("telescope", ["JWST", "ROMAN"])
    def test_class_follows_telescope_and_earlier_correction(self, telescope):
        wcs = jwst_like()
        correction = correction_of(wcs, 0.1, 0.1)
        info = {"v2_ref": 120.0, "v3_ref": -527.0, "roll_ref": 35.0, "telescope": telescope}
        first = correct_generalized_wcs(wcs, correction, wcsinfo=info)
        assert telescope.lower() in first.pipeline[1].transform.name.lower()
        second = correct_wcs(first, correction)
        assert second.pipeline[1].transform.name == first.pipeline[1].transform.name

    def test_a_large_correction_tells_how_far_it_is_off(self):
        wcs = jwst_like(dec=60)
        with pytest.warns(AstroregWarning, match="differs from the rotation by up to"):
            correct_wcs(wcs, correction_of(wcs, 1500.0, 1500.0))

    def test_unknown_size(self):
        wcs = jwst_like()
        wcs.bounding_box = None
        wcs.pixel_shape = None
        correction = correction_of(wcs, 0.6, 0.8)
        assert deviation(wcs, correct_wcs(wcs, correction), correction) < 1e-4

    def test_without_the_rotation_asks_for_wcsinfo(self):
        wcs = jwst_like()
        sky = models.Scale(1 / 3600) & models.Scale(1 / 3600) | models.Pix2Sky_TAN()
        wcs.set_transform("v2v3", "world", sky | models.RotateNative2Celestial(10, 20, 180))
        with pytest.raises(CorrectionError, match="give `wcsinfo` with v2_ref"):
            correct_wcs(wcs, correction_of(ground_like(), 1, 1))

    def test_incomplete_wcsinfo(self):
        wcs = jwst_like()
        with pytest.raises(ValueError, match="`wcsinfo` must hold the numbers v2_ref"):
            correct_generalized_wcs(wcs, correction_of(wcs, 1, 1), wcsinfo={"v2_ref": 1.0})

    def test_missing_tweakwcs_names_the_extra(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "tweakwcs", None)
        wcs = jwst_like()
        with pytest.raises(ImportError, match=r"pip install 'astroreg\[gwcs\]'"):
            correct_wcs(wcs, correction_of(wcs, 1, 1))


class TestOtherGWCS:
    # 1e-8 pixel is 0.65 nano-arcsec; doubles at RA 150 deg hold 0.1 nano-arcsec
    @pytest.mark.parametrize("dec", [0.0, 60.0, 89.9])
    @pytest.mark.parametrize("offset", [*OFFSETS, (180.0, 240.0)])
    def test_is_the_rotation(self, offset, dec):
        wcs = ground_like(dec=dec)
        correction = correction_of(wcs, *offset)
        corrected = correct_wcs(wcs, correction)
        assert isinstance(corrected, gwcs.WCS)
        assert deviation(wcs, corrected, correction) < 1e-8

    def test_the_analytic_inverse_is_kept(self):
        wcs = ground_like()
        corrected = correct_wcs(wcs, correction_of(wcs, 12, -7))
        x, y = grid()
        back = corrected.backward_transform(*corrected(x, y))
        np.testing.assert_allclose(back, (x, y), atol=1e-6)
        assert corrected.bounding_box == wcs.bounding_box
        assert corrected.pixel_shape == wcs.pixel_shape

    def test_input_is_not_changed(self):
        wcs = ground_like()
        before = wcs(*grid())
        correct_wcs(wcs, correction_of(wcs, 12, -7))
        np.testing.assert_array_equal(wcs(*grid()), before)

    def test_latitude_first(self):
        wcs = ground_like(lat_first=True)
        correction = correction_of(wcs, 12, -7)
        assert deviation(wcs, correct_wcs(wcs, correction), correction) < 1e-8

    def test_correction_of_another_frame(self):
        wcs = ground_like(frame=Galactic())
        correction = correction_of(ground_like(ra=150, dec=60), 12, -7).transform_to(ICRS())
        # ICRS to Galactic is known to rounding of the matrix product: some 1e-16 rad
        assert deviation(wcs, correct_wcs(wcs, correction), correction) < 1e-7

    def test_across_the_origin_of_right_ascension(self):
        wcs = ground_like(ra=0.0)
        correction = correction_of(wcs, 30, 0)
        assert deviation(wcs, correct_wcs(wcs, correction), correction) < 1e-8

    def test_spectral_axis_is_left_alone(self):
        sky = ground_like()
        celestial = coordinate_frames.CelestialFrame(
            reference_frame=ICRS(), unit=(u.deg, u.deg), axes_order=(0, 2)
        )
        spectral = coordinate_frames.SpectralFrame(unit=(u.um,), axes_order=(1,))
        world = coordinate_frames.CompositeFrame([celestial, spectral], name="world")
        pixels = coordinate_frames.CoordinateFrame(
            naxes=3, axes_type=("PIXEL",) * 3, axes_order=(0, 1, 2), unit=(u.pix,) * 3, name="pixels"
        )
        transform = (
            models.Mapping((0, 2, 1)) | sky.forward_transform & models.Scale(0.01) | models.Mapping((0, 2, 1))
        )
        wcs = gwcs.WCS([(pixels, transform), (world, None)])
        correction = correction_of(sky, 12, -7)
        x, y = grid()
        nominal, corrected = wcs(x, 5 + 0 * x, y), correct_wcs(wcs, correction)(x, 5 + 0 * x, y)
        np.testing.assert_array_equal(corrected[1], nominal[1])
        wanted = correction.apply(SkyCoord(nominal[0], nominal[2], unit="deg"))
        found = SkyCoord(corrected[0], corrected[2], unit="deg")
        assert np.max(found.separation(wanted)) < 1e-8 * SCALE * u.arcsec

    def test_transforms_with_units(self):
        shift = models.Shift(-SIZE / 2 * u.pix) & models.Shift(-SIZE / 2 * u.pix)
        scale = models.Multiply(-SCALE / 3600 * u.deg / u.pix) & models.Multiply(SCALE / 3600 * u.deg / u.pix)
        sky = models.Pix2Sky_TAN() | models.RotateNative2Celestial(150 * u.deg, 60 * u.deg, 180 * u.deg)
        wcs = gwcs.WCS([(detector_frame(), shift | scale | sky), (sky_frame(), None)])
        correction = correction_of(wcs, 12, -7)
        corrected = correct_wcs(wcs, correction)
        assert deviation(wcs, corrected, correction) < 1e-8

    def test_detector_moves_the_pixels(self):
        wcs = ground_like()
        nominal, true = wcs.pixel_to_world([1000.0, 1000.0 - 5.0], [900.0, 900.0 + 3.0])
        correction = SkyCorrection.from_coordinates(nominal, true)
        corrected = correct_wcs(wcs, correction, kind="detector")
        x, y = (np.clip(pixels, 10, SIZE - 10) for pixels in grid())  # so that both are on the image
        wanted = wcs.pixel_to_world(x - 5, y + 3)
        # the shift is found by the analytic inverse: 1e-8 pixel of 133 arcsec
        assert np.max(corrected.pixel_to_world(x, y).separation(wanted)) < 1e-6 * SCALE * u.arcsec
        assert corrected.bounding_box == wcs.bounding_box

    def test_no_sky(self):
        frames = (detector_frame(), detector_frame("other"))
        wcs = gwcs.WCS([(frames[0], models.Scale(2) & models.Scale(2)), (frames[1], None)])
        with pytest.raises(CorrectionError, match="no celestial coordinates"):
            correct_wcs(wcs, correction_of(ground_like(), 1, 1))

    @pytest.mark.filterwarnings("ignore:Importing sunpy", "ignore:asdf.extensions plugin")
    def test_asdf_round_trip(self, tmp_path):
        asdf = pytest.importorskip("asdf")
        for number, wcs in enumerate((ground_like(), jwst_like())):
            correction = correction_of(wcs, 0.6, 0.8)
            corrected = correct_wcs(wcs, correction)
            path = tmp_path / f"{number}.asdf"
            asdf.AsdfFile({"wcs": corrected}).write_to(path)
            with asdf.open(path) as file:
                np.testing.assert_array_equal(file["wcs"](*grid()), corrected(*grid()))


def cube_header():
    header = fits.Header()
    header["NAXIS"], header["NAXIS1"], header["NAXIS2"], header["NAXIS3"] = 3, 100, 100, 10
    values = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CTYPE3": "FREQ", "CUNIT1": "deg", "CUNIT2": "deg"}
    values |= {
        "CUNIT3": "Hz",
        "CRVAL1": 359.999,
        "CRVAL2": 60.0,
        "CRVAL3": 1.4e9,
        "CRPIX1": 50.5,
        "CRPIX2": 50.5,
    }
    values |= {"CRPIX3": 1.0, "CDELT1": -1 / 3600, "CDELT2": 1 / 3600, "CDELT3": 1e6, "RADESYS": "ICRS"}
    header.update(values)
    return header


class TestWrapped:
    def sliced(self):
        return SlicedLowLevelWCS(WCS(cube_header()), (3, slice(None), slice(None)))

    def plane(self):
        return WCS(cube_header()).celestial

    def correction(self):
        return correction_of(self.plane(), 12, -7, pixel=(50, 50))

    def test_low_level_stays_low_level(self):
        corrected = correct_wcs(self.sliced(), self.correction())
        assert isinstance(corrected, RotatedWCS)
        assert not corrected.serializable
        high = HighLevelWCSWrapper(corrected)
        # 8e-11 arcsec and 1-arcsec pixels
        assert deviation(self.plane(), high, self.correction(), scale=1.0, size=100) < 1e-9

    def test_high_level_stays_high_level(self):
        corrected = correct_wcs(HighLevelWCSWrapper(self.sliced()), self.correction())
        assert isinstance(corrected, HighLevelWCSWrapper)
        x, y = grid(100)
        np.testing.assert_allclose(
            corrected.world_to_pixel(corrected.pixel_to_world(x, y)), (x, y), atol=1e-7
        )

    def test_other_axes_are_left_alone(self):
        wcs = SlicedLowLevelWCS(WCS(cube_header()), (slice(2, None), slice(None), slice(None)))
        corrected = correct_wcs(wcs, self.correction())
        assert corrected.pixel_to_world_values(3, 4, 5)[2] == wcs.pixel_to_world_values(3, 4, 5)[2]
        np.testing.assert_allclose(
            corrected.world_to_pixel_values(*corrected.pixel_to_world_values(3, 4, 5)), (3, 4, 5)
        )

    def test_two_corrections_are_one_wrapper(self):
        wcs = self.sliced()
        back = correct_wcs(correct_wcs(wcs, self.correction()), self.correction().inverse())
        assert not isinstance(back._wcs, RotatedWCS)
        np.testing.assert_allclose(back.rotation, np.eye(3), atol=1e-15)

    def test_one_row_of_an_image(self):
        wcs = SlicedLowLevelWCS(self.plane(), (20, slice(None)))
        x = np.arange(0.0, 100, 7)
        corrected = HighLevelWCSWrapper(correct_wcs(wcs, self.correction()))
        wanted = self.correction().apply(self.plane().pixel_to_world(x, 20.0))
        assert np.max(corrected.pixel_to_world(x).separation(wanted)) < 1e-9 * u.arcsec

    def test_correlations_are_mixed(self):
        matrix = correct_wcs(self.sliced(), self.correction()).axis_correlation_matrix
        assert matrix.tolist() == [[True, True], [True, True]]

    def test_detector(self):
        wcs = self.sliced()
        high = HighLevelWCSWrapper(wcs)
        correction = SkyCorrection.from_coordinates(*high.pixel_to_world([50, 48.0], [50, 53.0]))
        corrected = HighLevelWCSWrapper(correct_wcs(wcs, correction, kind="detector"))
        separation = corrected.pixel_to_world(10, 20).separation(high.pixel_to_world(8, 23))
        assert separation < 1e-6 * u.arcsec
        np.testing.assert_allclose(
            corrected.world_to_pixel(corrected.pixel_to_world(10, 20)), (10, 20), atol=1e-7
        )

    def test_detector_needs_two_axes(self):
        wcs = SlicedLowLevelWCS(WCS(cube_header()), (slice(2, None), slice(None), slice(None)))
        with pytest.raises(CorrectionError, match="kind='detector' needs the"):
            correct_wcs(wcs, self.correction(), kind="detector")

    def test_ndcube_style_reproject_agrees(self):
        from reproject import reproject_interp

        rng = np.random.default_rng(5)
        image = rng.normal(size=(100, 100))
        fits_wcs = correct_wcs(self.plane(), self.correction())
        wrapped = HighLevelWCSWrapper(correct_wcs(self.sliced(), self.correction()))
        first = reproject_interp(
            (image, fits_wcs), self.plane(), shape_out=(100, 100), return_footprint=False
        )
        second = reproject_interp(
            (image, wrapped), self.plane(), shape_out=(100, 100), return_footprint=False
        )
        np.testing.assert_allclose(first, second, atol=1e-7)

    def test_not_a_wcs(self):
        with pytest.raises(TypeError, match="must be a FITS WCS, a gWCS or another APE-14 WCS, got dict"):
            correct_wcs({}, self.correction())


def test_nddata_holds_the_corrected_gwcs():
    wcs = jwst_like()
    image = NDData(np.zeros((SIZE, SIZE), dtype=np.uint8), wcs=wcs)
    correction = correction_of(wcs, 0.6, 0.8)
    image = NDData(image.data, wcs=correct_wcs(image.wcs, correction))
    wanted = correction.apply(wcs.pixel_to_world(5, 7))
    assert image.wcs.pixel_to_world(5, 7).separation(wanted) < 1e-4 * SCALE * u.arcsec
