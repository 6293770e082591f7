"""The main job end to end, on a sky that two cameras see: `align`."""

import functools
import hashlib
import importlib
from dataclasses import replace

import gwcs
import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import ICRS, SkyCoord
from astropy.io import fits
from astropy.modeling import models
from astropy.nddata import CCDData, NDData, StdDevUncertainty
from astropy.wcs import WCS, Sip
from gwcs import coordinate_frames
from scipy import ndimage

from astroreg.align import Alignment, align, coarse
from astroreg.align.passes import OWN
from astroreg.exceptions import AstroregWarning
from astroreg.flags import ShiftFlag
from astroreg.methods import chi2_shift
from astroreg.results import ShiftResult
from astroreg.simulation import SphericalSky, tan_wcs
from astroreg.sky import SkyCorrection, correct_wcs

passes = importlib.import_module("astroreg.align.passes")

CENTRE = SkyCoord(83.8 * u.deg, 60 * u.deg)
SKY = SphericalSky(CENTRE, 4 * u.arcmin, smallest=6 * u.arcsec, rng=1)
SHAPE = (110, 120)
FWHM = 8 * u.arcsec
NOISE = 0.02
OFFSET = (7, -11) * u.arcsec
TRUE = tan_wcs(
    SHAPE, centre=CENTRE.directional_offset_by(30 * u.deg, 20 * u.arcsec), pixel_scale=2 * u.arcsec
)


def least_squares(reference, image, *, max_shift=None, min_correlation=0.3):
    """Measure a shift by a correlation over the overlap and Gauss-Newton steps: a second implementation."""
    a, b = (np.array(one.data, dtype=float) for one in (reference, image))
    good = [np.ones(a.shape, bool) if one.mask is None else ~one.mask for one in (reference, image)]
    variance = [
        np.zeros(a.shape) if one.uncertainty is None else np.where(g, one.uncertainty.array, 0)
        for one, g in zip((reference, image), good, strict=True)
    ]
    variance[1] = variance[1] if variance[1].any() else np.ones(a.shape)
    a, b = (np.where(g, one - one[g].mean(), 0) for one, g in zip((a, b), good, strict=True))
    shift, peak = correlated(a, b, *good, max_shift)
    if peak < min_correlation:
        return ShiftResult(shift=[np.nan] * 2, covariance=np.full((2, 2), np.nan), flags=ShiftFlag.NO_SIGNAL)
    near_bad = ndimage.binary_dilation(~good[0], iterations=3)
    y, x = np.indices(a.shape)
    scale = 1.0
    for _ in range(8):
        at = [y - shift[1], x - shift[0]]
        moved = ndimage.map_coordinates(a, at, order=5, mode="nearest")
        valid = good[1] & (ndimage.map_coordinates((~near_bad).astype(float), at, order=1) > 0.999)
        noise = variance[1] + scale**2 * ndimage.map_coordinates(variance[0], at, order=1, mode="nearest")
        weight = valid / np.where(valid, noise, 1)
        smooth, change = (
            np.stack([-scale * gx, -scale * gy, moved, np.ones(a.shape)])
            for gy, gx in (np.gradient(ndimage.gaussian_filter(moved, 1.5)), np.gradient(moved))
        )
        slope = np.einsum("iyx,jyx,yx->ij", smooth, change, weight)
        step = np.linalg.solve(slope, np.einsum("iyx,yx->i", smooth, weight * (b - scale * moved)))
        shift, scale = shift + step[:2], scale + step[2]
    scatter = np.einsum("iyx,jyx,yx->ij", smooth, smooth, weight)
    covariance = (np.linalg.inv(slope) @ scatter @ np.linalg.inv(slope).T)[:2, :2]
    share = valid.sum() / good[1].sum()
    return ShiftResult(shift=shift, covariance=covariance, n_pixels=int(valid.sum()), overlap=share)


def correlated(a, b, good_a, good_b, max_shift):
    """Return the whole-pixel shift of the highest correlation over the overlap, and its height."""
    size = [2 * n for n in a.shape]
    spectra = [np.fft.rfft2(v, size) for v in (a, a * a, good_a, b, b * b, good_b)]

    def product(i, j):
        return np.fft.irfft2(np.conj(spectra[i]) * spectra[j], size)

    overlap = product(2, 5)
    height = product(0, 3) / np.sqrt(np.clip(product(1, 5) * product(2, 4), 1e-9, None))
    height[overlap < 0.3 * min(good_a.sum(), good_b.sum())] = -1
    dy, dx = np.meshgrid(*(np.fft.fftfreq(n) * n for n in size), indexing="ij")
    if max_shift is not None:
        height[np.hypot(dx, dy) > max_shift] = -1
    best = np.unravel_index(np.argmax(height), height.shape)
    return np.array([dx[best], dy[best]]), height[best]


def injected(wcs, offset=OFFSET):
    """A WCS that is wrong by minus the offset, by a rotation about the middle of the sky."""
    correction = SkyCorrection.from_coordinates(CENTRE, CENTRE.spherical_offsets_by(*offset))
    return correct_wcs(wcs, correction.inverse())


def image_of(wcs=TRUE, claimed=None, shape=SHAPE, rng=5, **options):
    options = {"fwhm": FWHM, "noise": NOISE, "scale": 3, "background": 1, "unit": "adu"} | options
    return SKY.observe(
        wcs, shape, claimed_wcs=injected(wcs) if claimed is None else claimed, rng=rng, **options
    )


def reference_of(wcs, shape, fwhm=FWHM, noise=NOISE, rng=3, **options):
    return SKY.observe(wcs, shape, fwhm=fwhm, noise=noise, unit="mJy", rng=rng, **options)


def misplaced(corrected, true, shape=SHAPE):
    """Largest distance between two WCS over the corners and the middle."""
    x = np.array([0, 1, 0, 1, 0.5]) * (shape[1] - 1)
    y = np.array([0, 0, 1, 1, 0.5]) * (shape[0] - 1)
    return corrected.pixel_to_world(x, y).separation(true.pixel_to_world(x, y)).max()


def mirrored(wcs):
    new = wcs.deepcopy()
    new.wcs.cd = new.wcs.cd @ np.diag([-1, 1])
    new.wcs.set()
    return new


def plate_carree():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["GLON-CAR", "GLAT-CAR"]
    galactic = CENTRE.galactic
    # An oblique reference latitude would be another projection: the tile is cut from an all-sky map.
    wcs.wcs.crval = [galactic.l.deg, 0]
    wcs.wcs.cdelt = [-2 / 3600 / np.cos(galactic.b.rad), 2 / 3600]
    wcs.wcs.crpix = [85.5, 85.5 - galactic.b.deg * 1800]
    wcs.wcs.set()
    return wcs


def camera(n, scale, noise=NOISE, fwhm=FWHM, *, rotation=0, centre=CENTRE):
    """A reference camera: WCS, shape, noise, beam."""
    wcs = tan_wcs((n, n), centre=centre, pixel_scale=scale * u.arcsec, rotation=rotation * u.deg)
    return wcs, (n, n), noise, fwhm


SAME = camera(160, 2)
# The noise is of the same order per area as that of the image.
CAMERAS = {
    "same": SAME,
    "rotated": camera(170, 2, rotation=40),
    "mirrored": (mirrored(SAME[0]), *SAME[1:]),
    "galactic": camera(170, 2, centre=CENTRE.galactic),
    "plate carree": (plate_carree(), (170, 170), NOISE, FWHM),
    "4 times coarser": camera(50, 8, 0.005, 20 * u.arcsec, rotation=10),
    "10 times coarser": camera(30, 20, 0.002, 50 * u.arcsec, rotation=10),
    "3 times finer": camera(480, 2 / 3, 0.06, rotation=70),
    "10 times finer": camera(1300, 0.2, 0.2, rotation=70),
}


class TestGrids:
    @pytest.mark.parametrize("name", CAMERAS)
    def test_the_injected_error_is_found(self, name):
        wcs, shape, noise, fwhm = CAMERAS[name]
        found = align(reference_of(wcs, shape, fwhm, noise), image_of(fwhm=fwhm), method=least_squares)
        assert found.ok and isinstance(found, Alignment) and isinstance(found.corrected, CCDData)
        # Errors along two axes: a distance of 4.3 sigma has a probability of 1e-4.
        sigma = found.sky_correction.error.max()
        assert sigma < 0.02 * u.arcsec
        assert misplaced(found.corrected.wcs, TRUE) < 4.3 * sigma
        # The sky correction is told at the pivot, 20 arcsec from where it was injected.
        assert np.allclose(
            u.Quantity([found.sky_correction.lon, found.sky_correction.lat]), OFFSET, atol=4.3 * sigma
        )

    def test_the_correction_is_told_as_shift_and_on_the_sky(self):
        found = align(reference_of(*CAMERAS["rotated"][:2]), image_of(), method=least_squares)
        nominal, pivot = image_of().wcs, np.array(found.pivot_pixel)
        seen = nominal.pixel_to_world(*(pivot - found.shift.value))
        assert seen.separation(found.corrected.wcs.pixel_to_world(*pivot)) < 1e-6 * u.arcsec
        assert found.sky_correction.apply(nominal.pixel_to_world(*pivot)).separation(seen) < 1e-6 * u.arcsec
        assert found.iterations == len(found.passes) and found.iterations >= 2

    def test_sip_distorted_image(self):
        a = np.zeros((4, 4))
        a[2, 0], a[1, 1] = 2e-4, -1e-4  # 0.7 pixel in the corners
        true = TRUE.deepcopy()
        true.sip = Sip(a, a.T, None, None, true.wcs.crpix)
        true.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
        true.wcs.set()
        found = align(reference_of(*CAMERAS["rotated"][:2]), image_of(true), method=least_squares)
        assert misplaced(found.corrected.wcs, true) < 4.3 * found.sky_correction.error.max()
        assert found.corrected.wcs.sip is not None

    @pytest.mark.parametrize("method", [least_squares, chi2_shift])
    def test_strong_distortion_against_an_undistorted_mosaic(self, method):
        # Like a camera in orbit: 0.05 arcsec a pixel, 3 per cent of distortion gradient over the frame, wrong
        # by 0.4 arcsec. Moving the pixels alone would leave 0.2 pixel in the corners.
        pixel = 0.05 * u.arcsec
        a = np.zeros((3, 3))
        a[2, 0], a[0, 2], a[1, 1] = 8e-5, 3e-5, -5e-5
        true = tan_wcs((200, 200), centre=CENTRE, pixel_scale=pixel, rotation=77 * u.deg)
        true.sip = Sip(a, -a.T, None, None, true.wcs.crpix)
        true.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
        true.wcs.set()
        sharp = SphericalSky(CENTRE, 12 * u.arcsec, smallest=0.15 * u.arcsec, rng=4)
        mosaic = tan_wcs((400, 400), centre=CENTRE, pixel_scale=pixel)
        reference = sharp.observe(mosaic, (400, 400), fwhm=0.15 * u.arcsec, noise=0.02, rng=1)
        claimed = injected(true, (0.32, -0.24) * u.arcsec)
        image = sharp.observe(true, (200, 200), fwhm=0.15 * u.arcsec, noise=0.02, claimed_wcs=claimed, rng=2)
        found = align(reference, image, method=method)
        assert misplaced(claimed, true, (200, 200)) > 7.9 * pixel
        assert misplaced(found.corrected.wcs, true, (200, 200)) < 0.02 * pixel
        assert misplaced(found.corrected.wcs, true, (200, 200)) < 4.3 * found.sky_correction.error.max()

    @pytest.mark.parametrize("side", ["image", "reference"])
    def test_generalized_wcs(self, side):
        wcs = generalized_wcs(CENTRE)
        if side == "image":
            given = image_of(claimed=TRUE)
            image = NDData(given.data, uncertainty=given.uncertainty, unit=given.unit, wcs=wcs)
            reference = reference_of(*CAMERAS["rotated"][:2])
            # What the camera truly saw, TRUE, and what it claims: a tangential projection on CENTRE. Both
            # have North up, which only a correction that keeps position angles takes into one another.
            found = align(reference, image, method=least_squares, roll="keep-pa")
            assert type(found.corrected.wcs) is gwcs.WCS
        else:
            seen = reference_of(TRUE, SHAPE)
            reference = NDData(
                SKY.observe(wcs, SHAPE, fwhm=FWHM, noise=NOISE, claimed_wcs=TRUE, rng=1).data,
                uncertainty=seen.uncertainty,
                wcs=wcs,
            )
            found = align(reference, image_of(), method=least_squares)
        assert misplaced(found.corrected.wcs, TRUE) < 4.3 * found.sky_correction.error.max()

    def test_an_image_cut_from_a_large_frame(self):
        # The reference covers a corner of the image, which is larger.
        there = CENTRE.directional_offset_by(120 * u.deg, 200 * u.arcsec)
        wcs = tan_wcs((300, 320), centre=there, pixel_scale=2 * u.arcsec)
        here = CENTRE.directional_offset_by(-60 * u.deg, 60 * u.arcsec)
        reference = reference_of(*camera(110, 2, centre=here)[:2])
        found = align(reference, image_of(wcs, shape=(300, 320)), method=least_squares)
        x, y = found.pivot_pixel
        place = found.corrected.wcs.pixel_to_world(x, y)
        assert place.separation(wcs.pixel_to_world(x, y)) < 4.3 * found.sky_correction.error.max()
        # The reference's footprint of 110 x 110 pixels, edges and corners lost.
        assert 0.6 * 110**2 < found.n_pixels < 110**2
        assert np.isclose(found.overlap, found.n_pixels / (300 * 320), rtol=1e-6)

    def test_masks_and_different_units(self):
        mask = np.zeros(SHAPE, bool)
        mask[30:40] = True
        image = image_of(mask=mask, bad_fraction=0.02)
        found = align(reference_of(*CAMERAS["galactic"][:2], bad_fraction=0.02), image, method=least_squares)
        assert misplaced(found.corrected.wcs, TRUE) < 4.3 * found.sky_correction.error.max()
        assert np.array_equal(found.corrected.mask, image.mask)


def generalized_wcs(centre):
    """A tangential projection of TRUE's pixels, told by gwcs."""
    ny, nx = SHAPE
    transform = (
        models.Shift(-(nx - 1) / 2) & models.Shift(-(ny - 1) / 2)
        | models.Scale(-2 / 3600) & models.Scale(2 / 3600)
        | models.Pix2Sky_TAN()
        | models.RotateNative2Celestial(centre.ra.deg, centre.dec.deg, 180)
    )
    detector = coordinate_frames.Frame2D(name="detector", axes_order=(0, 1), unit=(u.pix, u.pix))
    sky = coordinate_frames.CelestialFrame(name="icrs", reference_frame=ICRS(), unit=(u.deg, u.deg))
    return gwcs.WCS([(detector, transform), (sky, None)])


class TestRoll:
    # At declination 60, 7 arcsec along it: zero and keep-pa differ by 7 tan 60 = 12 arcsec of roll, which
    # moves the corner, 160 arcsec away, by 9 mas; the error of the shift is 4 mas.
    def found(self, offset, **options):
        image = image_of(claimed=injected(TRUE, offset * u.arcsec))
        return align(reference_of(*CAMERAS["rotated"][:2]), image, method=least_squares, **options)

    @pytest.mark.parametrize("roll", ["zero", "keep-pa"])
    def test_it_is_told_where_it_matters(self, roll):
        found = self.found((7, 0), roll=roll)
        radius = np.hypot(*SHAPE) * u.arcsec  # half the diagonal, at 2 arcsec a pixel
        ambiguity = found.sky_correction.roll_ambiguity(radius)
        assert np.isclose(ambiguity, 9.5 * u.mas, rtol=0.1) and ambiguity > found.sky_correction.error.max()
        # It says how to read the answer, not that it is wrong.
        assert found.flags == ShiftFlag.ROLL_AMBIGUOUS and found.ok and found.corrected is not None

    @pytest.mark.parametrize(
        ("offset", "options"),
        [((1, -11), {}), ((7, 0), {"roll": 0 * u.deg}), ((7, 0), {"kind": "detector"})],
        ids=["along the meridian", "measured", "detector"],
    )
    def test_it_is_not_told_where_it_does_not(self, offset, options):
        assert self.found(offset, **options).flags == 0


class TestPasses:
    def test_identical_grids_need_no_resampling(self):
        seen = []

        def spy(reference, image, **options):
            seen.append((reference, image))
            return least_squares(reference, image, **options)

        reference = reference_of(TRUE, SHAPE)
        image = image_of(claimed=TRUE)
        found = align(reference, image, method=spy)
        assert np.shares_memory(seen[0][0].data, reference.data) and np.shares_memory(
            seen[0][1].data, image.data
        )
        assert np.abs(found.shift / found.shift_error).max() < 4.3

    def test_a_large_error_is_found_where_the_reference_is_large(self):
        # 100 pixels, the size of the image: nominally hardly any overlap is left.
        image = image_of(claimed=injected(TRUE, (120, -150) * u.arcsec))
        reference = reference_of(tan_wcs((400, 400), centre=CENTRE, pixel_scale=2 * u.arcsec), (400, 400))
        found = align(reference, image, method=least_squares, max_shift=4 * u.arcmin)
        assert misplaced(found.corrected.wcs, TRUE) < 4.3 * found.sky_correction.error.max()
        assert found.overlap > 0.9

    def test_options_are_handed_on(self):
        given = []

        def spy(reference, image, **options):
            given.append(options)
            return least_squares(reference, image, max_shift=options["max_shift"])

        align(reference_of(TRUE, SHAPE), image_of(), method=spy, max_shift=30 * u.arcsec, fit_scale=False)
        # In pixels, enlarged by how far the arrays are laid aside: hypot(3.5, 2.5).
        # After the first pass only what is left is looked for: 4 pixels.
        assert 15 <= given[0]["max_shift"] < 15 + 4.4
        assert all(4 <= one["max_shift"] < 4 + 4.4 for one in given[1:])
        assert all(one.keys() == {"max_shift", "fit_scale"} and one["fit_scale"] is False for one in given)

    def test_beyond_max_shift(self):
        # 6.5 pixels to go, 4 allowed.
        with pytest.warns(AstroregWarning, match="AT_SEARCH_BOUND"):
            found = align(reference_of(TRUE, SHAPE), image_of(), method=least_squares, max_shift=4)
        assert found.corrected is None

    def test_a_common_sharp_peak_is_not_a_detector(self):
        # Two well-pointed images full of stars: the method is tried again with the arrays laid aside.
        def wary(reference, image, **options):
            found = least_squares(reference, image, **options)
            pattern = np.abs(found.shift.value).max() < 0.5
            return replace(found, flags=ShiftFlag.FIXED_PATTERN if pattern else ShiftFlag(0))

        found = align(reference_of(TRUE, SHAPE), image_of(claimed=TRUE), method=wary)
        assert found.ok and np.abs(found.shift / found.shift_error).max() < 4.3

    def test_one_pass(self):
        found = align(reference_of(TRUE, SHAPE), image_of(), method=least_squares, iterations=1)
        assert found.iterations == 1 and found.ok

    def test_options_by_partial(self):
        method = functools.partial(least_squares, min_correlation=0.2)
        assert align(reference_of(TRUE, SHAPE), image_of(), method=method).ok

    def test_inputs_are_not_changed(self):
        reference, image = reference_of(TRUE, SHAPE), image_of()
        before = reference.data.copy(), image.data.copy(), image.wcs.to_header_string()
        found = align(reference, image, method=least_squares)
        assert np.array_equal(before[0], reference.data) and np.array_equal(before[1], image.data)
        assert before[2] == image.wcs.to_header_string() != found.corrected.wcs.to_header_string()

    @pytest.mark.parametrize("kind", ["pointing", "detector"])
    def test_kind_of_the_correction(self, kind):
        found = align(reference_of(TRUE, SHAPE), image_of(), method=least_squares, kind=kind)
        assert found.kind == kind
        assert misplaced(found.corrected.wcs, TRUE) < 4.3 * found.sky_correction.error.max()
        moved = found.corrected.wcs.wcs.crpix - found.wcs.wcs.crpix
        assert np.allclose(moved, found.shift.value if kind == "detector" else 0, atol=1e-6)

    def test_resampled_reference_lies_on_the_corrected_image(self):
        image = image_of()
        found = align(reference_of(*CAMERAS["rotated"][:2]), image, method=least_squares)
        reference = found.resampled_reference
        assert reference.data.shape == SHAPE and reference.unit == u.mJy
        good = ~reference.mask
        slope = np.polyfit(reference.data[good], image.data[good], 1)
        assert np.isclose(slope[0], 3, rtol=0.02) and np.isclose(slope[1], 1, atol=0.02)


class TestBeams:
    def test_images_of_different_resolution(self):
        reference = reference_of(*CAMERAS["rotated"][:2], fwhm=14 * u.arcsec)
        found = align(
            reference, image_of(), method=least_squares, reference_beam=14 * u.arcsec, image_beam=FWHM
        )
        assert misplaced(found.corrected.wcs, TRUE) < 4.3 * found.sky_correction.error.max()
        assert np.array_equal(found.corrected.data, image_of().data)

    def test_beams_of_the_headers(self):
        reference = reference_of(*CAMERAS["rotated"][:2], fwhm=14 * u.arcsec)
        image = image_of()
        reference.meta["BMAJ"], image.meta["BMAJ"] = 14 / 3600, 8 / 3600
        told = align(reference, image, method=least_squares, reference_beam=14 * u.arcsec, image_beam=FWHM)
        read = align(reference, image, method=least_squares, match_beams=True)
        assert np.allclose(read.shift.value, told.shift.value, atol=1e-9)

    def test_point_spread_functions(self):
        # As wide as 5 sigma, on the pixels of each camera.
        y, x = np.mgrid[-18:19, -18:19]
        psf = {fwhm: np.exp(-4 * np.log(2) * (x**2 + y**2) * 4 / fwhm**2) for fwhm in (8, 14)}
        reference = reference_of(*CAMERAS["rotated"][:2], fwhm=14 * u.arcsec)
        found = align(reference, image_of(), method=least_squares, reference_psf=psf[14], image_psf=psf[8])
        told = align(
            reference, image_of(), method=least_squares, reference_beam=14 * u.arcsec, image_beam=FWHM
        )
        assert np.abs(found.shift - told.shift).max() < 0.1 * told.shift_error.min()
        with pytest.raises(ValueError, match="`image_psf` is missing"):
            align(reference, image_of(), method=least_squares, reference_psf=psf[14])


class TestHistory:
    def test_a_reference_in_memory_is_told_by_its_pixels(self):
        reference = reference_of(TRUE, SHAPE)
        reference.meta["OBJECT"] = "M 51"
        lines = align(reference, image_of(), method=least_squares).history()
        digest = hashlib.sha256(np.ascontiguousarray(reference.data).tobytes()).hexdigest()[:24]
        assert "astroreg: relative to M 51" in lines
        assert f"astroreg: SHA-256 of the pixels of the reference begins {digest}" in lines


class TestNoAnswer:
    def test_no_overlap(self):
        away = tan_wcs((50, 50), centre=SkyCoord(200 * u.deg, -10 * u.deg))
        reference = NDData(np.random.default_rng(1).random((50, 50)), wcs=away)
        with pytest.warns(AstroregWarning, match="NO_OVERLAP") as caught:
            found = align(reference, image_of(), method=least_squares)
        assert len(caught) == 1 and ShiftFlag.NO_OVERLAP in found.flags
        assert np.isnan(found.shift).all() and found.corrected is None and found.sky_correction is None
        assert found.resampled_reference.mask.all()

    def test_no_signal(self):
        noise = NDData(np.random.default_rng(1).random((160, 160)), wcs=CAMERAS["rotated"][0])
        with pytest.warns(AstroregWarning, match="NO_SIGNAL"):
            found = align(noise, image_of(), method=least_squares)
        assert not found.ok and found.corrected is None and found.iterations == 1

    def test_restless(self):
        def wandering(reference, image, **options):
            return ShiftResult(shift=[1.0, 1.0], covariance=0.01 * np.eye(2))

        with pytest.warns(AstroregWarning, match="NOT_CONVERGED"):
            found = align(reference_of(TRUE, SHAPE), image_of(), method=wandering)
        # Each pass is one of a pixel, on top of what is left between the grids.
        total = np.sum([one.shift.value for one in found.passes], axis=0)
        assert found.iterations == 3 and found.corrected is None
        assert np.allclose(found.shift.value, total, atol=1e-3) and np.all(total > 2)

    def test_warnings_of_the_method_are_told_once(self):
        def warning(reference, image, **options):
            import warnings

            warnings.warn("something", AstroregWarning, stacklevel=2)
            return ShiftResult(shift=[0, 0], covariance=np.eye(2), flags=ShiftFlag.RIVAL_PEAK)

        with pytest.warns(AstroregWarning, match="RIVAL_PEAK") as caught:
            align(reference_of(TRUE, SHAPE), image_of(), method=warning)
        assert len(caught) == 1

    def test_noise_is_estimated_before_resampling(self):
        # Enough noise to be seen beside the structure within a beam.
        wcs, shape, _, fwhm = CAMERAS["4 times coarser"]
        told = reference_of(wcs, shape, fwhm, 0.05)
        untold = NDData(told.data, unit=told.unit, wcs=told.wcs)
        image = image_of(fwhm=fwhm)
        expected = align(told, image, method=least_squares)
        found = align(untold, image, method=least_squares)
        assert ShiftFlag.NOISE_ESTIMATED in found.flags and ShiftFlag.NOISE_ESTIMATED not in expected.flags
        # A median of 2304 values knows sigma to 2 per cent; the structure adds a few more.
        assert np.allclose(found.shift_error.value, expected.shift_error.value, rtol=0.1)


@functools.cache
def wide_pair():
    """Images of 420 pixels a side on grids that are turned against each other, and the true WCS."""
    wcs = tan_wcs((400, 420), centre=CENTRE, pixel_scale=1 * u.arcsec)
    image = image_of(wcs, shape=(400, 420), noise=0.2)
    return reference_of(*camera(430, 1, rotation=30)[:2], noise=0.2), image, wcs


class TestCoarserPixels:
    """Wide images begin with a pass on coarser pixels; here images of 400 pixels are."""

    @pytest.fixture(autouse=True)
    def wide(self, monkeypatch):
        monkeypatch.setattr(coarse, "SIDE", 120)

    @pytest.mark.parametrize("method", OWN)
    def test_one_pass_on_all_pixels_is_enough(self, method):
        reference, image, true = wide_pair()
        found = align(reference, image, method=method)
        # A method with options of the user's own is not tried on coarser pixels.
        slowly = align(reference, image, method=functools.partial(method))
        assert found.iterations == 2
        assert misplaced(found.corrected.wcs, true, (400, 420)) < 4.3 * found.sky_correction.error.max()
        # What is left when the passes end: a tenth of the error each, or a sample of register_images.
        assert np.all(np.abs(found.shift - slowly.shift) < 0.2 * found.shift_error + 0.0005 * u.pixel)
        assert np.allclose(found.shift_error, slowly.shift_error, rtol=0.02)
        # What the coarser pixels said, in pixels of the image.
        start, rest = (one.shift for one in found.passes)
        assert np.abs(rest).max() < 0.1 * u.pixel and np.abs(start).max() > 5 * u.pixel

    def test_what_misleads_is_left_aside(self, monkeypatch):
        def misled(reference, image, **options):
            if max(image.data.shape) < 200:
                return ShiftResult(shift=[25.0, 30.0], covariance=1e-4 * np.eye(2), n_pixels=100)
            return chi2_shift(reference, image, **options)

        monkeypatch.setattr(passes, "OWN", (misled,))
        reference, image, true = wide_pair()
        found = align(reference, image, method=misled)
        assert found.ok and np.abs(found.passes[0].shift).max() < 20 * u.pixel
        assert misplaced(found.corrected.wcs, true, (400, 420)) < 4.3 * found.sky_correction.error.max()

    def test_a_start_as_wrong_as_the_rest_is_no_restlessness(self, monkeypatch):
        # Where the pointing was right, what the coarser pixels found is their own error, and so is the rest.
        reference, image, true = wide_pair()
        image = NDData(image.data, uncertainty=image.uncertainty, unit=image.unit, wcs=true)
        error = align(reference, image).shift_error.value.min()

        def shaken(reference, image, **options):
            found = chi2_shift(reference, image, **options)
            # Twice a quarter of three pixels to a coarser one: one and a half errors of all pixels.
            small = max(image.data.shape) < 200
            return replace(found, shift=found.shift + 0.25 * error * u.pixel) if small else found

        monkeypatch.setattr(passes, "OWN", (shaken,))
        found = align(reference, image, method=shaken)
        start, rest = (one.shift / found.shift_error for one in found.passes)
        assert found.ok and 0.5 < np.abs(rest).max() < 2 and np.abs(start).max() < 4

    def test_a_strip_of_a_reference(self):
        # Too thin for coarser pixels: as it is without them.
        _, image, true = wide_pair()
        image = NDData(image.data, uncertainty=image.uncertainty, unit=image.unit, wcs=true)
        strip = tan_wcs((40, 430), centre=CENTRE, pixel_scale=1 * u.arcsec, rotation=45 * u.deg)
        thin = reference_of(strip, (40, 430), noise=0.2)
        found, slowly = (align(thin, image, method=m) for m in (chi2_shift, functools.partial(chi2_shift)))
        assert np.array_equal(found.shift, slowly.shift, equal_nan=True) and found.flags == slowly.flags

    def test_no_start_without_an_error(self, monkeypatch):
        def unsure(reference, image, **options):
            small = max(image.data.shape) < 200
            found = chi2_shift(reference, image, **options)
            return replace(found, covariance=np.eye(2)) if small else found

        monkeypatch.setattr(passes, "OWN", (unsure,))
        reference, image, _ = wide_pair()
        # A coarser pixel of error would be three of the image.
        assert align(reference, image, method=unsure).passes[0].shift_error.max() < 0.1 * u.pixel


class TestObjects:
    def header_and_data(self):
        image = image_of()
        return image, image.data, injected(TRUE).to_header()

    def test_hdu(self):
        _, data, header = self.header_and_data()
        hdu = fits.ImageHDU(data, header)
        before = hdu.header.copy()
        found = align(reference_of(TRUE, SHAPE), hdu, method=least_squares)
        assert type(found.corrected) is fits.ImageHDU
        assert misplaced(WCS(found.corrected.header), TRUE) < 0.05 * u.arcsec
        assert hdu.header == before

    def test_path(self, tmp_path):
        _, data, header = self.header_and_data()
        path = tmp_path / "image.fits"
        fits.PrimaryHDU(data, header).writeto(path)
        found = align(reference_of(TRUE, SHAPE), path, method=least_squares)
        assert isinstance(found.corrected, CCDData) and found.image_label.endswith("image.fits")
        assert misplaced(found.corrected.wcs, TRUE) < 0.05 * u.arcsec

    def test_array_with_wcs(self):
        image, data, _ = self.header_and_data()
        found = align(reference_of(TRUE, SHAPE), (data, image.wcs), method=least_squares)
        assert found.corrected[0] is data and misplaced(found.corrected[1], TRUE) < 0.05 * u.arcsec


class TestArguments:
    def test_without_wcs(self):
        with pytest.raises(ValueError, match="`image` has no WCS"):
            align(reference_of(TRUE, SHAPE), np.ones(SHAPE), method=least_squares)

    def test_reference_without_celestial_wcs(self):
        with pytest.raises(ValueError, match="WCS of `reference` has no celestial axes"):
            align(NDData(np.ones(SHAPE), wcs=WCS(naxis=2)), image_of(), method=least_squares)

    @pytest.mark.parametrize("iterations", [0, -1, 1.5])
    def test_iterations(self, iterations):
        with pytest.raises(ValueError, match="`iterations` must be a whole number > 0"):
            align(reference_of(TRUE, SHAPE), image_of(), method=least_squares, iterations=iterations)

    def test_method_of_another_kind(self):
        with pytest.raises(TypeError, match="`method` must return a ShiftResult, got a tuple"):
            align(reference_of(TRUE, SHAPE), image_of(), method=lambda *pair, **options: (1, 2))


class TestDefaultMethod:
    @pytest.mark.parametrize("name", ["rotated", "4 times coarser"])
    def test_chi_squared_counts_the_noise_that_is_there(self, name):
        wcs, shape, noise, fwhm = CAMERAS[name]
        found = align(reference_of(wcs, shape, fwhm, noise), image_of(fwhm=fwhm), max_shift=40 * u.arcsec)
        assert (
            not found.flags & ~ShiftFlag.ROLL_AMBIGUOUS
            and found.method == "chi2_shift"
            and found.uncertainty == "attached"
        )
        # Each of the image's 13200 pixels has its own noise; that of a coarse reference is shared by 16.
        assert abs(found.reduced_chi2 - 1) < 0.06
        assert misplaced(found.corrected.wcs, TRUE) < 4.3 * found.sky_correction.error.max()
        # The map goes with the total shift.
        low = np.unravel_index(np.argmin(found.delta_chi2.map), found.delta_chi2.map.shape)
        place = u.Quantity([found.delta_chi2.x[low[1]], found.delta_chi2.y[low[0]]])
        assert np.all(np.abs(place - found.shift) < found.shift_error)


def realizations(name, draws):
    """Draw new noise and a new wrong pointing each time, on scenes that are simulated once."""
    wcs, shape, noise, fwhm = CAMERAS[name]
    seen = reference_of(wcs, shape, fwhm, 0, rng=1).data, image_of(fwhm=fwhm, noise=0).data
    levels = noise, NOISE
    for seed in range(draws):
        rng = np.random.default_rng([1, seed])
        pixels = [one + level * rng.normal(size=one.shape) for one, level in zip(seen, levels, strict=True)]
        errors = [
            StdDevUncertainty(np.full(one.shape, level)) for one, level in zip(seen, levels, strict=True)
        ]
        claimed = injected(TRUE, rng.uniform(-12, 12, 2) * u.arcsec)
        yield (
            NDData(pixels[0], uncertainty=errors[0], unit="mJy", wcs=wcs),
            NDData(pixels[1], uncertainty=errors[1], unit="adu", wcs=claimed),
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", CAMERAS)
def test_quoted_errors_are_those_made(name, record_property):
    draws = 100 if CAMERAS[name][1][0] < 1000 else 25
    pulls = []
    for reference, image in realizations(name, draws):
        found = align(reference, image, max_shift=40 * u.arcsec)
        seen = found.corrected.wcs.pixel_to_world(*found.pivot_pixel)
        wrong = seen.spherical_offsets_to(TRUE.pixel_to_world(*found.pivot_pixel))
        pulls.append((u.Quantity(wrong) / found.sky_correction.error).to_value(u.one))
    # The rms of n numbers scatters by 1 / sqrt(2 n), n = 2 draws; 3 sigma beside the 10 per cent asked for.
    rms = np.sqrt(np.mean(np.square(pulls)))
    record_property("draws", draws)
    record_property("quoted / rms", f"{1 / rms:.3f} +- {1 / rms / np.sqrt(4 * draws):.3f}")
    assert abs(1 / rms - 1) < 0.1 + 3 / np.sqrt(4 * draws)
