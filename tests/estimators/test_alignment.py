"""The common frame: exact on band-limited periodic images, symmetric under a swap, gaps from both images."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from astroreg.estimators.alignment import Aligner, fill_gaps
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


def test_known_pixels_are_kept_and_gaps_are_averages():
    rng = np.random.default_rng(1)
    grid = FourierGrid((40, 40))
    values, known = 5 + 0.1 * rng.standard_normal((40, 40)), rng.random((40, 40)) > 0.3
    known[10:25, 10:25] = False
    filled = fill_gaps(grid, np.where(known, values, 1e6), known)
    assert (filled[known] == values[known]).all()
    # Weighted means of noise of 0.1 about 5: none can stand off further than the noise itself does.
    assert np.abs(filled[~known] - 5).max() < 0.4


def test_a_constant_is_filled_with_itself():
    grid = FourierGrid((32, 48))
    known = np.zeros((32, 48), bool)
    known[:4] = True
    assert_allclose(fill_gaps(grid, np.where(known, 7.0, 0.0), known), 7, atol=1e-6)


def test_nothing_to_fill_and_nothing_to_fill_from():
    grid = FourierGrid((12, 12))
    values = np.random.default_rng(1).standard_normal((12, 12))
    assert (fill_gaps(grid, values, np.ones((12, 12), bool)) == values).all()
    assert (fill_gaps(grid, values, np.zeros((12, 12), bool)) == 0).all()


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
