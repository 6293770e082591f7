"""A look through windows: where the images stand, and the largest pixels that still hold the sky."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astroreg.estimators.decimation import Flux
from astroreg.estimators.fourier import FourierGrid
from astroreg.estimators.levels import Pyramid
from astroreg.estimators.overlap import Plane
from astroreg.estimators.survey import (
    Border,
    Survey,
    _concentration,
    _retained,
    border,
    complete_block,
    survey,
)
from astroreg.estimators.template import Spectra
from astroreg.simulation import simulate_pair


def pyramids(pair, shapes=None):
    frames = [pair.reference, pair.image]
    if shapes:
        frames = [f[:ny, :nx] for f, (ny, nx) in zip(frames, shapes)]
    planes = [Plane(f.data, f.uncertainty.array**2, ~f.mask if f.mask.any() else None) for f in frames]
    return [Pyramid(p, Flux(float(p.data.mean()), float(p.data.std()))) for p in planes]


@pytest.mark.parametrize("off", [(0.0, 0.0), (3.0, -2.0)])
@pytest.mark.parametrize(
    ("shapes", "bad_fraction"),
    [(None, 0.0), (None, 0.01), (((500, 560), (530, 400)), 0.0), (((290, 600), (290, 600)), 0.0)],
    ids=["complete", "bad", "unequal", "narrow"],
)
def test_the_shift_to_a_part_of_a_pixel(off, shapes, bad_fraction):
    """Axes and signs, from a start that is some pixels off."""
    pair = simulate_pair((530, 600), shift=(17.37, -8.61), snr=10, bad_fraction=bad_fraction, rng=2)
    found = survey(*pyramids(pair, shapes), np.add((17, -9), off), 5)
    # The windows are not moved by the part of a pixel: of that, at most half a pixel, their taper hides a
    # third where the sky is red, and to a third of itself that is made good. The fit begins there, and ends
    # elsewhere.
    assert np.abs(found.shift - pair.shift.value).max() < 0.06


def test_the_windows_are_brought_together():
    """The cross-spectrum that is left has no ramp where the taper, of 19 pixels, does not hold it back."""
    pair = simulate_pair((480, 500), shift=(3.4, -2.3), snr=20, rng=3)
    found = survey(*pyramids(pair), (3, -2), 4)
    spectra, grid = found.spectra, found.spectra.grid
    fine = spectra.cross * grid.multiplicity * (grid.k2 > 0.08**2)
    ramp = [-np.sum(k * fine.imag) / np.sum(k**2 * fine.real) for k in grid.odd_angular]
    # The sky has moved by what was found and by this. The images moved by 0.4 and 0.3 more than by whole
    # pixels: a tenth of that would be 0.04.
    assert_allclose(found.shift + ramp, (3.4, -2.3), atol=0.03)
    assert np.abs(ramp).max() < 0.03
    assert spectra.cross.shape == spectra.power.shape


def test_no_survey_of_less_than_a_window():
    pair = simulate_pair((210, 500), shift=(0.0, 0.0), snr=10, rng=4)
    assert survey(*pyramids(pair), (0, 0), 2) is not None
    # 180 rows overlap at a shift of 30, and a window has 192.
    assert survey(*pyramids(pair), (0, 30), 2) is None


def test_swapping_the_images_negates_what_is_found():
    pair = simulate_pair((530, 600), shift=(17.37, -8.61), snr=5, rng=2)
    both = pyramids(pair)
    there, back = survey(*both, (17, -9), 5), survey(*both[::-1], (-17, 9), 5)
    # Each chooses the windows by its own image's structure: to twice the accuracy above at worst.
    assert np.abs(there.shift + back.shift).max() < 0.1


def test_what_is_looked_at_is_kept():
    pair = simulate_pair((480, 500), shift=(3.4, -2.3), bad_fraction=0.05, rng=3)
    both = pyramids(pair)
    before = [p.plane.data.copy() for p in both]
    survey(*both, (3, -2), 4)
    for pyramid, data in zip(both, before):
        assert_array_equal(pyramid.plane.data, data)


@pytest.mark.parametrize("kind", ["varying", "bad", "both"])
def test_retained_by_loops(kind):
    """Inverse variances of the pixels, and of the blocks of which three quarters are good in both images."""
    rng = np.random.default_rng(5)
    windows = []
    for _ in range(2):
        variances = np.exp(rng.standard_normal((2, 48, 48))) if kind != "bad" else (0.5, 2.0)
        goods = rng.random((2, 48, 48)) > 0.1 if kind != "varying" else (None, None)
        windows.append([Plane(np.zeros((48, 48)), v, g) for v, g in zip(variances, goods)])
    for block in (16, 12, 10, 8, 6, 5, 4, 3, 2):
        fine = coarse = 0.0
        for pair in windows:
            variance = sum(np.broadcast_to(p.variance, p.shape) for p in pair)
            good = np.all([np.ones(p.shape, bool) if p.good is None else p.good for p in pair], 0)
            whole = (slice(48 // block * block),) * 2
            fine += (1 / variance[whole][good[whole]]).sum()
            for j in range(48 // block):
                for i in range(48 // block):
                    cell = tuple(slice(n * block, (n + 1) * block) for n in (j, i))
                    if good[cell].mean() >= 0.75:
                        # So many pixels of the mean variance of the good ones.
                        coarse += block**2 / variance[cell][good[cell]].mean()
        assert_allclose(_retained(windows, block), coarse / fine)


def test_all_is_retained_of_uniform_images():
    plane = Plane(np.zeros((48, 48)), 2.0)
    assert _retained([(plane, plane)], 3) == 1.0


@pytest.mark.parametrize(
    ("fwhm", "snr", "least", "most"), [(1.5, 100, 1, 1), (2.5, 20, 1, 2.5), (8.0, 5, 3, 8), (16.0, 20, 5, 12)]
)
def test_a_wide_beam_needs_fewer_pixels(fwhm, snr, least, most):
    """A deep sharp sky needs all its pixels; beams of many pixels some two or three a beam."""
    pair = simulate_pair((490, 500), shift=(3.4, -2.3), fwhm=fwhm, snr=snr, rng=6)
    found = survey(*pyramids(pair), (3, -2), 4)
    assert least <= complete_block(found, (5000, 5000), Border()) <= most


def test_no_image_becomes_smaller_than_128():
    found = of_known_sky(0.02, 0.1)
    assert complete_block(found, (5000, 5000), Border()) >= 5
    chosen = [complete_block(found, (900, sides), Border()) for sides in (191, 255, 256, 319, 320, 384, 640)]
    assert chosen == [1, 1.5, 2, 2, 2.5, 3, 5]


def test_the_border_of_two_images():
    """Edges of the one that has more of them for its size, and the rims of all large holes."""
    good = np.ones((400, 500), bool)
    planes = [Plane(np.zeros((400, 500)), 1.0), Plane(np.zeros((300, 600)), 1.0)]
    assert border([Pyramid(p, Flux()) for p in planes]) == Border(2 / 300 + 2 / 600, 0.0)
    assert border([Pyramid(p, Flux()) for p in planes], periodic=True) == Border(0.0, 0.0)
    good[np.random.default_rng(1).random(good.shape) < 0.02] = False
    speckled = Pyramid(Plane(np.zeros(good.shape), 1.0, good.copy()), Flux())
    assert border([speckled]).rims < 1e-3
    good[100:180, 200:320] = False
    holed = border([Pyramid(Plane(np.zeros(good.shape), 1.0, good), Flux())])
    # 400 pixels around, of which the hole's corners lose some.
    assert 0.85 < holed.rims * good.size / 400 < 1.1
    assert holed.edges == 2 / 400 + 2 / 500


def test_what_does_not_move_with_the_sky_needs_finer_pixels():
    """A deep sky of a wide beam: coarse pixels hold all of it, but guess much of it at edges and holes."""
    deep, faint = of_known_sky(0.02, 1e-7), of_known_sky(0.02, 0.1)
    sides = (5000, 5000)
    free = complete_block(deep, sides, Border())
    assert free >= 4
    assert complete_block(deep, sides, Border(edges=0.01)) < free
    assert complete_block(deep, sides, Border(rims=0.01)) < free
    none = complete_block(faint, sides, Border())
    assert complete_block(faint, sides, Border(0.01, 0.01)) == none


def test_structure_in_a_few_pixels():
    """About 1 where slopes are Gaussian; the pixels over those of a star where there is but one."""
    rng = np.random.default_rng(3)
    fields = [Plane(rng.standard_normal((192, 192)), 1.0) for _ in range(4)]
    # Two slopes of variance 2 share a pixel, and so half of their variance: (12 + 12 + 2 * 6) / 4^2, by 2. A
    # sum of 4 x 47^2 values, some of which share pixels, with a standard deviation of 4.
    assert abs(_concentration([(field, field) for field in fields]) - 9 / 8) < 0.15
    star = np.zeros((192, 192))
    star[100, 100] = 1.0
    # Three of 47 x 47 values have the squared slopes 2, 1 and 1: 6 / 16 a value, by the half.
    assert_allclose(_concentration([(Plane(star, 1.0), Plane(star, 1.0))]), 47**2 * 6 / 16 / 2)
    assert _concentration([(Plane(np.ones((192, 192)), 1.0),) * 2]) == 1


def test_a_concentrated_sky_needs_finer_pixels():
    found = of_known_sky(0.02, 1e-5)
    star = np.zeros((192, 192))
    star[96:100, 96:100] = 1.0
    pointed = Survey(found.shift, found.spectra, [(Plane(star, 1.0),) * 2])
    for border_of_images in (Border(edges=1e-3), Border(rims=1e-3)):
        free = complete_block(found, (5000, 5000), border_of_images)
        assert complete_block(pointed, (5000, 5000), border_of_images) < free


def test_what_folds_over_needs_finer_pixels():
    """A tail of the spectrum that tells little, and is far above the noise."""
    grid = FourierGrid((240, 240))
    signal = np.exp(-0.5 * grid.k2 / 0.03**2) + 1e-3 * (grid.k2 < 0.2**2)
    found = {}
    for noise in (1e-7, 1e-2):
        powers = (1e6 * x for x in (signal + 0j, signal + noise, np.full(signal.shape, noise)))
        survey = Survey(
            np.zeros(2), Spectra(grid, *powers, 240.0**2), [(Plane(np.zeros((48, 48)), 1.0),) * 2]
        )
        found[noise] = complete_block(survey, (5000, 5000), Border())
    # Nothing folds over where 0.2 cycles a pixel are less than half of a coarser one's.
    assert found[1e-7] <= 2.5 < found[1e-2]


def test_coarser_pixels_tile_what_is_periodic():
    found = of_known_sky(0.02, 0.1)
    sides = ((700, 700), (450, 434), (450, 451), (693, 699))
    assert [complete_block(found, s, Border(), periodic=True) for s in sides] == [5, 2, 1, 3]


def of_known_sky(width, noise, variance=1.0):
    """A survey without scatter: a round Gaussian spectrum of standard deviation `width` and white noise."""
    grid = FourierGrid((240, 240))
    signal = np.exp(-0.5 * grid.k2 / width**2)
    powers = (1e6 * x for x in (signal + 0j, signal + noise, np.full(signal.shape, noise)))
    spectra = Spectra(grid, *powers, 240.0**2)
    return Survey(np.zeros(2), spectra, [(Plane(np.zeros((48, 48)), variance),) * 2])


def information(width, noise, block):
    """That on the shift of the modes into which pixels `block` times coarser fold nothing, as an integral."""
    side = 0.42 / block if block > 1 else 0.5
    k = np.linspace(-side, side, 801)
    square = k**2 + k[:, None] ** 2
    signal = np.exp(-0.5 * square / width**2)
    return (square * signal**2 / (signal + noise) / noise).sum() * (k[1] - k[0]) ** 2


@pytest.mark.parametrize("width", [0.02, 0.04, 0.1])
@pytest.mark.parametrize("noise", [1e-3, 0.1])
def test_the_largest_block_that_is_complete(width, noise):
    """96 % of the information of the pixels, and not so of the next larger block."""
    chosen = complete_block(of_known_sky(width, noise), (5000, 5000), Border())
    whole = information(width, noise, 1)
    shares = {
        b: information(width, noise, b) / whole for b in (1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 10, 12, 16)
    }
    # Rings of a finite width, on a filter that is made to fall: to half a per cent.
    allowed = [b for b, share in shares.items() if share > 0.965]
    forbidden = [b for b, share in shares.items() if share < 0.955]
    assert chosen >= max(allowed, default=1)
    assert chosen < min((b for b in forbidden if b > max(allowed, default=1)), default=17)


def test_uneven_noise_needs_its_pixels():
    """Blocks that throw a tenth of the weight away are none to fit on.

    Of columns of variances 1 and v in turn the mean weighs 4 v / (1 + v)^2 of what they do: 0.89 for 2.
    """
    assert complete_block(of_known_sky(0.02, 0.1), (5000, 5000), Border()) > 1
    columns = np.broadcast_to(np.where(np.arange(48) % 2, 2.0, 1.0), (48, 48))
    assert complete_block(of_known_sky(0.02, 0.1, variance=columns), (5000, 5000), Border()) == 1
