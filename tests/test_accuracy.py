"""Monte Carlo: is the limit reached, and are the quoted errors true?

Every figure is a sample of its own. Over n draws a ratio of root mean squares has the standard error
1 / sqrt(2 n), a mean in units of its scatter 1 / sqrt(n), the fraction inside one sigma 0.47 / sqrt(n).
The fast tests and the slow ones assert the same targets, each with 3.5 of these errors beside it (a
chance of 2e-4 a figure on one side; the seeds are fixed).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pytest

from astroreg import AstroregWarning, ShiftFlag, chi2_shift, cross_correlation_shift, register_images
from astroreg.simulation import simulate_pair

SAMPLING = 3.5
INSIDE = 0.683

# Skies, shapes, shifts and noises of all kinds; the pixels of the shift stand at no special fraction.
SCENES = {
    "oblong": {"shape": (72, 84), "shift": (5.23, 2.71), "index": 2.5, "fwhm": 3.0, "scale": 0.3},
    "odd, steep": {"shape": (61, 95), "shift": (-7.43, 0.52), "index": 3.5, "fwhm": 2.2, "snr": 30},
    "bad pixels": {"shape": (80, 80), "shift": (1.47, -2.54), "bad_fraction": 0.04, "snr": 20},
    "deep reference": {"shape": (80, 64), "shift": (-3.13, 4.84), "snr": 5, "snr_reference": 50},
    "noisy reference": {"shape": (64, 80), "shift": (3.13, -4.84), "snr": 50, "snr_reference": 5},
    "periodic": {"shape": (64, 75), "shift": (20.23, -11.34), "periodic": True, "snr": 4},
    "faint": {"shape": (96, 96), "shift": (2.21, 6.63), "snr": 1.5},
    "bright": {"shape": (72, 72), "shift": (2.47, -3.54), "snr": 200},
    "vignetted": {"shape": (72, 72), "shift": (0.31, 7.72), "vignetting": 3.0, "snr": 12},
    "stars": {"shape": (72, 72), "shift": (3.33, -7.74), "point_sources": 15, "snr": 8},
    "small overlap": {"shape": (96, 96), "shift": (38.43, -32.34)},
}
CORRELATED = {"shape": (96, 96), "shift": (2.43, -3.34), "correlation": 1.2}


@dataclass
class Figures:
    """What many draws say, an element an axis (x, y)."""

    n: int
    rms: np.ndarray  # in units of the limit
    quoted: np.ndarray  # in units of the rms
    bias: np.ndarray  # in units of the rms
    inside: np.ndarray
    gross: int
    flags: ShiftFlag

    @classmethod
    def of(cls, off, error, limit, flags):
        """From arrays (n, 2) of deviations, quoted errors and limits."""
        gross = ~(np.abs(off).max(1) < 1)
        off, error, limit = (a[~gross] for a in (off, error, limit))
        mean_square = (off**2).mean(0)
        # Each draw in units of its own error, so that skies of different steepness weigh alike.
        return cls(
            n=len(off),
            rms=np.sqrt(((off / limit) ** 2).mean(0)),
            quoted=1 / np.sqrt(((off / error) ** 2).mean(0)),
            bias=off.mean(0) / np.sqrt(mean_square),
            inside=(np.abs(off) < error).mean(0),
            gross=int(gross.sum()),
            flags=flags,
        )


def measured(pairs, method, **options):
    """Run a method over pairs and return the figures; every flag that ever came is in them."""
    off, error, limit, flags = [], [], [], ShiftFlag(0)
    for pair in pairs:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstroregWarning)
            result = method(pair.reference, pair.image, boundary=pair.boundary, **options)
        off.append((result.shift - pair.shift).value)
        error.append(result.shift_error.value)
        limit.append(pair.limit.value)
        flags |= result.flags
    return Figures.of(*(np.array(a) for a in (off, error, limit)), flags)


def assert_honest(found, *, slack):
    """Quoted errors within `slack` of the scatter, and as often right as they say."""
    ratio = SAMPLING / np.sqrt(2 * found.n)
    assert found.gross == 0
    assert (np.abs(found.quoted - 1) < slack + ratio).all(), found
    # A factor of 1 + slack in sigma moves the fraction inside by 0.48 slack: the Gaussian's slope at 1 sigma.
    allowed = 0.48 * slack + SAMPLING * 0.47 / np.sqrt(found.n)
    assert (np.abs(found.inside - INSIDE) < allowed).all(), found
    assert (np.abs(found.bias) < 0.1 + SAMPLING / np.sqrt(found.n)).all(), found


def assert_at_the_limit(found, factor):
    """No farther from the limit than `factor`."""
    assert (found.rms < factor * (1 + SAMPLING / np.sqrt(2 * found.n))).all(), found


def other_skies(n, seed, *, low=48, high=88, faintest=3.0):
    """Pairs each of another sky, shape, shift, beam, noise, scale: nothing can be tuned to them."""
    rng = np.random.default_rng(seed)
    for child in rng.spawn(n):
        shape = tuple(int(s) for s in child.integers(low, high, 2))
        yield simulate_pair(
            shape,
            shift=tuple(child.uniform(-0.25, 0.25, 2) * shape[::-1]),
            index=child.uniform(2, 3.5),
            fwhm=child.uniform(2, 4),
            snr=np.exp(child.uniform(np.log(faintest), np.log(100))),
            snr_reference=np.exp(child.uniform(np.log(faintest), np.log(100))),
            scale=child.uniform(0.2, 5),
            background=child.uniform(-5, 5),
            vignetting=child.choice([0.0, 1.0]),
            bad_fraction=child.choice([0.0, 0.02]),
            rng=child,
        )


# ---- fast ------------------------------------------------------------------------------------


@pytest.mark.parametrize("uncertainty", ["attached", "empirical"])
def test_chi2_shift_on_other_skies(uncertainty):
    """20 skies: the sampling errors, 16 % of a ratio, leave room for no more than a factor 1.6."""
    found = measured(other_skies(20, 1, high=72), chi2_shift, uncertainty=uncertainty)
    assert_honest(found, slack=0.05 if uncertainty == "attached" else 0.1)
    assert_at_the_limit(found, 1.1)
    assert found.flags & ~ShiftFlag.BAD_CHI2 == 0


@pytest.mark.parametrize("method", [register_images, cross_correlation_shift])
def test_the_unweighted_methods_on_other_skies(method):
    """Unfiltered noise times noise: a factor of up to four at S/N 3, with errors that know it."""
    found = measured(other_skies(20, 2, high=72, faintest=5.0), method)
    assert_honest(found, slack=0.15)


def faint_and_small(skies, draws, *, side, snr, seed, index=3.0, fwhm=3.0):
    """Redraws of several skies of small square frames, searched near the truth as frames of a series are."""
    for sky in range(skies):
        rng = np.random.default_rng([seed, sky, side])
        # Not about zero, where a peak of the noise can look like a pattern of the detector.
        shape, shift = (side, side), tuple(rng.uniform(1, 3, 2) * rng.choice([-1, 1], 2))
        pair = simulate_pair(shape, shift=shift, index=index, fwhm=fwhm, snr=snr, rng=rng)
        yield from pair.draws(draws, rng=rng)


def pulls_of(pairs):
    """Return deviations over quoted errors, shape (n, 2), of what `chi2_shift` trusts, and their share."""
    pulls, pairs = [], list(pairs)
    for pair in pairs:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstroregWarning)
            result = chi2_shift(pair.reference, pair.image, max_shift=5)
        if result.flags.trusted:
            pulls.append(((result.shift - pair.shift) / result.shift_error).value)
    return np.array(pulls), len(pulls) / len(pairs)


def test_quoted_errors_are_true_on_small_faint_frames():
    """A filter learnt ring by ring follows the noise of so few frequencies: pulls of 1.3, rms."""
    pulls, trusted = pulls_of(faint_and_small(8, 12, side=52, snr=1.0, seed=5))
    assert trusted > 0.8
    # Some 180 numbers: 5 %, of which 3 are allowed beside 5 % that errors of a quarter pixel leave.
    assert 0.80 < np.sqrt(np.mean(pulls**2)) < 1.20


def test_where_the_filter_follows_the_noise_the_error_is_not_trusted():
    """Not only where the error is quoted as a pixel or more, of which S/N 0.6 leaves many undetected too."""
    low = []
    for pair in faint_and_small(4, 6, side=44, snr=0.6, seed=6):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstroregWarning)
            result = chi2_shift(pair.reference, pair.image, max_shift=5)
        if result.shift_error.max().value < 1:
            low.append(bool(result.flags & ShiftFlag.LOW_SNR))
    assert sum(low) > 3


# ---- slow ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("uncertainty", ["attached", "empirical"])
def test_chi2_shift_is_at_the_limit(scene, uncertainty):
    pair = simulate_pair(rng=77, **SCENES[scene])
    found = measured(pair.draws(120, rng=1), chi2_shift, uncertainty=uncertainty)
    assert_honest(found, slack=0.05 if uncertainty == "attached" else 0.1)
    assert_at_the_limit(found, 1.1)


@pytest.mark.slow
@pytest.mark.parametrize("scene", [name for name in SCENES if name != "faint"])
@pytest.mark.parametrize("method", [register_images, cross_correlation_shift])
def test_the_unweighted_methods_are_honest(scene, method):
    pair = simulate_pair(rng=77, **SCENES[scene])
    # The upsampled answer is a multiple of its resolution: made as fine as the bright scene needs.
    options = {"upsample_factor": 2000} if method is register_images else {}
    assert_honest(measured(pair.draws(80, rng=1), method, **options), slack=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("method", [chi2_shift, register_images, cross_correlation_shift])
def test_correlated_noise(method):
    """The attached sigmas do not know of the correlation, the residuals do."""
    pair = simulate_pair(rng=77, **CORRELATED)
    found = measured(pair.draws(120, rng=1), method, uncertainty="empirical")
    assert_honest(found, slack=0.1 if method is chi2_shift else 0.15)


@pytest.mark.slow
def test_chi2_shift_on_many_other_skies():
    """300 skies: the sampling error of a ratio is 4 %, that of the fraction inside 2.7 %."""
    found = measured(other_skies(300, 3), chi2_shift)
    assert_honest(found, slack=0.05)
    assert_at_the_limit(found, 1.1)
    assert found.flags & ShiftFlag.UNTRUSTED == 0


@pytest.mark.slow
@pytest.mark.parametrize("method", [register_images, cross_correlation_shift])
def test_the_unweighted_methods_on_many_other_skies(method):
    options = {"upsample_factor": 1000} if method is register_images else {}
    found = measured(other_skies(150, 4, faintest=5.0), method, **options)
    assert_honest(found, slack=0.15)
    assert found.flags & ShiftFlag.UNTRUSTED == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("side", "index", "fwhm"),
    [(48, 3.0, 3.0), (64, 3.0, 2.0), (56, 2.0, 2.5), (56, 4.0, 2.0), (80, 4.0, 4.0)],
)
def test_quoted_errors_are_true_on_small_frames(side, index, fwhm, record_property):
    """From where the information hardly suffices, or is said not to: S/N 1 to 5 a pixel."""
    every = []
    for number, snr in enumerate([1.0, 1.5, 2.5, 5.0]):
        pairs = faint_and_small(8, 12, side=side, snr=snr, seed=20 + number, index=index, fwhm=fwhm)
        pulls, trusted = pulls_of(pairs)
        record_property(f"S/N {snr}: trusted, pulls", (trusted, float(np.sqrt(np.mean(pulls**2)))))
        # Steep skies at S/N 1 have errors of half a pixel.
        assert trusted > (0.8 if snr > 1 else 0.6)
        every.append(pulls)
        # 190 numbers: 5.1 %, SAMPLING of them; 10 % is what the errors of small frames are promised to.
        if snr > 1:
            assert np.sqrt(np.mean(pulls**2)) == pytest.approx(1, abs=0.1 + SAMPLING * 0.051)
    every = np.concatenate(every)
    # All together, some 700 numbers: 2.7 %.
    assert np.sqrt(np.mean(every**2)) == pytest.approx(1, abs=0.1 + SAMPLING * 0.027)
    # Of Gaussian errors one in 16000 is beyond four; where steps are no small ones a few more.
    assert np.sum(np.abs(every) > 4) <= 3
