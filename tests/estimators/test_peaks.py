"""Peaks of correlations that are known in closed form."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from astroreg.estimators.alignment import Aligner
from astroreg.estimators.equations import curvature
from astroreg.estimators.fourier import FourierGrid
from astroreg.estimators.overlap import Plane, make_overlap
from astroreg.estimators.peak import PeakStep
from astroreg.estimators.taylor import released, taylor_peak
from astroreg.estimators.upsampled import upsampled_peak
from astroreg.simulation import simulate_pair

SHIFTS = [(0.0, 0.0), (0.2, 0.0), (0.0, -0.3), (0.37, 0.41), (-0.9, 0.75)]


def cross_of_gaussians(shape, shift, sigma=2.5):
    """Cross-spectrum of two equal round Gaussians, one moved: its transform is a Gaussian about `shift`.

    Written in frequencies, where a Gaussian of 2.5 pixels has no power at the highest ones (1e-27).
    """
    grid = FourierGrid(shape)
    power = np.exp(-4 * np.pi**2 * sigma**2 * grid.k2)
    return power * np.exp(-2j * np.pi * (grid.kx * shift[0] + grid.ky * shift[1])), grid


@pytest.mark.parametrize("shape", [(40, 50), (41, 45)])
@pytest.mark.parametrize("shift", SHIFTS)
def test_repeated_taylor_steps_reach_the_summit(shape, shift):
    """Newton's method on a Gaussian: each step turns an error e into about e^3 / (2 sigma^2)."""
    position = np.zeros(2)
    for _ in range(6):
        cross, grid = cross_of_gaussians(shape, np.subtract(shift, position))
        position = position + taylor_peak(cross, grid)
    assert_allclose(position, shift, atol=1e-12)


def test_one_taylor_step_of_a_gaussian():
    """At distance d from the summit of exp(-d^2 / 2 s^2) the paraboloid's is d / (1 - d^2 / s^2) away.

    On the axis, with gradient -d / s^2 and curvature (d^2 / s^2 - 1) / s^2; the correlation of two
    Gaussians of 2.5 pixels has s^2 = 2 * 2.5^2.
    """
    cross, grid = cross_of_gaussians((40, 50), (0.5, 0.0))
    assert_allclose(taylor_peak(cross, grid), [0.5 / (1 - 0.25 / 12.5), 0], atol=1e-12)


def test_taylor_without_a_summit_looks_around():
    """Far down the flank the correlation curves upwards: the highest point nearby shows the way."""
    cross, grid = cross_of_gaussians((40, 50), (7.0, 3.0))
    step = taylor_peak(cross, grid)
    assert_allclose(step, [1, 1])


@pytest.mark.parametrize("factor", [1, 2, 7, 10, 33, 100, 1000, 4096])
@pytest.mark.parametrize("shift", SHIFTS)
def test_upsampling_gives_the_nearest_sample(factor, shift):
    cross, grid = cross_of_gaussians((40, 45), shift)
    found = upsampled_peak(cross, grid, factor)
    # A multiple of the spacing, and none is nearer: no offset by half a sample or by one.
    assert_allclose(found * factor, np.rint(found * factor), atol=1e-9)
    assert np.abs(found - shift).max() <= 0.5 / factor + 1e-9


@pytest.mark.parametrize("shape", [(40, 44), (41, 43)])
def test_both_treat_the_axes_alike(shape):
    """White noise, with power at the highest frequencies: transposed images, transposed peaks."""
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, *shape))
    b = b + 3 * a

    def peaks(first, second):
        grid = FourierGrid(first.shape)
        cross = grid.forward(first).conj() * grid.forward(second)
        return taylor_peak(cross, grid), upsampled_peak(cross, grid, 100)

    for usual, turned in zip(peaks(a, b), peaks(a.T, b.T)):
        assert_allclose(turned[::-1], usual, atol=1e-10)


def peak_step(first, second, whole, resolution=0.0):
    """The peak step of either method on a simulated pair."""
    aligner = Aligner(make_overlap(first, second, whole))
    if not resolution:
        return PeakStep(aligner, taylor_peak, tolerance=1e-4)

    def find(cross, grid):
        return upsampled_peak(cross, grid, round(1 / resolution))

    return PeakStep(aligner, find, tolerance=0.5 * resolution, resolution=resolution)


def noisy_planes():
    pair = simulate_pair((60, 66), shift=(3.37, -5.81), snr=20, bad_fraction=0.01, rng=3)
    return [Plane(f.data, f.uncertainty.array**2, ~f.mask) for f in (pair.reference, pair.image)]


@pytest.mark.parametrize("resolution", [0.0, 0.1, 0.01])
def test_the_peak_of_noisy_images_with_gaps(resolution):
    """Both methods, at the truth to their errors, and mirrored by a swap."""
    first, second = noisy_planes()
    there = peak_step(first, second, (3, -6), resolution).fit(empirical=False)
    back = peak_step(second, first, (-3, 6), resolution).fit(empirical=False)
    error = np.sqrt(np.diag(there.covariance))
    assert there.converged
    assert (np.abs(there.shift - [3.37, -5.81]) < 5 * error).all()
    # Where the iteration stops is some thousandths of an error; on samples it is one of two neighbours.
    assert (np.abs(there.shift + back.shift) < 0.02 * error + 1.01 * resolution).all()


@pytest.mark.parametrize("resolution", [0.1, 0.01])
def test_repeated_peaks_stay_on_the_samples(resolution):
    """However steps are lengthened, and wherever the search began."""
    step = peak_step(*noisy_planes(), (3, -6), resolution)
    step.aligner.fraction = np.array([0.1234, 0.3456])
    found = step.fit(empirical=False)
    assert_allclose(found.shift / resolution, np.rint(found.shift / resolution), atol=1e-6)
    # The rounding to a sample is a part of the error.
    assert (np.diag(found.covariance) > resolution**2 / 12).all()


def test_equal_images_give_exactly_zero():
    a = np.random.default_rng(1).standard_normal((32, 30))
    grid = FourierGrid(a.shape)
    cross = np.abs(grid.forward(a)) ** 2 + 0j
    assert (taylor_peak(cross, grid) == 0).all()
    assert (upsampled_peak(cross, grid, 1000) == 0).all()


@pytest.mark.parametrize("moved", [(0.03, -0.02), (-0.1, 0.0), (0.2, 0.15)])
def test_what_a_taper_holds_back_is_known(moved):
    """A smooth sky under T = sin^2 along either axis, whose derivatives are written out."""
    shape, beam = (64, 80), 3.0
    grid = FourierGrid(shape)
    sky = grid.forward(np.random.default_rng(4).standard_normal(shape)) * np.exp(-20 * beam**2 * grid.k2 / 2)
    half = grid.phase(np.divide(moved, 2))
    a, b = grid.inverse(sky * half.conj()), grid.inverse(sky * half)
    angle = [np.pi * (np.arange(n) + 0.5) / n for n in shape]
    rows, columns = (np.sin(t) ** 2 for t in angle)
    taper = np.outer(rows, columns)
    cross = grid.forward(taper * a).conj() * grid.forward(taper * b)
    step = np.zeros(2)
    for _ in range(5):
        step = step + taylor_peak(cross * grid.phase(-step), grid)
    # (T'^2 - T T'') / 2 for either axis; the other axis' taper is squared.
    bends = [
        0.5 * (np.pi / n) ** 2 * (np.sin(2 * t) ** 2 - 2 * np.sin(t) ** 2 * np.cos(2 * t))
        for n, t in zip(shape, angle)
    ]
    held = np.array([(rows**2 @ (a * b)) @ bends[1], bends[0] @ (a * b) @ columns**2])
    whole, share = released(step, curvature(grid, cross.real.copy())[0], held)
    length = np.hypot(*moved)
    # The peak is short of where the sky is by some hundredths; what is then left is of second order in the
    # step over the sky's size, 3 pixels, as a share of that.
    assert np.hypot(*(step - moved)) > 0.01 * length
    assert np.hypot(*(whole - moved)) < share * length * (0.002 + (length / beam) ** 2)
    assert 0.01 < share < 0.2


def test_without_a_summit_nothing_is_known_of_what_is_held_back():
    step = np.array([0.1, 0.2])
    for bend, held in ((-np.eye(2) * [1, -1], [0, 0]), (np.eye(2), [0.8, 0.1])):
        whole, share = released(step, bend, np.array(held))
        assert_allclose(whole, step)
        assert share == 1
    # Nothing is held back without a taper; what is to come is never nothing.
    whole, share = released(step, np.eye(2), np.zeros(2))
    assert_allclose(whole, step)
    assert share == 0.002


@pytest.mark.parametrize("resolution", [0.0, 0.01])
def test_one_pass_leads_to_the_peak_of_a_small_image(resolution, monkeypatch):
    """From a fifth of a pixel away, half of which the taper holds back, one in a hundred is left."""
    pair = simulate_pair((90, 100), shift=(3.2, -5.9), snr=100, index=2.5, fwhm=4, rng=3)
    planes = [Plane(f.data, f.uncertainty.array**2) for f in (pair.reference, pair.image)]
    there = peak_step(*planes, (3, -6), resolution)
    there.solve()
    monkeypatch.setattr("astroreg.estimators.peak._ITERATIONS", 1)
    once = peak_step(*planes, (3, -6), resolution)
    once.solve()
    assert np.hypot(*there.aligner.fraction) > 0.2
    # On samples either may be rounded to the next.
    assert np.abs(once.aligner.fraction - there.aligner.fraction).max() < 0.002 + 1.01 * resolution


@pytest.mark.parametrize(("side", "small"), [(1, True), (2, True), (3, False)])
def test_holes_whose_every_pixel_has_a_good_one_beside_it_are_small(side, small):
    plane = Plane(np.arange(600.0).reshape(20, 30), 0.1, np.ones((20, 30), bool))
    plane.good[7 : 7 + side, 9 : 9 + side] = False
    assert make_overlap(plane, plane, (0, 0)).has_small_holes is small


@pytest.mark.parametrize("start", [(0.0, 0.0), (0.45, -0.45)])
def test_small_holes_pull_the_peak_of_a_wide_overlap_nowhere(start):
    """One pixel in 250 of either image is bad, half a pixel from the shift.

    What stood at the same place in both images would pull by its share of the pixels: 1/125 of half a pixel,
    0.004. The shift has an error of 0.001 pixel, of which holes may change sqrt(1/125), and what they are
    filled with leaves the noise of a mean of neighbours: half of the error is asked for.
    """
    pair = simulate_pair((420, 430), shift=(0.5, -0.5), snr=30, index=2.5, fwhm=2.5, rng=11)
    rng, found = np.random.default_rng(2), []
    for share in (0, 1 / 250):
        planes = [
            Plane(
                x.data / x.data.std(),
                x.uncertainty.array**2 / x.data.var(),
                rng.random(x.data.shape) >= share,
            )
            for x in (pair.reference, pair.image)
        ]
        overlap = make_overlap(*planes, (0, 0))
        assert overlap.has_holes == bool(share)
        aligner = Aligner(overlap)
        aligner.fraction = np.array(start)
        step = PeakStep(aligner, taylor_peak, tolerance=1e-5)
        assert step.wide
        fit = step.fit(empirical=False)
        assert fit.converged
        found.append(fit.shift)
    error = np.sqrt(np.diag(fit.covariance))
    assert (np.abs(found[1] - found[0]) < 0.5 * error).all()
    assert (error < 0.002).all()


def wide_step(snr, start=(0.45, -0.4)):
    pair = simulate_pair((420, 450), shift=(0.37, -0.42), snr=snr, index=2.5, rng=11)
    planes = (Plane(f.data, f.uncertainty.array[0, 0] ** 2) for f in (pair.reference, pair.image))
    aligner = Aligner(make_overlap(*planes, (0, 0)))
    aligner.fraction = np.array(start)
    return PeakStep(aligner, taylor_peak, tolerance=1e-6)


@pytest.mark.parametrize("snr", [5, 50])
def test_slope_of_a_wide_overlap_by_sums_over_pixels(snr):
    """The taper's derivatives by parts, against the products of templates and gradients pixel by pixel."""
    step = wide_step(snr)
    assert step.wide
    aligned, tapered, _ = step.solve()
    templates, slope = step._slope_of_waves(aligned, tapered, 0.5)
    same, expected = step._slope_of_pixels(aligned, tapered, 0.5)
    for one, other in zip(templates, same, strict=True):
        # The taper's first rows, a kink, are interpolated with the sky or without, a few of 420: of the sum
        # of squares 2e-3 where noise, which has most power at high frequencies, is large.
        assert (one - other).std() < 0.05 * other.std()
    size = np.sqrt(np.abs(np.diag(expected)[:3]))
    # Noise products, which either takes out of its own sums, differ by their scatter over 1e5 pixels.
    difference = (slope - expected)[:3, :3] / np.outer(size, size)
    assert np.abs(difference).max() < 0.02 if snr < 10 else 0.002
    # The background's equation has sums of products of edges only: in units of the taper's.
    assert np.abs((slope - expected)[3, :2]).max() < 1e-3 * size[:2].max() * np.sqrt(step.total)


@pytest.mark.parametrize("start", [(0.39, -0.4), (0.45, -0.4), (0.0, 0.0), (-0.4, 0.4), (0.3, 0.3)])
def test_what_is_to_come_of_a_wide_overlap_is_gone_at_once(start):
    """From any start the peak stands where ever more passes would bring it, to a part of its error."""
    found = wide_step(20, start)
    fit = found.fit(empirical=False)
    error = np.sqrt(np.diag(fit.covariance))
    patient = wide_step(20, start)
    patient.wide, patient.tolerance = False, 1e-9
    patient._rough_error = lambda cross: 0.0
    patient.solve()
    # A twenty-fifth of the error is to come at most, as far as is known; the passes of the other also
    # predict what is beyond the edges, of which the taper leaves next to nothing.
    assert np.abs((found.aligner.fraction - patient.aligner.fraction) / error).max() < 0.1


@pytest.mark.parametrize("resolution", [0.0, 0.0005])
@pytest.mark.parametrize("periodic", [True, False])
def test_a_wide_overlap_is_left_at_its_peak(periodic, resolution):
    """A tenth of a pixel off are 400 errors: what the residuals say must be said after that step, not before.

    Without a taper nothing holds it back, so that what is to come after it is nothing.
    """
    pair = simulate_pair((410, 420), shift=(0.6, -0.6), snr=300, index=3, periodic=periodic, rng=11)
    planes = (Plane(f.data, f.uncertainty.array[0, 0] ** 2) for f in (pair.reference, pair.image))
    aligner = Aligner(make_overlap(*planes, (0, 0), periodic=periodic))
    aligner.fraction = np.array([0.5, -0.5])

    def sampled(cross, grid):
        return upsampled_peak(cross, grid, round(1 / resolution))

    finder = sampled if resolution else taylor_peak
    step = PeakStep(aligner, finder, tolerance=max(1e-4, 0.5 * resolution), resolution=resolution)
    assert step.wide
    fit = step.fit(empirical=False)
    error = np.sqrt(np.diag(fit.covariance))
    # Of 170 000 pixels chi-squared has a scatter of 0.0034; edges, where the sky is guessed, add to it.
    assert fit.chi2 / fit.n_pixels < (1.015 if periodic else 1.3)
    assert (error < 0.0006).all()
    assert (np.abs(fit.shift - (0.6, -0.6)) < 5 * error).all()
    assert fit.converged
