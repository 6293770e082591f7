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


def measured(pairs, method, record_property, **options):
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
    record_property("draws", len(off))
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
def test_chi2_shift_on_other_skies(uncertainty, record_property):
    """20 skies: the sampling errors, 16 % of a ratio, leave room for no more than a factor 1.6."""
    found = measured(other_skies(20, 1, high=72), chi2_shift, record_property, uncertainty=uncertainty)
    assert_honest(found, slack=0.05 if uncertainty == "attached" else 0.1)
    assert_at_the_limit(found, 1.1)
    assert found.flags & ~ShiftFlag.BAD_CHI2 == 0


@pytest.mark.parametrize("method", [register_images, cross_correlation_shift])
def test_the_unweighted_methods_on_other_skies(method, record_property):
    """Unfiltered noise times noise: a factor of up to four at S/N 3, with errors that know it."""
    found = measured(other_skies(20, 2, high=72, faintest=5.0), method, record_property)
    assert_honest(found, slack=0.15)


# ---- slow ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("uncertainty", ["attached", "empirical"])
def test_chi2_shift_is_at_the_limit(scene, uncertainty, record_property):
    pair = simulate_pair(rng=77, **SCENES[scene])
    found = measured(pair.draws(120, rng=1), chi2_shift, record_property, uncertainty=uncertainty)
    assert_honest(found, slack=0.05 if uncertainty == "attached" else 0.1)
    assert_at_the_limit(found, 1.1)


@pytest.mark.slow
@pytest.mark.parametrize("scene", [name for name in SCENES if name != "faint"])
@pytest.mark.parametrize("method", [register_images, cross_correlation_shift])
def test_the_unweighted_methods_are_honest(scene, method, record_property):
    pair = simulate_pair(rng=77, **SCENES[scene])
    # The upsampled answer is a multiple of its resolution: made as fine as the bright scene needs.
    options = {"upsample_factor": 2000} if method is register_images else {}
    assert_honest(measured(pair.draws(80, rng=1), method, record_property, **options), slack=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("method", [chi2_shift, register_images, cross_correlation_shift])
def test_correlated_noise(method, record_property):
    """The attached sigmas do not know of the correlation, the residuals do."""
    pair = simulate_pair(rng=77, **CORRELATED)
    found = measured(pair.draws(120, rng=1), method, record_property, uncertainty="empirical")
    assert_honest(found, slack=0.1 if method is chi2_shift else 0.15)


@pytest.mark.slow
def test_chi2_shift_on_many_other_skies(record_property):
    """300 skies: the sampling error of a ratio is 4 %, that of the fraction inside 2.7 %."""
    found = measured(other_skies(300, 3), chi2_shift, record_property)
    assert_honest(found, slack=0.05)
    assert_at_the_limit(found, 1.1)
    assert found.flags & ShiftFlag.UNTRUSTED == 0


@pytest.mark.slow
@pytest.mark.parametrize("method", [register_images, cross_correlation_shift])
def test_the_unweighted_methods_on_many_other_skies(method, record_property):
    options = {"upsample_factor": 1000} if method is register_images else {}
    found = measured(other_skies(150, 4, faintest=5.0), method, record_property, **options)
    assert_honest(found, slack=0.15)
    assert found.flags & ShiftFlag.UNTRUSTED == 0
