"""The simulator: statistics against theory, geometry against the sky, limit against brute force."""

import numpy as np
import pytest
from astropy import units as u
from astropy.convolution import Gaussian2DKernel, convolve_fft
from astropy.coordinates import Galactic, SkyCoord
from astropy.stats import gaussian_fwhm_to_sigma
from scipy import fft

from astroreg.simulation import (
    SphericalSky,
    correlated_noise,
    extended_sky,
    shift_limit,
    simulate_pair,
    tan_wcs,
)
from astroreg.simulation.limit import unknown_sky_factor
from astroreg.simulation.sky import PowerLawField
from astroreg.sky import SkyCorrection, correct_wcs


def ring_power(image):
    """Frequencies (cycles per pixel), mean power and number of modes in rings of a periodic image."""
    n = image.shape[0]
    power = np.abs(fft.fft2(image)) ** 2
    ring = np.rint(n * np.hypot(fft.fftfreq(n)[:, None], fft.fftfreq(n))).astype(int).ravel()
    count = np.bincount(ring)
    return np.arange(count.size) / n, np.bincount(ring, power.ravel()) / count, count


# ---- the extended sky -----------------------------------------------------------------------


@pytest.mark.parametrize("index", [1.5, 2.0, 3.0, 4.0])
def test_the_spectrum_is_a_power_law_with_a_beam(index):
    sky = extended_sky((256, 256), index=index, fwhm=3.0, periodic=True, rng=4)
    k, power, count = ring_power(sky)
    use = slice(4, 80)
    beam = np.exp(-((2 * np.pi * 3.0 * gaussian_fwhm_to_sigma * k[use]) ** 2))
    x, y = np.log(k[use]), np.log(power[use] / beam)
    # The log of the mean of m exponential variables scatters by 1 / sqrt(m); half the modes are
    # copies of the other half.
    weight = np.sqrt(count[use] / 2)
    slope, cov = np.polyfit(x, y, 1, w=weight, cov="unscaled")
    assert abs(slope[0] + index) < 4 * np.sqrt(cov[0, 0])


@pytest.mark.parametrize("periodic", [True, False])
def test_mean_and_rms_are_those_asked_for(periodic):
    sky = extended_sky((50, 61), rms=2.5, periodic=periodic, rng=1)
    assert sky.shape == (50, 61)
    assert abs(sky.mean()) < 1e-12
    assert abs(sky.std() - 2.5) < 1e-12


def test_only_a_periodic_sky_wraps_around():
    jump = {}
    for periodic in (True, False):
        sky = extended_sky((128, 128), periodic=periodic, rng=2)
        jump[periodic] = np.abs(sky[:, 0] - sky[:, -1]).mean() / np.abs(np.diff(sky, axis=1)).mean()
    # Opposite edges are neighbours in one case and 127 pixels apart in the other.
    assert jump[True] < 2
    assert jump[False] > 4


def test_a_window_moves_without_interpolation():
    window = PowerLawField((40, 50), index=3, fwhm=2.5, periodic=False, rng=np.random.default_rng(1))
    still, moved = window.window(), window.window((3, -2))
    np.testing.assert_allclose(moved[:-2, 3:], still[2:, :-3], atol=1e-12)
    # A central difference of half a pixel is wrong by (pi k)^2 / 6 of the derivative.
    difference = window.window((-0.01, 0)) - window.window((0.01, 0))
    np.testing.assert_allclose(difference / 0.02, window.window(derivative="x"), atol=1e-4)


# ---- noise ----------------------------------------------------------------------------------


@pytest.mark.parametrize("correlation", [0.0, 0.8, 1.5])
def test_noise_has_unit_variance_and_the_correlation_that_it_says(correlation):
    noise = np.stack([correlated_noise((100, 120), correlation=correlation, rng=i) for i in range(20)])
    # 240000 pixels, of which about 4 pi correlation^2 share one degree of freedom.
    error = np.sqrt(2 / 240000 * max(1, 4 * np.pi * correlation**2))
    assert abs((noise**2).mean() - 1) < 4 * error
    for lag in (1, 2, 4):
        expected = np.exp(-(lag**2) / (4 * correlation**2)) if correlation else 0.0
        assert abs((noise[:, :, lag:] * noise[:, :, :-lag]).mean() - expected) < 4 * error


def test_the_noise_is_what_the_uncertainty_says():
    pair = simulate_pair((200, 200), snr=5, snr_reference=20, scale=1.7, vignetting=2.0, rng=1)
    for frame, sky, rms, snr in (
        (pair.reference, pair.sky_reference, 1.0, 20),
        (pair.image, pair.sky_image, 1.7, 5),
    ):
        sigma = frame.uncertainty.array
        assert sigma[100, 100] == pytest.approx(rms / snr, rel=1e-3)  # the middle is between pixels
        assert sigma[0, 0] == pytest.approx(3 * rms / snr)
        z = (frame.data - sky) / sigma
        assert abs(z.mean()) < 4 / 200
        assert abs(z.std() - 1) < 4 / np.sqrt(2 * 40000)


def test_infinite_signal_to_noise_is_no_noise():
    pair = simulate_pair((32, 32), snr=10, snr_reference=np.inf, rng=1)
    assert np.array_equal(pair.reference.data, pair.sky_reference)
    assert not pair.reference.uncertainty.array.any()
    clean = simulate_pair((32, 32), snr=np.inf, rng=1)
    assert np.array_equal(clean.image.data, clean.sky_image)
    assert np.isnan(clean.limit).all()


# ---- the pair -------------------------------------------------------------------------------


def test_the_image_is_the_reference_moved_by_the_shift():
    pair = simulate_pair((60, 80), shift=(7, -4), scale=1.7, background=3.0, rng=5)
    moved = pair.sky_reference[4:, :-7]
    np.testing.assert_allclose(pair.sky_image[:-4, 7:], 1.7 * moved + 3.0, atol=1e-12)
    assert pair.shift.unit == u.pixel
    assert pair.boundary == "overlap"


def test_point_sources_move_with_the_sky():
    with_sources, without = (
        simulate_pair((60, 80), shift=(2.4, -1.3), point_sources=n, rng=5) for n in (30, 0)
    )
    still = with_sources.sky_reference - without.sky_reference
    moved = with_sources.sky_image - without.sky_image
    y, x = np.unravel_index(still[8:-8, 8:-8].argmax(), (44, 64))
    y, x = y + 8, x + 8
    assert still[y, x] > 2.5
    # The centroids of the brightest source in both, over 5 x 5 pixels around its own peak.
    where = []
    for plane, at in ((still, (y, x)), (moved, (y - 1, x + 2))):
        cut = np.s_[at[0] - 2 : at[0] + 3, at[1] - 2 : at[1] + 3]
        rows, columns = np.mgrid[cut]
        # A Gaussian's log is a parabola: exact where no other source is near.
        terms = np.stack([columns, rows, columns**2 + rows**2, np.ones_like(rows)], axis=-1).reshape(-1, 4)
        a, b, c, _ = np.linalg.lstsq(terms, np.log(plane[cut]).ravel(), rcond=None)[0]
        where.append((-a / (2 * c), -b / (2 * c)))
    np.testing.assert_allclose(np.subtract(*where[::-1]), (2.4, -1.3), atol=0.02)


def test_a_periodic_pair_wraps_its_sources_too():
    pair = simulate_pair((48, 64), shift=(20, -30), periodic=True, point_sources=20, rng=5)
    np.testing.assert_allclose(pair.sky_image, np.roll(pair.sky_reference, (-30, 20), (0, 1)), atol=1e-9)
    assert pair.boundary == "wrap"


def test_a_detector_pattern_stays_on_its_pixels():
    pair = simulate_pair((64, 64), snr=1e6, fixed_pattern=0.3, hot_pixels=0.01, hot_level=8.0, rng=3)
    patterns = [pair.reference.data - pair.sky_reference, pair.image.data - pair.sky_image]
    np.testing.assert_allclose(*patterns, atol=1e-4)
    hot = patterns[0] > 5
    assert 15 < hot.sum() < 70  # 41 expected, +-6.4
    assert patterns[0][hot].mean() > 12
    assert abs(patterns[0][~hot].std() - 0.3) < 4 * 0.3 / np.sqrt(2 * 4096)


def test_bad_pixels_are_masked_and_wild():
    extra = np.zeros((100, 100), bool)
    extra[:, 40:43] = True
    pair = simulate_pair((100, 100), bad_fraction=0.05, mask=(None, extra), rng=3)
    assert abs(pair.reference.mask.mean() - 0.05) < 4 * np.sqrt(0.05 / 10000)
    assert pair.image.mask[:, 40:43].all()
    assert not np.array_equal(pair.reference.mask, pair.image.mask)
    assert (np.abs(pair.image.data[pair.image.mask]) > 100).all()
    assert (np.abs(pair.image.data[~pair.image.mask]) < 10).all()


def test_the_same_seed_gives_the_same_pair():
    first, second, other = (simulate_pair((32, 32), bad_fraction=0.1, rng=seed) for seed in (7, 7, 8))
    for name in ("reference", "image"):
        a, b, c = (getattr(p, name) for p in (first, second, other))
        assert np.array_equal(a.data, b.data)
        assert np.array_equal(a.mask, b.mask)
        assert not np.array_equal(a.data, c.data)


def test_a_redraw_changes_the_noise_only():
    pair = simulate_pair((32, 32), bad_fraction=0.1, rng=7)
    fresh = pair.redraw(rng=1)
    assert fresh.sky_image is pair.sky_image
    assert np.array_equal(fresh.image.mask, pair.image.mask)
    z = ((fresh.image.data - pair.image.data) / pair.image.uncertainty.array)[~pair.image.mask]
    # The difference of two independent noises; 920 pixels.
    assert abs(z.std() - np.sqrt(2)) < 4 * np.sqrt(2) / np.sqrt(2 * 920)
    noise = [fresh.image.data - fresh.sky_image, fresh.reference.data - fresh.sky_reference]
    good = ~(fresh.image.mask | fresh.reference.mask)
    assert abs(np.corrcoef(noise[0][good], noise[1][good])[0, 1]) < 4 / np.sqrt(good.sum())
    fresh.image.data[:] = 0
    fresh.image.mask[:] = True
    assert pair.image.data.any()
    assert not pair.redraw(rng=1).image.mask.all()


def test_draws_do_not_depend_on_how_many_follow():
    pair = simulate_pair((32, 32), rng=7)
    three = [p.image.data for p in pair.draws(3, rng=1)]
    two = [p.image.data for p in pair.draws(2, rng=1)]
    assert all(np.array_equal(a, b) for a, b in zip(two, three[:2], strict=True))
    assert not np.array_equal(three[0], three[1])


# ---- the WCS --------------------------------------------------------------------------------


@pytest.mark.parametrize("rotation", [0, 30, -140])
def test_a_simple_wcs(rotation):
    centre = SkyCoord(200 * u.deg, 60 * u.deg)
    wcs = tan_wcs((41, 61), centre=centre, pixel_scale=0.5 * u.arcsec, rotation=rotation * u.deg)
    assert wcs.pixel_to_world(30, 20).separation(centre) < 1e-9 * u.arcsec
    up, left = wcs.pixel_to_world(30, 40), wcs.pixel_to_world(10, 20)
    assert up.separation(centre).arcsec == pytest.approx(10, rel=1e-8)
    assert centre.position_angle(up).wrap_at("180d").deg == pytest.approx(rotation, abs=1e-6)
    turned = (centre.position_angle(left) - centre.position_angle(up)).wrap_at("180d")
    assert turned.deg == pytest.approx(90, abs=1e-3)


@pytest.mark.parametrize("frame", ["galactic", "fk5", "fk4", "icrs"])
def test_a_wcs_in_the_frame_of_its_centre(frame):
    centre = SkyCoord(200 * u.deg, 60 * u.deg).transform_to(frame)
    assert tan_wcs((9, 9), centre=centre).pixel_to_world(4, 4).separation(centre) < 1e-9 * u.arcsec


def test_the_true_wcs_gives_a_feature_its_coordinates():
    pair = simulate_pair((60, 80), shift=(7.3, -4.1), rng=5)
    here = pair.reference.wcs.pixel_to_world(30.0, 20.0)
    assert pair.true_wcs.pixel_to_world(37.3, 15.9).separation(here) < 1e-8 * u.arcsec
    # By default the image claims what the reference does.
    assert pair.image.wcs.pixel_to_world(30.0, 20.0).separation(here) < 1e-8 * u.arcsec


def test_a_pointing_error_is_the_smallest_rotation():
    centre = SkyCoord(10 * u.deg, 70 * u.deg)
    error = [12, -7] * u.arcsec
    pair = simulate_pair((60, 80), shift=(7.3, -4.1), centre=centre, pointing_error=error, rng=5)
    claimed = pair.image.wcs.pixel_to_world(46.8, 25.4)  # where the middle of the reference is seen
    offsets = claimed.spherical_offsets_to(centre)
    np.testing.assert_allclose([o.arcsec for o in offsets], [12, -7], atol=1e-9)
    corrected = correct_wcs(pair.image.wcs, SkyCorrection.from_coordinates(claimed, centre))
    x, y = np.meshgrid([0, 40, 79], [0, 30, 59])
    separation = corrected.pixel_to_world(x, y).separation(pair.true_wcs.pixel_to_world(x, y))
    assert separation.max() < 1e-6 * u.arcsec
    right = simulate_pair((60, 80), pointing_error=[0, 0] * u.arcsec, rng=5)
    assert right.image.wcs.wcs.compare(right.true_wcs.wcs, tolerance=1e-12)


# ---- the limit ------------------------------------------------------------------------------


def brute_force_limit(sky, pair, scale):
    """Marginal sigmas from numerical derivatives of the model by all its parameters."""
    h, columns = 1e-3, []
    for dx, dy in ((h, 0), (0, h)):
        shift = pair.shift.value
        columns.append(scale * (sky.window(shift + [dx, dy]) - sky.window(shift - [dx, dy])) / (2 * h))
    columns += [sky.window(pair.shift.value), np.ones(sky.shape)]
    variance = pair.image.uncertainty.array**2 + scale**2 * pair.reference.uncertainty.array**2
    # The image's rows 0 to 53 and columns 4 on see what the reference saw, for shift (3.6, -5.8).
    seen = np.s_[:-6, 4:]
    design = np.array([(c / np.sqrt(variance))[seen].ravel() for c in columns])
    return np.sqrt(np.diag(np.linalg.inv(design @ design.T))[:2])


def test_the_limit_for_a_known_sky_is_the_inverse_of_the_fisher_matrix():
    rng = np.random.default_rng(11)
    sky = PowerLawField((60, 80), index=3, fwhm=2.5, periodic=False, rng=rng.spawn(5)[0])
    pair = simulate_pair((60, 80), shift=(3.6, -5.8), scale=1.7, snr=20, snr_reference=50, rng=11)
    np.testing.assert_allclose(sky.window(), pair.sky_reference, atol=1e-12)
    expected = brute_force_limit(sky, pair, 1.7)
    seen = np.zeros((60, 80), bool)
    seen[:-6, 4:] = True
    known = shift_limit(
        sky.window(pair.shift.value),
        sigma_image=pair.image.uncertainty.array,
        sigma_reference=pair.reference.uncertainty.array,
        scale=1.7,
        mask=~seen,
        gradient=tuple(sky.window(pair.shift.value, derivative=axis) for axis in "xy"),
        known_sky=True,
    )
    # A central difference with h = 1e-3 is good to (2 pi k h)^2 / 6 < 2e-6.
    np.testing.assert_allclose(known.value, expected, rtol=1e-5)
    # At this signal to noise hardly anything is lost by not knowing the sky, but something is.
    assert (pair.limit.value > expected).all()
    assert (pair.limit.value < 1.05 * expected).all()


def test_nuisances_cost_and_a_spline_will_do():
    pair = simulate_pair((64, 64), snr=5, index=2, rng=3)
    options = {"sigma_image": 0.2, "sigma_reference": 0.2}
    full = shift_limit(pair.sky_image, **options)
    fixed = shift_limit(pair.sky_image, fit_scale=False, fit_background=False, **options)
    assert (fixed <= full).all()
    exact = simulate_pair((64, 64), snr=5, index=2, periodic=True, rng=3)
    # The spline's derivative is 1 % low at a quarter of the sampling frequency; the power from one
    # sky instead of its law adds as much.
    np.testing.assert_allclose(shift_limit(exact.sky_image, **options).value, exact.limit.value, rtol=0.03)


def test_the_limit_follows_the_noise():
    quiet, loud = (simulate_pair((64, 64), snr=snr, snr_reference=np.inf, rng=3).limit for snr in (100, 10))
    np.testing.assert_allclose((loud / quiet).value, 10)


def test_what_a_sky_that_must_be_learnt_costs():
    # Of a white spectrum every mode counts P / (P + Na Nb / (Na + Nb)), and so does their sum.
    power = np.ones((16, 16))
    gradient = (2 * np.pi) ** 2 * np.mean(fft.fftfreq(16)[:, None] ** 2 + fft.fftfreq(16) ** 2)
    assert unknown_sky_factor(power, 3.0 * gradient, 2.0, 2.0) == pytest.approx((3.0 + 1.0) / 3.0)
    assert unknown_sky_factor(power, 3.0 * gradient, 0.0, 2.0) == 1.0


def test_a_sky_without_structure_determines_nothing():
    x = np.arange(16.0) * np.ones((16, 1))
    assert np.isinf(shift_limit(0 * x, sigma_image=1.0, known_sky=True)).all()
    assert np.isinf(shift_limit(0 * x + 3, sigma_image=1.0, known_sky=True)).all()
    along_x, along_y = shift_limit(np.sin(x), sigma_image=1.0, known_sky=True).value
    # sum of cos^2 over 256 pixels is 130.2 when x runs from 0 to 15; scale and background cost 0.5 %.
    assert along_x == pytest.approx(1 / np.sqrt(130), rel=0.02)
    assert np.isinf(along_y)
    diagonal = np.sin(x + x.T)
    slope = (np.cos(x + x.T),) * 2
    assert np.isinf(shift_limit(diagonal, gradient=slope, sigma_image=1.0, known_sky=True)).all()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [({"sigma_image": 0.0}, "both 0"), ({"sigma_image": 1.0, "mask": np.ones((16, 16), bool)}, "no pixel")],
)
def test_an_impossible_limit(arguments, match):
    with pytest.raises(ValueError, match=match):
        shift_limit(extended_sky((16, 16), rng=1), **arguments)


# ---- the sky on the sphere ------------------------------------------------------------------


@pytest.fixture(scope="module")
def sphere():
    return SphericalSky(radius=1.5 * u.arcmin, rms=2.0, rng=1)


def test_the_emission_is_positive_with_the_rms_asked_for(sphere):
    fine = sphere.evaluate(tan_wcs((90, 90)).pixel_to_world(*np.indices((90, 90))[::-1]))
    assert (fine > 0).all()
    # Normalised on another grid over the same square; the smallest blobs are 1.5 pixels wide.
    assert fine.std() == pytest.approx(2.0, rel=0.05)


def test_a_beam_is_a_convolution(sphere):
    wcs = tan_wcs((128, 128), pixel_scale=0.5 * u.arcsec)
    coordinates = wcs.pixel_to_world(*np.indices((128, 128))[::-1])
    sharp, blurred = sphere.evaluate(coordinates), sphere.evaluate(coordinates, fwhm=4 * u.arcsec)
    kernel = Gaussian2DKernel(8 * gaussian_fwhm_to_sigma, x_size=65, y_size=65)
    numeric = convolve_fft(sharp, kernel)
    inner = np.s_[34:-34, 34:-34]
    # The smallest blobs (FWHM 3 pixels) and the beam are sampled well; the kernel is cut at 9 sigma.
    np.testing.assert_allclose(blurred[inner], numeric[inner], rtol=1e-4)


def test_cameras_with_any_grid_see_one_sky(sphere):
    centre = SkyCoord(sphere.centre)
    first = tan_wcs((40, 50), centre=centre, pixel_scale=1 * u.arcsec)
    second = tan_wcs((70, 60), centre=centre.galactic, pixel_scale=0.8 * u.arcsec, rotation=33 * u.deg)
    image = sphere.observe(second, fwhm=3 * u.arcsec)
    x, y = 23, 41
    there = second.pixel_to_world(x, y)
    assert isinstance(there.frame, Galactic)
    at = first.pixel_to_world(*first.world_to_pixel(there))
    assert sphere.evaluate(at, fwhm=3 * u.arcsec) == pytest.approx(image.data[y, x], rel=1e-9)
    assert sphere.evaluate(there, fwhm=3 * u.arcsec).shape == ()


def test_a_tile_changes_nothing(sphere):
    coordinates = tan_wcs((70, 45)).pixel_to_world(*np.indices((70, 45))[::-1])
    whole = sphere.evaluate(coordinates, fwhm=2 * u.arcsec)
    in_a_row = sphere.evaluate(coordinates.ravel(), fwhm=2 * u.arcsec)
    np.testing.assert_allclose(in_a_row, whole.ravel(), rtol=1e-8)


def test_pixels_beyond_the_sky_are_masked():
    # The corners of an orthographic all-sky image see nothing.
    wcs = tan_wcs((90, 90), pixel_scale=1.5 * u.deg, projection="SIN")
    sky = SphericalSky(radius=10 * u.deg, rng=1)
    image = sky.observe(wcs, fwhm=4 * u.deg, noise=0.1, rng=1)
    assert image.mask[0, 0]
    assert not image.mask[30:60, 30:60].any()
    assert np.isfinite(image.data).all()
    clean = sky.observe(wcs, fwhm=4 * u.deg)
    at = wcs.pixel_to_world(45, 45)
    assert clean.data[45, 45] == pytest.approx(sky.evaluate(at, fwhm=4 * u.deg))


def test_an_observation_has_everything(sphere):
    claimed = tan_wcs((64, 64), centre=SkyCoord(1 * u.deg, 2 * u.deg))
    options = {"fwhm": 3 * u.arcsec, "scale": 0.1, "background": 7.0, "unit": "MJy/sr"}
    clean = sphere.observe(tan_wcs((64, 64)), **options)
    image = sphere.observe(
        tan_wcs((64, 64)), noise=0.5, bad_fraction=0.1, claimed_wcs=claimed, rng=3, **options
    )
    assert image.unit == u.MJy / u.sr
    assert image.wcs is claimed
    assert (image.uncertainty.array == 0.5).all()
    assert clean.uncertainty is None
    good = ~image.mask
    noise = image.data[good] - clean.data[good]
    assert abs(noise.std() - 0.5) < 4 * 0.5 / np.sqrt(2 * good.sum())
    surface = sphere.evaluate(tan_wcs((64, 64)).pixel_to_world(5, 9), fwhm=3 * u.arcsec)
    assert clean.data[9, 5] == pytest.approx(0.1 * surface + 7.0)
    again = sphere.observe(tan_wcs((64, 64)), noise=0.5, bad_fraction=0.1, rng=3, **options)
    assert np.array_equal(again.data, image.data)


def test_point_sources_keep_their_flux_in_any_beam():
    options = {"radius": 30 * u.arcsec, "smallest": 2 * u.arcsec, "rng": 1}
    stars, none = SphericalSky(point_sources=20, **options), SphericalSky(**options)
    flux = []
    for fwhm in (2.5 * u.arcsec, 5 * u.arcsec):
        images = [s.observe(tan_wcs((121, 121)), fwhm=fwhm).data for s in (stars, none)]
        flux.append((images[0] - images[1]).sum())
    # All sources are at least 30 arcsec, or 14 sigma, from the edges.
    assert flux[0] == pytest.approx(flux[1], rel=1e-8)
    with pytest.raises(ValueError, match="`fwhm` must be > 0"):
        stars.evaluate(stars.centre)


def test_two_seeds_are_two_skies():
    first, same, other = (SphericalSky(radius=30 * u.arcsec, rng=seed) for seed in (1, 1, 2))
    here = first.centre
    assert first.evaluate(here) == same.evaluate(here)
    assert first.evaluate(here) != other.evaluate(here)


# ---- impossible arguments -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"shape": (0, 5)}, "`shape` must be two integers"),
        ({"shape": (20, 20, 20)}, "`shape` must be two integers"),
        ({"shift": (1, 2, 3)}, "`shift` must be two finite"),
        ({"shape": (20, 20), "shift": (60, 0)}, "`shift` must be at most twice"),
        ({"snr": 0}, "`snr` must be > 0"),
        ({"snr_reference": -1}, "`snr_reference` must be > 0"),
        ({"scale": -1}, "`scale` must be > 0"),
        ({"bad_fraction": 1.0}, "`bad_fraction` is a fraction"),
        ({"hot_pixels": -0.1}, "`hot_pixels` is a fraction"),
        ({"correlation": -1}, "`correlation` must be >= 0"),
        ({"fixed_pattern": -1}, "`fixed_pattern` must be >= 0"),
        ({"pixel_scale": 0 * u.arcsec}, "`pixel_scale` must be > 0"),
        ({"centre": SkyCoord("0d", "0d", frame="geocentrictrueecliptic")}, "`centre` must be in one"),
    ],
)
def test_impossible_pairs(arguments, match):
    with pytest.raises(ValueError, match=match):
        simulate_pair(**{"shape": (32, 32)} | arguments)


def test_a_shift_is_in_pixels():
    with pytest.raises(u.UnitConversionError, match=r"`shift` cannot be used .* give a pair"):
        simulate_pair((32, 32), shift=[1, 2] * u.arcsec)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"radius": -1 * u.arcmin}, "`radius` must be > 0"),
        ({"rms": 0.0}, "`rms` must be > 0"),
        ({"smallest": 2 * u.arcmin}, "`smallest` must be well below"),
        ({"radius": 40 * u.deg}, "`radius` must be below 17 degrees"),
    ],
)
def test_impossible_spheres(arguments, match):
    with pytest.raises(ValueError, match=match):
        SphericalSky(**arguments)


def test_a_shape_must_come_from_somewhere(sphere):
    wcs = tan_wcs((9, 9))
    wcs.array_shape = None
    with pytest.raises(ValueError, match="`shape` is needed"):
        sphere.observe(wcs, fwhm=3 * u.arcsec)
