"""Beams on the sky, and bringing two images to one resolution."""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits

from astroreg.inputs import Frame
from astroreg.resample import Beam, beam_of, match_beams, matching_kernel
from astroreg.resample.beams import enclosing
from astroreg.resample.smoothing import gaussian_kernel, smoothed
from astroreg.simulation import SphericalSky, tan_wcs

CENTRE = SkyCoord(83.8 * u.deg, 40 * u.deg)
SKY = SphericalSky(CENTRE, 3 * u.arcmin, smallest=6 * u.arcsec, rng=1)


def header(**cards):
    return fits.Header([(name.upper(), value) for name, value in cards.items()])


def observed(wcs, shape, fwhm, **options):
    ccd = SKY.observe(wcs, shape, fwhm=fwhm, **options)
    variance = None if ccd.uncertainty is None else ccd.uncertainty.array**2
    return Frame(ccd.data, variance, ccd.mask, ccd.unit, ccd.wcs)


def moments(image):
    """Flux, centre and second moments (x, y) of a compact image."""
    y, x = np.indices(image.shape)
    flux = image.sum()
    cx, cy = np.sum(image * x) / flux, np.sum(image * y) / flux
    dx, dy = x - cx, y - cy
    second = [
        [np.sum(image * dx * dx), np.sum(image * dx * dy)],
        [np.sum(image * dx * dy), np.sum(image * dy * dy)],
    ]
    return flux, (cx, cy), np.array(second) / flux


class TestBeamOf:
    @pytest.mark.parametrize(
        "source",
        [
            6 * u.arcsec,
            (6 * u.arcsec, 6 * u.arcsec, 0 * u.deg),
            header(bmaj=6 / 3600, bmin=6 / 3600, bpa=0.0),
            header(bmaj=6 / 3600),
            Beam(6 * u.arcsec, 6 * u.arcsec),
            SimpleNamespace(major=6 * u.arcsec, minor=6 * u.arcsec, pa=0 * u.deg),
        ],
        ids=["fwhm", "tuple", "header", "round", "beam", "radio-beam"],
    )
    def test_all_kinds(self, source):
        beam = beam_of(source)
        assert u.isclose(beam.major, 6 * u.arcsec) and u.isclose(beam.minor, 6 * u.arcsec)
        assert beam.position_angle == 0 * u.deg

    def test_exchanged_axes(self):
        beam = beam_of(header(bmaj=0.001, bmin=0.002, bpa=10.0))
        assert beam.major > beam.minor and beam.position_angle == 10 * u.deg

    def test_covariance_points_along_the_position_angle(self):
        covariance = Beam(20 * u.arcsec, 10 * u.arcsec, 30 * u.deg).covariance
        # From North (lat) through East (lon).
        along = np.array([np.sin(np.radians(30)), np.cos(np.radians(30))])
        assert np.isclose(along @ covariance @ along, (20 / 2.354820045) ** 2)
        assert np.isclose(np.linalg.det(covariance), (20 * 10 / 2.354820045**2) ** 2)

    def test_header_without_beam(self):
        with pytest.raises(ValueError, match="`image_beam` is not told by the header"):
            beam_of(header(bpa=3.0), argument="image_beam")

    @pytest.mark.parametrize("source", [6.0, "6 arcsec", (6 * u.arcsec, 3 * u.arcsec), None])
    def test_not_a_beam(self, source):
        with pytest.raises(TypeError, match="`beam` must be a full width"):
            beam_of(source)

    @pytest.mark.parametrize("widths", [(3, 6), (-1, -2), (0, 0)])
    def test_impossible(self, widths):
        with pytest.raises(ValueError, match="a beam must have 0 <= `minor` <= `major`"):
            Beam(*(widths * u.arcsec))

    def test_not_an_angle(self):
        with pytest.raises(u.UnitConversionError, match="`major` is in Jy"):
            Beam(3 * u.Jy, 3 * u.Jy)


class TestKernel:
    @pytest.mark.parametrize("widths", [(0.15, 0.15), (0.3, 0.3), (0.5, 0.3), (1.0, 0.6), (3.0, 0.4), (5, 5)])
    @pytest.mark.parametrize("angle", [0, 25, 70])
    def test_second_moments_are_those_wanted(self, widths, angle):
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        turn = np.array([[c, -s], [s, c]])
        covariance = turn @ np.diag(np.square(widths)) @ turn.T
        flux, _, second = moments(gaussian_kernel(covariance))
        assert np.isclose(flux, 1)
        # The iteration stops at 1e-3 of the larger moment; the cut at 4 sigma is made up for.
        assert np.abs(second - covariance).max() < 1.1e-3 * max(widths) ** 2

    def test_matching_kernel_of_gaussians(self):
        y, x = np.indices((41, 41)) - 20
        narrow, wide = (np.exp(-(x**2 + y**2) / (2 * s**2)) for s in (2.0, 3.5))
        _, _, second = moments(matching_kernel(narrow / narrow.sum(), wide / wide.sum()))
        # The regularization cuts the highest frequencies: per cent of the difference 3.5^2 - 2^2 = 8.25.
        assert np.allclose(second, np.diag([8.25, 8.25]), atol=0.25)


class TestEnclosing:
    @pytest.mark.parametrize("seed", range(5))
    def test_holds_both_and_is_the_larger_where_one_is(self, seed):
        rng = np.random.default_rng(seed)
        first, second = (a @ a.T + 0.1 * np.eye(2) for a in rng.standard_normal((2, 2, 2)))
        common = enclosing(first, second)
        for inner in (first, second):
            assert np.linalg.eigvalsh(common - inner).min() > -1e-12
        assert np.allclose(enclosing(first, 9 * first), 9 * first)
        assert np.allclose(common, enclosing(second, first))


class TestSmoothed:
    def test_a_surface_and_its_mask(self):
        y, x = np.indices((60, 60))
        surface = 1e6 + 2.0 * x - y
        mask = np.zeros((60, 60), bool)
        mask[20, 30] = mask[:10, :10] = True
        data, variance, lost = smoothed(
            np.where(mask, np.nan, surface), np.full((60, 60), 4.0), mask, gaussian_kernel(4 * np.eye(2))
        )
        assert np.allclose(data[15:45, 15:45], surface[15:45, 15:45], atol=1e-3)
        assert not lost[20, 30] and lost[:9, :9].all() and lost[0].all()
        assert np.allclose(variance[30:40, 40:50], 4.0)

    def test_effective_variance(self):
        rng = np.random.default_rng(5)
        y, x = np.indices((70, 70))
        template = (x - 35) * np.exp(-((x - 35) ** 2 + (y - 35) ** 2) / (2 * 10**2))
        kernel = gaussian_kernel(np.diag([1.5**2, 1.0]))
        outs = [smoothed(rng.standard_normal((70, 70)), np.ones((70, 70)), None, kernel) for _ in range(100)]
        sums = [np.sum(template * data) for data, _, _ in outs]
        _, variance, lost = outs[0]
        predicted = np.sum((template**2 * variance)[~lost])
        # 100 draws: sqrt(2 / 100) = 0.14, 4 sigma; the kernel of 1.5 pixels takes 5 per cent off the gradient
        # of a blob of 10.
        assert abs(np.mean(np.square(sums)) / predicted - 1) < 4 * 0.14
        middle = np.s_[20:50, 20:50]
        assert np.isclose(
            np.mean([np.var(data[middle]) for data, _, _ in outs]), np.sum(kernel**2), rtol=0.05
        )


class TestMatch:
    def pair(self, noise=0.0):
        reference = observed(
            tan_wcs((150, 150), centre=CENTRE, pixel_scale=1.5 * u.arcsec, rotation=30 * u.deg),
            (150, 150),
            6 * u.arcsec,
            noise=noise,
            rng=1,
        )
        image = observed(
            tan_wcs((90, 90), centre=CENTRE, pixel_scale=2 * u.arcsec),
            (90, 90),
            11 * u.arcsec,
            noise=noise,
            rng=2,
        )
        return reference, image

    def test_the_sharper_one_is_smoothed(self):
        reference, image = self.pair()
        matched = match_beams(reference, image, reference_beam=6 * u.arcsec, image_beam=11 * u.arcsec)
        assert matched.image is image and matched.image_gain == 1 and matched.reference_gain < 0.1
        truth = SKY.observe(reference.wcs, (150, 150), fwhm=11 * u.arcsec).data
        good = ~matched.reference.mask
        inside = np.zeros_like(good)
        inside[12:-12, 12:-12] = True  # 4 sigma from the edge, where nothing is filled
        assert good[inside].all()
        # The kernel's second moment is right to 1e-3, its cut at 4 sigma leaves 3e-4 out.
        assert np.abs(matched.reference.data - truth)[inside].max() < 3e-3 * truth.std()

    def test_the_image_may_be_the_sharper_one(self):
        reference, image = self.pair()
        matched = match_beams(image, reference, reference_beam=11 * u.arcsec, image_beam=6 * u.arcsec)
        assert matched.reference is image and matched.reference_gain == 1 and matched.image.mask is not None

    def test_position_angles_are_those_of_the_sky(self):
        # A point source seen with an elliptical beam: after matching both have the larger beam's moments.
        wcs = tan_wcs((81, 81), centre=CENTRE, pixel_scale=1 * u.arcsec, rotation=50 * u.deg)
        point = np.zeros((81, 81))
        point[40, 40] = 1
        coarse = Beam(14 * u.arcsec, 8 * u.arcsec, 25 * u.deg)
        sharp = 0.01 * u.arcsec
        frame = Frame(point, wcs=wcs)
        other = Frame(point, wcs=tan_wcs((81, 81), centre=CENTRE.galactic, pixel_scale=1 * u.arcsec))
        matched = match_beams(frame, other, reference_beam=sharp, image_beam=coarse)
        _, (cx, cy), second = moments(matched.reference.data)
        assert np.allclose((cx, cy), 40, atol=1e-6)
        # The major axis by two points on the sky, 1 arcsec along the position angle in the galactic frame.
        north = CENTRE.galactic.directional_offset_by(25 * u.deg, 1 * u.arcsec)
        along = np.array([float(v) for v in wcs.world_to_pixel(north)]) - 40
        along /= np.hypot(*along)
        assert np.isclose(along @ second @ along, (14 / 2.3548) ** 2, rtol=3e-3)
        across = along[::-1] * [1, -1]
        assert np.isclose(across @ second @ across, (8 / 2.3548) ** 2, rtol=3e-3)

    def test_crossed_beams_meet_in_a_common_one(self):
        wcs = tan_wcs((81, 81), centre=CENTRE, pixel_scale=1 * u.arcsec)
        frame = Frame(np.pad(np.ones((1, 1)), 40), wcs=wcs)
        matched = match_beams(
            frame,
            frame,
            reference_beam=(12 * u.arcsec, 6 * u.arcsec, 0 * u.deg),
            image_beam=(12 * u.arcsec, 6 * u.arcsec, 90 * u.deg),
        )
        missing = (12**2 - 6**2) / 2.3548**2
        # Each lacks width along one axis only: the first, long in y, in x.
        assert np.allclose(moments(matched.reference.data)[2], np.diag([missing, 0]), atol=0.02)
        assert np.allclose(moments(matched.image.data)[2], np.diag([0, missing]), atol=0.02)

    def test_headers_are_read(self):
        reference, image = self.pair()
        reference = Frame(reference.data, wcs=reference.wcs, header=header(bmaj=6 / 3600))
        image = Frame(image.data, wcs=image.wcs, header=header(bmaj=11 / 3600))
        told = match_beams(reference, image, reference_beam=6 * u.arcsec, image_beam=11 * u.arcsec)
        assert np.allclose(match_beams(reference, image).reference.data, told.reference.data)

    def test_equal_beams_leave_all_as_it_is(self):
        reference, image = self.pair()
        matched = match_beams(reference, image, reference_beam=6 * u.arcsec, image_beam=6 * u.arcsec)
        assert matched.reference is reference and matched.image is image

    def test_unknown_beam(self):
        reference, image = self.pair()
        with pytest.raises(ValueError, match="`reference_beam` is not told by the header"):
            match_beams(reference, image, image_beam=6 * u.arcsec)

    def test_nothing_in_common(self):
        reference, image = self.pair()
        away = tan_wcs((90, 90), centre=SkyCoord(200 * u.deg, -70 * u.deg))
        with pytest.raises(ValueError, match="different parts of the sky"):
            match_beams(
                reference, Frame(image.data, wcs=away), reference_beam=6 * u.arcsec, image_beam=9 * u.arcsec
            )
