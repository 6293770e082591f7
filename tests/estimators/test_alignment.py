"""The common frame: exact on band-limited periodic images, symmetric under a swap, gaps from both images."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astroreg.estimators.alignment import Aligned, Aligner, carried_on, continue_beyond, fill_gaps
from astroreg.estimators.fourier import FourierGrid
from astroreg.estimators.overlap import Plane, make_overlap


def waves(shape, dx=0.0, dy=0.0):
    """A sum of a few periodic waves at any sub-pixel shift, written out."""
    y, x = np.indices(shape, dtype=float)
    phase_x, phase_y = 2 * np.pi * (x - dx) / shape[1], 2 * np.pi * (y - dy) / shape[0]
    slanted = 0.7 * np.sin(3 * phase_y + phase_x) + 0.4 * np.cos(5 * phase_x - 4 * phase_y)
    return np.cos(2 * phase_x + 0.3) + slanted


@pytest.mark.parametrize("shape", [(30, 36), (31, 35)])
@pytest.mark.parametrize("fraction", [(0.0, 0.0), (0.4, -0.3), (-0.5, 0.5)])
@pytest.mark.parametrize("whole", [(0, 0), (4, -7)])
def test_band_limited_images_are_aligned_exactly(shape, fraction, whole):
    truth = np.add(whole, fraction)
    reference, image = Plane(waves(shape), 1.0), Plane(3 * waves(shape, *truth) + 5, 1.0)
    aligner = Aligner(make_overlap(reference, image, whole, periodic=True))
    aligner.fraction = np.array(fraction)
    aligned = aligner.align()
    # The common frame is half-way in what is beyond the whole pixels: the image moved back by half of it.
    expected = 3 * waves(shape, *np.subtract(truth, np.array(fraction) / 2)) + 5
    assert_allclose(aligned.b, expected, atol=1e-12)
    assert_allclose(aligned.a, expected, atol=1e-12)
    grid = aligner.grid
    assert_allclose(grid.inverse(aligned.spectrum_a), aligned.a, atol=1e-12)
    assert_allclose(grid.inverse(aligned.spectrum_b), aligned.b, atol=1e-12)


@pytest.mark.parametrize("order", ["images first", "residual first"])
def test_what_is_made_of_the_spectra(order):
    rng = np.random.default_rng(6)
    a, b = rng.standard_normal((2, 12, 15))
    grid = FourierGrid((12, 15))
    aligned = Aligned(grid, grid.forward(a), grid.forward(b))
    if order == "images first":
        assert_allclose(aligned.a, a, atol=1e-14)
        assert_allclose(aligned.b, b, atol=1e-14)
    assert_allclose(aligned.residual, b - a, atol=1e-14)
    kept = aligned.spectrum_a.copy(), aligned.spectrum_b.copy()
    assert_allclose(grid.inverse(aligned.mean_spectrum(0.3)), 0.7 * a + 0.3 * b, atol=1e-14)
    assert_array_equal(aligned.spectrum_a, kept[0])
    assert_array_equal(aligned.spectrum_b, kept[1])


def test_first_scale_and_background():
    sky = waves((30, 36))
    overlap = make_overlap(Plane(sky, 1.0), Plane(2.5 * sky - 4, 1.0), (0, 0), periodic=True)
    both = Aligner(overlap)
    assert_allclose((both.scale, both.background), (2.5, -4))
    fixed = Aligner(overlap, fit_scale=False, fit_background=False)
    assert (fixed.scale, fixed.background) == (1, 0)
    assert Aligner(overlap, fit_background=False).background == 0
    # Without a background the scale is that of the root mean squares.
    assert_allclose(
        Aligner(overlap, fit_background=False).scale,
        np.sqrt(((2.5 * sky - 4) ** 2).mean() / (sky**2).mean()),
        rtol=0.2,
    )
    only = Aligner(overlap, fit_scale=False)
    assert_allclose((only.scale, only.background), (1, (1.5 * sky - 4).mean()))


def filled(values, known, todo=None):
    """A copy of the values, filled in place."""
    out = values.copy()
    fill_gaps(FourierGrid(values.shape, values.dtype), out, known, ~known if todo is None else todo)
    return out


def test_known_pixels_are_kept_and_gaps_are_averages():
    rng = np.random.default_rng(1)
    values, known = 5 + 0.1 * rng.standard_normal((40, 40)), rng.random((40, 40)) > 0.3
    known[10:25, 10:25] = False
    found = filled(np.where(known, values, 1e6), known)
    assert (found[known] == values[known]).all()
    # Weighted means of noise of 0.1 about 5: none can stand off further than the noise itself does.
    assert np.abs(found[~known] - 5).max() < 0.4


def test_only_what_is_asked_for_is_filled():
    rng = np.random.default_rng(1)
    values, known = 5 + 0.1 * rng.standard_normal((40, 40)), rng.random((40, 40)) > 0.3
    todo = ~known & (np.arange(40) < 20)
    kept = todo.copy()
    part, whole = (filled(np.where(known, values, 1e6), known, t) for t in (todo, ~known))
    assert_array_equal(part[todo], whole[todo])
    assert (part[~known & ~todo] == 1e6).all()
    assert_array_equal(todo, kept)


def test_a_constant_is_filled_with_itself():
    known = np.zeros((32, 48), bool)
    known[:4] = True
    assert_allclose(filled(np.where(known, 7.0, 0.0), known), 7, atol=1e-6)


def test_nothing_to_fill_and_nothing_to_fill_from():
    values = np.random.default_rng(1).standard_normal((12, 12))
    assert (filled(values, np.ones((12, 12), bool)) == values).all()
    assert (filled(values, np.zeros((12, 12), bool)) == 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_canvas_is_continued_until_it_closes(dtype):
    """Row by row, and then column by column: a straight line from the mean of the last three to the first."""
    rng = np.random.default_rng(3)
    values, box = rng.standard_normal((20, 26)).astype(dtype), (slice(4, 15), slice(6, 17))
    expected = values.astype(float)
    for lines, first, last in ((expected[:, box[1]], 4, 15), (expected.T, 6, 17)):
        low, high = lines[first : first + 3].mean(0), lines[last - 3 : last].mean(0)
        gap = len(lines) - (last - first)
        for n in range(1, gap + 1):
            lines[(last - 1 + n) % len(lines)] = high + (low - high) * n / (gap + 1)
    continued = values.copy()
    continue_beyond(continued, box)
    assert_array_equal(continued[box], values[box])
    # Some ten roundings of values of a few.
    assert_allclose(continued, expected, atol=50 * np.finfo(dtype).eps)


def test_the_continuation_has_no_step():
    """A slanted plane: no two neighbours, those across the wrap included, differ more than the slopes say."""
    y, x = np.indices((40, 50), dtype=float)
    plane, box = 2 * x + 3 * y, (slice(8, 32), slice(10, 40))
    continue_beyond(plane, box)
    for axis, slope, length in ((1, 2, 30), (0, 3, 24)):
        steps = np.abs(np.diff(plane, axis=axis, append=np.take(plane, [0], axis)))
        gap = plane.shape[axis] - length
        # Back over the gap the plane falls by what it rose between the means of three rows, in gap + 1 steps,
        # of which the first and the last are one slope longer; the corners mix both axes.
        assert steps.max() <= slope * (length - 3) / (gap + 1) + slope + 1e-9


def test_a_side_that_fills_the_canvas_is_left_alone():
    values = np.random.default_rng(5).standard_normal((12, 16))
    kept = values.copy()
    continue_beyond(values, (slice(None), slice(None)))
    assert_array_equal(values, kept)
    continue_beyond(values, (slice(0, 12), slice(4, 12)))
    assert_array_equal(values[:, 4:12], kept[:, 4:12])
    # Eight columns from the mean of the last three back to that of the first: a ninth of the way each.
    high, low = kept[:, 9:12].mean(1), kept[:, 4:7].mean(1)
    assert_allclose(values[:, 12], high + (low - high) / 9)
    assert_allclose(values[:, 3], high + (low - high) * 8 / 9)


def test_one_row_is_carried_on():
    values = np.zeros((6, 8))
    values[2, 3:5] = 4.0
    continue_beyond(values, (slice(2, 3), slice(3, 5)))
    assert_allclose(values, 4)


def half_way(overlap, truth, flux=(3.0, 5.0)):
    """The aligner of waves at their true state, and the sky in the common frame, in the image's units."""
    aligner = Aligner(overlap)
    aligner.fraction = np.array(truth)
    aligner.scale, aligner.background = flux
    return aligner, flux[0] * waves(overlap.image.shape, *(np.array(truth) / 2)) + flux[1]


def test_predictions_of_the_true_sky_are_exact():
    """Either image's gaps, filled from the common frame: fraction, scale and background undone and redone."""
    truth, rng = (0.4, -0.3), np.random.default_rng(4)
    good = [rng.random((30, 36)) > 0.2 for _ in range(2)]
    images = (waves((30, 36)), 3 * waves((30, 36), *truth) + 5)
    planes = [Plane(np.where(g, x, np.nan), 1.0, g) for x, g in zip(images, good)]
    aligner, sky = half_way(make_overlap(*planes, (0, 0), periodic=True), truth)
    aligner.align()
    # A step of scale and background between alignment and prediction is none of the mean sky's.
    aligner.scale, aligner.background = 4.0, 1.0
    aligner.predict(sky, sky.mean(), aligner.grid.forward(sky - sky.mean()))
    aligner.scale, aligner.background = 3.0, 5.0
    aligned = aligner.align()
    # No low-pass yet: the prediction is the sky itself.
    assert_allclose(aligned.a, sky, atol=1e-12)
    assert_allclose(aligned.b, sky, atol=1e-12)


def test_a_hole_does_not_predict_itself():
    """Whatever the mean sky says at the hole, the prediction there is the neighbours'."""
    good = np.ones((30, 36), bool)
    good[13, 17] = False
    planes = [Plane(waves((30, 36)), 1.0, good), Plane(waves((30, 36)), 1.0)]
    found = []
    for wild in (0.0, 100.0):
        aligner, sky = half_way(make_overlap(*planes, (0, 0), periodic=True), (0, 0), (1.0, 0.0))
        k = np.linspace(0, 0.7, 50)
        aligner.set_profile(k, np.exp(-((k / 0.2) ** 2)))
        sky[13, 17] += wild
        aligner.align()
        aligner.predict(sky, 0.0, aligner.grid.forward(sky))
        aligned = aligner.align()
        assert_allclose(aligned.a[13, 17], aligned.b[13, 17], atol=1e-12)
        found.append(aligned.b[13, 17])
    assert_allclose(found[1], found[0], atol=1e-11)


def test_complete_images_are_not_predicted():
    overlap = make_overlap(Plane(waves((30, 36)), 1.0), Plane(waves((30, 36)), 1.0), (0, 0), periodic=True)
    aligner, sky = half_way(overlap, (0.2, 0.1))
    before = aligner.align()
    aligner.predict(sky + 7, 0.0, aligner.grid.forward(sky + 7))
    assert_array_equal(aligner.align().a, before.a)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.85])
def test_a_geometric_series_of_steps_is_summed(share):
    """Steps that each leave `share` of the way: the second is carried on to the end."""
    target, position, before = np.array([0.3, -0.8]), np.zeros(2), np.zeros(2)
    for _ in range(2):
        step = (1 - share) * (target - position)
        longer, before = carried_on(step, before)
        position = position + longer * step
    assert_allclose(position, target)
    # The next step is compared with none: what was foretold is not foretold again.
    assert carried_on(step, before)[0] == 1


def test_steps_that_are_not_carried_on():
    step = np.array([0.5, -0.25])
    # The first, one across the step before, and one a little back, which is no to and fro.
    for before in (np.zeros(2), np.array([0.25, 0.5]), -10 * step):
        longer, kept = carried_on(step, before)
        assert longer == 1
        assert_array_equal(kept, step)
    # To and fro: half the way. Hardly shrinking: eight times as far and no farther.
    assert carried_on(step, -step)[0] == 0.5
    assert carried_on(step, 1.01 * step)[0] == carried_on(step, 0.5 * step)[0] == 8


def test_both_images_are_given_the_same_gap():
    """Where neither has a pixel they are equal in the common frame: a gap pulls the shift nowhere."""
    rng = np.random.default_rng(2)
    good = np.ones((40, 40), bool)
    good[15:25, 10:30] = False
    planes = [
        Plane(waves((40, 40), *d) + 0.1 * rng.standard_normal((40, 40)), 0.01, good)
        for d in ((0, 0), (0.3, 0.2))
    ]
    aligner = Aligner(make_overlap(*planes, (0, 0), periodic=True))
    aligned = aligner.align()
    assert_allclose(aligned.a[18:22, 14:26], aligned.b[18:22, 14:26], atol=1e-9)
