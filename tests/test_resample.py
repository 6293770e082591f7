"""Resampling an image onto another grid: values, masks, variances, and the noise that is left."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS, DistortionLookupTable
from astropy.wcs.utils import pixel_to_pixel
from reproject import reproject_interp

from astroreg.grids import GridMap, Window
from astroreg.inpaint import fill_bad
from astroreg.inputs import Frame
from astroreg.resample import resample_to, spline
from astroreg.simulation import SphericalSky, tan_wcs

CENTRE = SkyCoord(83.8 * u.deg, -5.4 * u.deg)
SKY = SphericalSky(CENTRE, 3 * u.arcmin, rng=1)
FWHM = 6 * u.arcsec


def frame_of(ccd):
    variance = None if ccd.uncertainty is None else ccd.uncertainty.array**2
    return Frame(ccd.data, variance, ccd.mask, ccd.unit, ccd.wcs)


def white(rng, wcs, shape):
    return Frame(rng.standard_normal(shape), np.ones(shape), wcs=wcs)


def mirrored(wcs):
    new = wcs.deepcopy()
    new.wcs.cd = new.wcs.cd @ np.diag([-1, 1])
    new.wcs.set()
    return new


TARGETS = {
    "rotated": tan_wcs((60, 64), centre=CENTRE, pixel_scale=2 * u.arcsec, rotation=33 * u.deg),
    "mirrored": mirrored(tan_wcs((60, 64), centre=CENTRE, pixel_scale=2 * u.arcsec, rotation=70 * u.deg)),
    "galactic": tan_wcs((60, 64), centre=CENTRE.galactic, pixel_scale=2 * u.arcsec),
    "orthographic": tan_wcs((60, 64), centre=CENTRE.fk5, pixel_scale=1.7 * u.arcsec, projection="SIN"),
}


class TestValues:
    @pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
    def test_interpolation_is_what_another_camera_sees(self, target):
        source = SKY.observe(tan_wcs((140, 150), centre=CENTRE, pixel_scale=2 * u.arcsec), fwhm=FWHM)
        truth = SKY.observe(target, (60, 64), fwhm=FWHM).data
        out = resample_to(frame_of(source), target, (60, 64))
        assert out.algorithm == "interpolation" and out.mask.sum() == 0
        # A beam of 3 pixels: the order-5 spline is wrong by 1e-4 of the structure.
        assert np.abs(out.data - truth).max() < 5e-4 * truth.std()

    @pytest.mark.parametrize("ratio", [2, 3.3, 10])
    def test_a_finer_source_is_averaged_without_moving(self, ratio):
        target = tan_wcs((40, 40), centre=CENTRE, pixel_scale=4 * u.arcsec, rotation=20 * u.deg)
        n = int(60 * ratio)
        source = SKY.observe(tan_wcs((n, n), centre=CENTRE, pixel_scale=4 * u.arcsec / ratio), fwhm=2 * FWHM)
        out = resample_to(frame_of(source), target, (40, 40))
        assert out.algorithm == "adaptive" and out.mask.sum() == 0
        sigma = max(1 / np.sqrt(4 * np.pi), 0.75 / ratio) * 4 * u.arcsec  # the averaging Gaussian
        beam = np.hypot(2 * FWHM, sigma * 2.3548)
        truth = SKY.observe(target, (40, 40), fwhm=beam).data
        # Cutting the Gaussian at 3.25 sigma leaves 0.5 per cent of its weight out.
        assert np.abs(out.data - truth).max() < 0.01 * truth.std()
        # A displacement would show as the gradient of the truth; 1e-3 pixel is allowed.
        gy, gx = np.gradient(truth)
        moved = np.linalg.lstsq(
            np.stack([gx.ravel(), gy.ravel()], 1), (out.data - truth).ravel(), rcond=None
        )[0]
        assert np.abs(moved).max() < 1e-3

    def test_unit_and_float32_are_kept(self):
        source = SKY.observe(
            tan_wcs((60, 60), centre=CENTRE, pixel_scale=2 * u.arcsec), fwhm=FWHM, unit="mJy/beam"
        )
        frame = Frame(source.data.astype("f4"), unit=source.unit, wcs=source.wcs)
        out = resample_to(frame, TARGETS["rotated"], (60, 64))
        assert out.data.dtype == np.float32 and out.to_nddata().unit == u.mJy / u.beam

    def test_a_cube_header_is_reduced_to_the_sky(self):
        wcs = tan_wcs((30, 30), centre=CENTRE)
        cube = wcs.sub([1, 2, 0])
        cube.wcs.ctype = [*wcs.wcs.ctype, "FREQ"]
        frame = white(np.random.default_rng(1), wcs, (30, 30))
        assert resample_to(frame, cube, (30, 30)).algorithm == "none"

    def test_pole_and_longitude_wrap(self):
        pole = SkyCoord(10 * u.deg, 89.99 * u.deg)
        sky = SphericalSky(pole, 3 * u.arcmin, rng=2)
        source = sky.observe(tan_wcs((120, 120), centre=pole, pixel_scale=2 * u.arcsec), fwhm=FWHM)
        target = tan_wcs((50, 50), centre=SkyCoord(200 * u.deg, 89.995 * u.deg), pixel_scale=2 * u.arcsec)
        out = resample_to(frame_of(source), target, (50, 50))
        truth = sky.observe(target, (50, 50), fwhm=FWHM).data
        assert np.abs(out.data - truth).max() < 5e-4 * truth.std()


def lens(wcs, strength, step):
    """A copy of a WCS whose distortion is a table with a value of its own for every `step` pixels."""
    new = wcs.deepcopy()
    values = np.random.default_rng(4).uniform(-strength, strength, (12, 12)).astype("f4")
    new.cpdis1 = DistortionLookupTable(values, (1, 1), (1, 1), (step, step))
    return new


class TestPlaces:
    """The places of pixels are those of the projections, from a spline where that is right."""

    SHAPE = (90, 101)

    def maps(self, source, target):
        window = Window(-3, -2, self.SHAPE[1] - 3, self.SHAPE[0] - 2)
        y, x = np.indices(self.SHAPE) + np.array([-2.0, -3.0]).reshape(2, 1, 1)
        return GridMap(source, target, window), pixel_to_pixel(target, source, x, y)

    @pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
    def test_smooth(self, target):
        source = tan_wcs((140, 150), centre=CENTRE, pixel_scale=2 * u.arcsec)
        grid, expected = self.maps(source, target)
        rows = slice(20, 50)
        for found, true in zip(grid.places(rows), expected, strict=True):
            assert np.abs(found - true[rows]).max() < 1e-5

    @pytest.mark.parametrize("strength", [1e-3, 0.1])
    def test_a_table_of_distortions(self, strength):
        # Its kinks between the nodes are nothing that a spline could follow.
        source = lens(tan_wcs((140, 150), centre=CENTRE, pixel_scale=2 * u.arcsec), strength, 11)
        grid, expected = self.maps(source, TARGETS["rotated"])
        for found, true in zip(grid.places(slice(None)), expected, strict=True):
            assert np.abs(found - true).max() < 1e-5

    def test_a_longitude_that_jumps(self):
        source = WCS(naxis=2)
        source.wcs.ctype = "RA---CAR", "DEC--CAR"
        source.wcs.cdelt, source.wcs.crpix = (-1, 1), (181, 91)
        target = tan_wcs((60, 60), centre=SkyCoord(180 * u.deg, 5 * u.deg), pixel_scale=0.2 * u.deg)
        grid, expected = self.maps(source, target)
        for found, true in zip(grid.places(slice(None)), expected, strict=True):
            assert np.array_equal(found, true)

    def test_beyond_the_horizon(self):
        source = tan_wcs((40, 40), centre=CENTRE, pixel_scale=1 * u.arcmin, projection="SIN")
        target = tan_wcs((90, 101), centre=CENTRE, pixel_scale=3 * u.deg, projection="ZEA")
        grid, expected = self.maps(source, target)
        x, y = grid.places(slice(None))
        assert 0 < np.isnan(x).sum() < x.size and np.array_equal(np.isnan(x), np.isnan(y))
        assert np.allclose(x[np.isfinite(x)], expected[0][np.isfinite(x)], atol=1e-9)

    def test_the_filters_of_warnings_are_left_alone(self, monkeypatch):
        monkeypatch.setattr(spline, "BAND", 500)
        source = tan_wcs((40, 40), centre=CENTRE, pixel_scale=1 * u.arcmin, projection="SIN")
        target = tan_wcs((90, 101), centre=CENTRE, pixel_scale=1 * u.deg, projection="ZEA")
        frame = white(np.random.default_rng(2), source, (40, 40))
        before = list(warnings.filters)
        for _ in range(3):
            resample_to(frame, target, (90, 101), algorithm="interpolation")
        assert warnings.filters == before

    @pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
    def test_values_are_those_of_reproject(self, target):
        wcs = tan_wcs((140, 150), centre=CENTRE, pixel_scale=2 * u.arcsec)
        frame = white(np.random.default_rng(2), wcs, (140, 150))
        found = resample_to(frame, target, (60, 64))
        expected = reproject_interp(
            (frame.data, wcs), target, shape_out=(60, 64), order=5, return_footprint=False
        )
        # White noise of unit variance changes by 3 at the most over a pixel; a place is right to 1e-5 pixel.
        assert found.mask.sum() == 0 and np.abs(found.data - expected).max() < 3e-5

    def test_bands_of_rows(self, monkeypatch):
        wcs = tan_wcs((140, 150), centre=CENTRE, pixel_scale=2 * u.arcsec)
        frame = replace(
            white(np.random.default_rng(2), wcs, (140, 150)),
            mask=np.random.default_rng(3).random((140, 150)) < 0.01,
        )
        whole = resample_to(frame, TARGETS["mirrored"], (60, 64))
        monkeypatch.setattr(spline, "BAND", 200)
        parts = resample_to(frame, TARGETS["mirrored"], (60, 64))
        assert np.allclose(parts.data, whole.data, atol=1e-9) and np.array_equal(parts.mask, whole.mask)
        assert np.allclose(parts.variance, whole.variance, equal_nan=True)


class TestCopies:
    def source(self, rng=1):
        wcs = tan_wcs((50, 60), centre=CENTRE)
        return white(np.random.default_rng(rng), wcs, (50, 60))

    def test_identical_grids_share_the_arrays(self):
        frame = self.source()
        out = resample_to(frame, frame.wcs.deepcopy(), (50, 60))
        assert out.algorithm == "none" and np.shares_memory(out.data, frame.data) and out.mask is None
        assert (out.noise_gain, out.area_ratio, out.fraction) == (1, 1, (0, 0))

    def test_whole_pixels_are_cut(self):
        frame = self.source()
        target = frame.wcs[7:27, 5:35]
        out = resample_to(frame, target, (20, 30))
        assert np.array_equal(out.data, frame.data[7:27, 5:35]) and np.shares_memory(out.data, frame.data)

    def test_whole_pixels_beyond_the_edge_are_masked(self):
        frame = self.source()
        target = frame.wcs.deepcopy()
        target.wcs.crpix -= [40, -10]
        out = resample_to(frame, target, (50, 60))
        assert np.array_equal(out.data[10:, :20], frame.data[:40, 40:])
        expected = np.ones((50, 60), bool)
        expected[10:, :20] = False
        assert np.array_equal(out.mask, expected)

    @pytest.mark.parametrize("step", [(0.3, 0.0), (4.75, -2.4)])
    def test_a_fraction_can_be_kept(self, step):
        frame = self.source()
        target = frame.wcs.deepcopy()
        target.wcs.crpix += step
        out = resample_to(frame, target, (50, 60), keep_fraction=True)
        assert out.algorithm == "none"
        # Source pixel p stands at target pixel p + step, so that pixel (30, 30) of the cut
        # stands at (30, 30) + fraction of the target.
        sky = out.wcs.pixel_to_world(30, 30)
        assert np.allclose(target.world_to_pixel(sky), 30 + np.array(out.fraction), atol=1e-6)
        assert np.abs(out.fraction).max() <= 0.5
        x, y = np.rint(np.array(frame.wcs.world_to_pixel(sky))).astype(int)
        assert out.data[30, 30] == frame.data[y, x]
        assert resample_to(frame, target, (50, 60)).algorithm == "interpolation"

    def test_the_source_is_not_changed(self):
        frame = self.source()
        before = frame.data.copy()
        resample_to(frame, TARGETS["rotated"], (60, 64))
        assert np.array_equal(frame.data, before)


class TestMasks:
    def test_bad_pixels_do_not_leak(self):
        source = SKY.observe(
            tan_wcs((100, 100), centre=CENTRE, pixel_scale=2 * u.arcsec), fwhm=FWHM, noise=0.01, rng=1
        )
        clean = frame_of(source)
        mask = np.random.default_rng(3).random((100, 100)) < 0.03
        mask[:, 50:53] = True
        data = np.where(mask, np.nan, clean.data)
        dirty = Frame(data, clean.variance, mask, clean.unit, clean.wcs)
        out = resample_to(dirty, TARGETS["rotated"], (60, 64))
        whole = resample_to(clean, TARGETS["rotated"], (60, 64))
        good = ~out.mask
        # A filled pixel is wrong by 0.1 at worst, and enters with less than 15 per cent.
        assert np.abs(out.data - whole.data)[good].max() < 0.015
        # 3 per cent of bad pixels, and a band 5 wide of 64, cost less than a quarter.
        assert good.mean() > 0.75
        assert np.isfinite(out.variance[good]).all() and (out.variance[good] > 0).all()

    def test_finer_sources_survive_isolated_bad_pixels(self):
        wcs = tan_wcs((400, 400), centre=CENTRE, pixel_scale=0.5 * u.arcsec)
        mask = np.random.default_rng(1).random((400, 400)) < 0.01
        frame = Frame(np.ones((400, 400)), np.ones((400, 400)), mask, wcs=wcs)
        out = resample_to(frame, tan_wcs((20, 20), centre=CENTRE, pixel_scale=4 * u.arcsec), (20, 20))
        assert not out.mask.any() and np.allclose(out.data, 1)

    def test_edge_of_the_source(self):
        frame = white(
            np.random.default_rng(1), tan_wcs((30, 30), centre=CENTRE, pixel_scale=2 * u.arcsec), (30, 30)
        )
        target = tan_wcs((60, 60), centre=CENTRE, pixel_scale=2 * u.arcsec, rotation=30 * u.deg)
        out = resample_to(frame, target, (60, 60))
        x, y = frame.wcs.world_to_pixel(target.pixel_to_world(*np.indices((60, 60))[::-1]))
        inside = np.minimum(np.minimum(x, 29 - x), np.minimum(y, 29 - y))
        assert not out.mask[inside > 0.5].any() and out.mask[inside < -0.5].all()

    @pytest.mark.parametrize("distance", [1 * u.deg, 179 * u.deg])
    def test_no_overlap_is_masked_everywhere(self, distance):
        frame = white(np.random.default_rng(1), tan_wcs((30, 30), centre=CENTRE), (30, 30))
        away = CENTRE.directional_offset_by(40 * u.deg, distance)
        out = resample_to(frame, tan_wcs((20, 20), centre=away), (20, 20))
        assert not out.covered and out.mask.shape == (20, 20)

    def test_without_variance_there_is_none(self):
        frame = Frame(np.ones((30, 30)), wcs=tan_wcs((30, 30), centre=CENTRE))
        out = resample_to(frame, TARGETS["rotated"], (60, 64))
        assert out.variance is None and out.to_nddata().uncertainty is None


class TestFill:
    def test_isolated_bad_pixels_of_a_cubic_surface(self):
        y, x = np.mgrid[:20, :20] / 10.0
        surface = 1 + x - 2 * y + x * y + x**3 - y**3 + x * x * y
        bad = np.zeros((20, 20), bool)
        bad[5, 6] = bad[12, 14] = bad[15, 4] = True
        # The squared Laplacian is least where the biharmonic stencil vanishes, exactly so for cubics;
        # what is left is the ridge of 1e-6.
        assert np.allclose(fill_bad(np.where(bad, 1e9, surface), bad)[bad], surface[bad], rtol=1e-3)

    def test_large_holes_take_the_nearest_value(self):
        bad = np.zeros((30, 30), bool)
        bad[:, 5:] = True
        out = fill_bad(np.where(bad, np.nan, 3.0), bad)
        assert np.allclose(out, 3.0)

    def test_nothing_and_everything(self):
        data = np.ones((4, 4))
        assert fill_bad(data, np.zeros((4, 4), bool)) is data
        assert not fill_bad(data, np.ones((4, 4), bool)).any()


RATIOS = [0.1, 0.3, 0.7, 1.0, 1.4, 1.7, 2.5, 5.0, 10.0]


def template_sums(ratio, rotation, draws, n=64):
    """Sums of resampled white noise over a smooth template, and their predicted variance."""
    target = tan_wcs((n, n), centre=CENTRE, pixel_scale=2 * u.arcsec, rotation=rotation * u.deg)
    size = int(1.6 * n * ratio) + 24
    wcs = tan_wcs((size, size), centre=CENTRE, pixel_scale=2 * u.arcsec / ratio)
    wcs.wcs.crpix += [0.31, -0.17]
    y, x = np.indices((n, n))
    # The gradient of a blob, smooth on the scale of the coarser of the two pixels (10 in the worst case).
    template = (x - 31.2) * np.exp(-0.5 * ((x - 31.2) ** 2 + (y - 32.6) ** 2) / 12**2)
    rng = np.random.default_rng([int(10 * ratio), int(rotation)])
    outs = [resample_to(white(rng, wcs, (size, size)), target, (n, n)) for _ in range(draws)]
    sums = [np.sum(template * out.data) for out in outs]
    # About the true mean, 0: a coarse reference has too few pixels for its own.
    marginal = np.mean([np.mean(out.data**2) for out in outs])
    return np.array(sums), np.sum(template**2 * outs[0].variance), marginal, outs[0]


class TestNoise:
    @pytest.mark.parametrize("ratio", [0.3, 1.0, 2.5])
    def test_effective_variance(self, ratio):
        sums, predicted, marginal, out = template_sums(ratio, 20, 60)
        # The mean square of 60 normal numbers scatters by sqrt(2 / 60) = 0.18; 4 sigma.
        assert abs(np.mean(sums**2) / predicted - 1) < 4 * np.sqrt(2 / 60)
        assert np.isclose(marginal, out.noise_gain * out.variance.mean(), rtol=0.05)

    @pytest.mark.slow
    @pytest.mark.parametrize("rotation", [0, 33])
    @pytest.mark.parametrize("ratio", RATIOS)
    def test_effective_variance_at_every_ratio(self, ratio, rotation, record_property):
        record_property("draws", 200)
        sums, predicted, marginal, out = template_sums(ratio, rotation, 200)
        assert abs(np.mean(sums**2) / predicted - 1) < 4 * np.sqrt(2 / 200)
        # 200 draws of the pixels that the coarser grid has in the window: 4 sigma, or 3 per cent.
        independent = 200 * (64 * min(ratio, 1)) ** 2
        assert np.isclose(
            marginal, out.noise_gain * out.variance.mean(), rtol=max(0.03, 4 * np.sqrt(2 / independent))
        )

    def test_a_variance_that_varies_is_followed(self):
        wcs = tan_wcs((80, 80), centre=CENTRE, pixel_scale=2 * u.arcsec)
        x = np.indices((80, 80))[1]
        frame = Frame(np.zeros((80, 80)), 1.0 + x, wcs=wcs)
        target = tan_wcs((40, 40), centre=CENTRE, pixel_scale=1 * u.arcsec, rotation=30 * u.deg)
        out = resample_to(frame, target, (40, 40))
        at = wcs.world_to_pixel(target.pixel_to_world(*np.indices((40, 40))[::-1]))[0]
        assert np.allclose(out.variance, 4 * (1 + at), rtol=1e-3)

    def test_pixels_of_varying_size(self):
        # Plate carree at latitude 60: pixels half as wide on the sky as at the equator.
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ["RA---CAR", "DEC--CAR"]
        wcs.wcs.crval, wcs.wcs.cdelt, wcs.wcs.crpix = [83.8, 0], [-0.25, 0.25], [100.5, -199.5]
        frame = Frame(np.zeros((80, 200)), np.ones((80, 200)), wcs=wcs)
        target = tan_wcs((40, 40), centre=SkyCoord(83.8 * u.deg, 60 * u.deg), pixel_scale=0.25 * u.deg)
        out = resample_to(frame, target, (40, 40))
        # 2 across, 1 along: still finer than the target in one direction, so averaged. Pixel areas on the sky
        # go as cos(dec) in this projection and as cos(r)^3 at distance r from the centre of a tangential one.
        sky = target.pixel_to_world(*np.indices((40, 40))[::-1])
        expected = np.cos(sky.dec) / np.cos(sky.separation(SkyCoord(83.8 * u.deg, 60 * u.deg))) ** 3
        good = ~out.mask
        assert out.algorithm == "adaptive" and good.mean() > 0.9
        assert np.allclose(out.variance[good], expected[good], rtol=2e-3)


class TestArguments:
    def test_without_wcs(self):
        with pytest.raises(ValueError, match="`frame` has no WCS"):
            resample_to(Frame(np.ones((9, 9))), TARGETS["rotated"], (60, 64))

    def test_not_celestial(self):
        with pytest.raises(ValueError, match="WCS of `target_wcs` has no celestial axes"):
            resample_to(Frame(np.ones((9, 9)), wcs=TARGETS["rotated"]), WCS(naxis=2), (60, 64))

    def test_unknown_algorithm(self):
        with pytest.raises(ValueError, match='`algorithm` must be "auto"'):
            resample_to(
                Frame(np.ones((9, 9)), wcs=TARGETS["rotated"]), TARGETS["rotated"], (9, 9), algorithm="cubic"
            )
