"""`chi2_shift` of two spectra: the shift in pixels, along the axis, as a velocity; flags; corrected WCS."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from astropy import constants
from astropy import units as u
from astropy.coordinates import SpectralCoord
from astropy.io import fits
from astropy.nddata import CCDData, NDData
from astropy.table import QTable
from astropy.wcs import WCS
from numpy.testing import assert_allclose

from astroreg import AstroregWarning, ShiftFlag, SpectralShift, chi2_shift, restore_header
from astroreg.exceptions import AlreadyCorrectedError, CorrectionError
from tests.spectra.conftest import axis_wcs, spectrum

X = np.arange(400.0)
SHIFT = 7.3
SIGMA = 0.05


def pair(lines, *, shift=SHIFT, scale=1.0, background=0.0, wcs=None, seed=2, **options):
    rng = np.random.default_rng(seed)
    reference = spectrum(lines(X), SIGMA, rng, wcs=wcs, **options)
    return reference, spectrum(scale * lines(X - shift) + background, SIGMA, rng, wcs=wcs, **options)


def sigmas(result, truth=SHIFT):
    return abs(result.shift.to_value(u.pixel) - truth) / result.shift_error.to_value(u.pixel)


class TestPixels:
    def test_shift_scale_and_background(self, lines):
        result = chi2_shift(*pair(lines, scale=2.5, background=-3.0, unit=u.Jy))
        assert isinstance(result, SpectralShift)
        assert result.flags == 0
        assert sigmas(result) < 4
        assert abs(result.scale - 2.5) < 5 * result.scale_error
        assert abs(result.background + 3 * u.Jy) < 5 * result.background_error
        assert result.background.unit == u.Jy
        # 390 degrees of freedom: chi2 / dof scatters by sqrt(2 / 390) = 0.07.
        assert abs(result.reduced_chi2 - 1) < 0.35

    def test_swapped(self, lines):
        reference, image = pair(lines)
        there, back = chi2_shift(reference, image), chi2_shift(image, reference)
        # Newton stops at 2e-3 of an error.
        assert abs(there.shift + back.shift) < 0.01 * there.shift_error

    def test_itself(self, lines):
        reference, _ = pair(lines)
        assert abs(chi2_shift(reference, reference).shift) < 1e-6 * u.pixel

    def test_whole_channels_of_a_cut(self, lines):
        _, image = pair(lines)
        result = chi2_shift(image.data, image.data[30:350])
        assert_allclose(result.shift.value, -30, atol=1e-6)

    def test_masks(self, lines):
        rng = np.random.default_rng(5)
        masks = [rng.random(X.size) < 0.05 for _ in range(2)]
        reference = spectrum(lines(X), SIGMA, rng, mask=masks[0])
        image = spectrum(lines(X - SHIFT), SIGMA, rng, mask=masks[1])
        result = chi2_shift(reference, image)
        assert result.flags == 0
        assert sigmas(result) < 4
        assert result.n_pixels < X.size - np.count_nonzero(masks[1])

    def test_not_finite_is_masked(self, lines):
        reference, image = pair(lines)
        image.data[40:44] = np.nan
        assert sigmas(chi2_shift(reference, image)) < 4

    def test_wrap(self):
        wave = np.sin(2 * np.pi * X / 400) + np.cos(2 * np.pi * 7 * X / 400 + 1)
        moved = np.sin(2 * np.pi * (X - 3.4) / 400) + np.cos(2 * np.pi * 7 * (X - 3.4) / 400 + 1)
        result = chi2_shift(wave, moved, boundary="wrap", max_shift=100)
        # Exact by Fourier; the equation is met to 1e-9 of a pixel where there is no noise.
        assert_allclose(result.shift.value, 3.4, atol=1e-6)

    def test_empirical_and_estimated(self, lines):
        reference, image = pair(lines)
        attached = chi2_shift(reference, image)
        empirical = chi2_shift(reference, image, uncertainty="empirical")
        bare = chi2_shift(reference.data, image.data)
        assert empirical.uncertainty == bare.uncertainty == "empirical"
        assert bare.flags == ShiftFlag.NOISE_ESTIMATED
        # The scatter of a few dozen independent terms: known to some 20 per cent.
        for result in (empirical, bare):
            assert_allclose(result.shift_error.value, attached.shift_error.value, rtol=0.6)

    def test_delta_chi2_is_one_at_one_sigma(self, lines):
        result = chi2_shift(*pair(lines))
        curve = result.delta_chi2
        at = np.interp((result.shift + result.shift_error).value, curve.shift.value, curve.delta_chi2)
        # The curve is no parabola exactly; an error of 0.03 pixel is far inside a line's width.
        assert_allclose(at, 1, rtol=0.05)
        assert curve.delta_chi2.min() == 0

    def test_inputs_stay(self, lines):
        reference, image = pair(lines, wcs=axis_wcs())
        before = copy.deepcopy(image)
        chi2_shift(reference, image).correct(image)
        assert_allclose(image.data, before.data, rtol=0)
        assert image.wcs.wcs.crpix[0] == before.wcs.wcs.crpix[0]


class TestAxis:
    def test_wavelength(self, lines):
        result = chi2_shift(*pair(lines, wcs=axis_wcs()))
        assert_allclose(result.spectral_shift.to_value(u.nm), result.shift.value * 0.1, rtol=1e-9)
        assert_allclose(result.spectral_shift_error.to_value(u.nm), result.shift_error.value * 0.1, rtol=1e-9)
        assert result.spectral_correction == -result.spectral_shift
        assert np.isnan(result.velocity)  # no one velocity for all lines
        velocity, error = result.velocity_at(520 * u.nm)
        c = constants.c.to_value(u.km / u.s)
        assert_allclose(velocity.to_value(u.km / u.s), result.shift.value * 0.1 / 520 * c, rtol=1e-9)
        assert_allclose(error / velocity, result.shift_error / result.shift, rtol=1e-9)

    def test_logarithmic_steps_are_a_velocity(self, lines):
        step = 1e-4  # of ln(wavelength) a pixel: cdelt / crval
        result = chi2_shift(*pair(lines, wcs=axis_wcs("WAVE-LOG", 500e-9, 500e-9 * step)))
        ratio = np.exp(2 * step * result.shift.value)
        expected = (ratio - 1) / (ratio + 1) * constants.c
        assert_allclose(result.velocity.to_value(u.km / u.s), expected.to_value(u.km / u.s), rtol=1e-6)
        assert result.velocity > 0  # redder: receding
        assert_allclose(
            result.velocity_error.to_value(u.km / u.s),
            (constants.c * step * result.shift_error.value).to_value(u.km / u.s),
            rtol=1e-3,
        )

    def test_frequency_with_rest_value(self, lines):
        wcs = axis_wcs("FREQ", 110e9, 1e5, "Hz", restfrq=110.2e9)
        result = chi2_shift(*pair(lines, wcs=wcs))
        expected = -constants.c * 1e5 / 110.2e9 * result.shift.value  # a higher frequency approaches
        assert_allclose(result.velocity.to_value(u.km / u.s), expected.to_value(u.km / u.s), rtol=1e-9)

    def test_velocity_axis(self, lines):
        wcs = axis_wcs("VRAD", -2000.0, 50.0, "m/s", restfrq=110.2e9)
        result = chi2_shift(*pair(lines, wcs=wcs))
        assert_allclose(result.velocity.to_value(u.m / u.s), 50 * result.shift.value, rtol=1e-9)
        assert result.spectral_shift.unit == u.m / u.s

    def test_without_wcs(self, lines):
        result = chi2_shift(*pair(lines))
        assert all(np.isnan(x) for x in (result.spectral_shift, result.velocity, result.axis_shift))
        with pytest.raises(
            ValueError, match="there is no correction to apply: the image has no spectral WCS"
        ):
            result.corrected_wcs()

    def test_a_cut_with_its_wcs_needs_no_correction(self, lines):
        reference, image = pair(lines, wcs=axis_wcs())
        cut = axis_wcs(crpix=1 + SHIFT)
        image = NDData(image.data, uncertainty=copy.copy(image.uncertainty), wcs=cut)
        result = chi2_shift(reference, image)
        assert_allclose(result.axis_shift.value, result.shift.value - SHIFT, atol=1e-9)
        assert abs(result.spectral_shift) < 4 * result.spectral_shift_error

    def test_reference_on_another_kind_of_axis(self, lines):
        reference, image = pair(lines, wcs=axis_wcs("FREQ", 110e9, 1e5, "Hz", restfrq=110.2e9))
        c, rest = constants.c.value, 110.2e9
        velocity = axis_wcs("VRAD", c * (1 - 110e9 / rest), -c * 1e5 / rest, "m/s", restfrq=rest)
        other = NDData(reference.data, uncertainty=copy.copy(reference.uncertainty), wcs=velocity)
        assert_allclose(
            chi2_shift(other, image).axis_shift, chi2_shift(reference, image).axis_shift, rtol=1e-6
        )

    def test_axes_that_do_not_compare(self, lines):
        reference, image = pair(lines)
        reference, image = (
            NDData(x.data, uncertainty=copy.copy(x.uncertainty), wcs=w)
            for x, w in ((reference, axis_wcs("AWAV")), (image, axis_wcs("WAVE")))
        )
        with pytest.warns(AstroregWarning, match="cannot be compared .*in air, the other in vacuum"):
            chi2_shift(reference, image)

    def test_other_dispersion(self, lines):
        reference, image = pair(lines)
        reference, image = (
            NDData(x.data, uncertainty=copy.copy(x.uncertainty), wcs=axis_wcs(cdelt=step))
            for x, step in ((reference, 1e-10), (image, 1.01e-10))
        )
        with pytest.warns(AstroregWarning, match="sample the spectrum differently.* by 4"):
            chi2_shift(reference, image)  # one per cent of 400 pixels

    def test_max_shift_along_the_axis(self, lines):
        images = pair(lines, wcs=axis_wcs())
        assert sigmas(chi2_shift(*images, max_shift=2 * u.nm)) < 4
        assert sigmas(chi2_shift(*images, max_shift=900 * u.km / u.s)) < 4  # 15.6 pixels
        with pytest.warns(AstroregWarning, match="AT_SEARCH_BOUND|NO_SIGNAL|RIVAL"):
            assert not chi2_shift(*images, max_shift=4 * u.AA).ok


class TestCorrection:
    @pytest.mark.parametrize("wcs", [axis_wcs(), axis_wcs("WAVE-LOG", 500e-9, 5e-11)], ids=["linear", "log"])
    def test_corrected_wcs_gives_the_reference_coordinate(self, lines, wcs):
        result = chi2_shift(*pair(lines, wcs=wcs))
        corrected = result.corrected_wcs()
        at = np.array([20.0, 200.0, 390.0])
        expected = wcs.pixel_to_world_values(at - result.shift.value)
        assert_allclose(corrected.pixel_to_world_values(at), expected, rtol=1e-14)

    def test_corrected_axis(self, lines):
        axis = chi2_shift(*pair(lines, wcs=axis_wcs())).corrected_axis()
        assert isinstance(axis, SpectralCoord)
        assert axis.shape == X.shape

    def test_correct_nddata_and_undo(self, lines):
        reference, image = pair(lines, wcs=axis_wcs(), unit=u.Jy)
        header = image.wcs.to_header()
        image = CCDData(image, meta=header)
        result = chi2_shift(reference, image)
        corrected = result.correct(image)
        assert type(corrected) is CCDData
        assert_allclose(corrected.data, image.data, rtol=0)
        assert_allclose(WCS(corrected.meta).wcs.crpix, corrected.wcs.wcs.crpix, rtol=1e-12)
        assert any("measured d = 7." in line for line in corrected.meta["HISTORY"])
        # A letter holds the old axis, and the record takes it back.
        assert_allclose(WCS(corrected.meta, key="Z").wcs.crpix, header["CRPIX1"])
        restored = restore_header(corrected.meta)
        assert restored["CRPIX1"] == header["CRPIX1"]
        assert "CRPIX1Z" not in restored
        with pytest.raises(AlreadyCorrectedError, match="has had correction"):
            result.update_header(corrected.meta)

    def test_generalized_wcs(self, lines):
        gwcs = pytest.importorskip("gwcs")
        from astropy.modeling.models import Polynomial1D

        pixel = gwcs.coordinate_frames.CoordinateFrame(1, "PIXEL", (0,), unit=u.pix, name="pixel")
        world = gwcs.coordinate_frames.SpectralFrame(unit=u.nm, axes_names="wavelength", name="spectral")
        wcs = gwcs.WCS([(pixel, Polynomial1D(2, c0=500, c1=0.1, c2=1e-6)), (world, None)])
        result = chi2_shift(*pair(lines, wcs=wcs))
        corrected = result.corrected_wcs()
        at = 123.0
        assert_allclose(
            corrected.pixel_to_world_values(at), wcs.pixel_to_world_values(at - result.shift.value)
        )
        assert np.isfinite(result.spectral_shift)

    def test_a_wcs_that_cannot_be_moved(self, lines):
        from astropy.wcs.wcsapi import SlicedLowLevelWCS

        sliced = SlicedLowLevelWCS(axis_wcs(), slice(10, None))
        reference, image = pair(lines)
        image = NDData(image.data, uncertainty=copy.copy(image.uncertainty), wcs=sliced)
        with pytest.raises(CorrectionError, match="HighLevelWCSWrapper cannot be moved; give an astropy"):
            chi2_shift(reference, image).corrected_wcs()


class TestFlags:
    def test_noise_alone(self):
        rng = np.random.default_rng(3)
        flat = np.zeros(X.size)
        with pytest.warns(AstroregWarning, match="NO_SIGNAL"):
            result = chi2_shift(spectrum(flat, 1.0, rng), spectrum(flat, 1.0, rng))
        assert np.isnan(result.shift)
        assert np.isnan(result.shift_error)
        assert not result.ok

    def test_comb_has_rivals(self):
        comb = 1 + np.cos(2 * np.pi * X / 20)
        rng = np.random.default_rng(4)
        with pytest.warns(AstroregWarning, match="RIVAL_PEAK"):
            result = chi2_shift(spectrum(comb, 0.1, rng), spectrum(np.roll(comb, 3), 0.1, rng))
        turns = (result.rival.shift - result.shift).value / 20
        assert abs(turns - round(turns)) < 0.05

    def test_wrong_uncertainties(self, lines):
        reference, image = pair(lines)
        for one in (reference, image):
            one.uncertainty.array /= 3
        with pytest.warns(AstroregWarning, match="BAD_CHI2"):
            assert chi2_shift(reference, image).reduced_chi2 > 5

    def test_no_overlap(self, lines):
        reference, image = pair(lines)
        reference.mask, image.mask = X < 395, X > 3
        with pytest.warns(AstroregWarning, match="NO_OVERLAP|NO_SIGNAL"):
            assert not chi2_shift(reference, image, max_shift=10).determined


class TestOutput:
    def test_words_tables_and_plot(self, lines, tmp_path):
        result = chi2_shift(*pair(lines, wcs=axis_wcs(), unit=u.Jy))
        assert str(result).startswith("d = 7.")
        assert "spectral shift: " in str(result)
        assert "<table>" in result._repr_html_()
        result.to_table().write(tmp_path / "shift.ecsv")
        row = QTable.read(tmp_path / "shift.ecsv")[0]
        assert row["shift"] == result.shift
        assert row["spectral_shift"].unit == u.m
        pytest.importorskip("matplotlib").use("Agg")
        assert len(result.plot()) == 5

    def test_files(self, lines, tmp_path):
        reference, image = pair(lines, wcs=axis_wcs())
        for name, one in (("reference", reference), ("image", image)):
            header = one.wcs.to_header()
            hdus = [fits.PrimaryHDU(one.data, header), fits.ImageHDU(one.uncertainty.array, name="ERR")]
            hdus[0].name = "SCI"
            hdus[0].header["EXTVER"] = 1
            fits.HDUList(hdus).writeto(tmp_path / f"{name}.fits")
        result = chi2_shift(tmp_path / "reference.fits", tmp_path / "image.fits")
        assert_allclose(result.shift, chi2_shift(reference, image).shift)
        assert result.flags == 0  # the ERR was found
        assert result.image_label.endswith("image.fits")
