"""The false-alarm probability: rare on unrelated skies however red, and tiny on related ones."""

import warnings

import numpy as np
import pytest
from astropy.nddata import CCDData, StdDevUncertainty

from astroreg import AstroregWarning, chi2_shift
from astroreg.simulation import extended_sky, simulate_pair


def unrelated(seed, index):
    rng = np.random.default_rng(seed)
    skies = [extended_sky((40, 44), index=index, rng=child) for child in rng.spawn(2)]
    sigma = StdDevUncertainty(np.full((40, 44), 0.1))
    return [CCDData(s + 0.1 * rng.standard_normal(s.shape), uncertainty=sigma, unit="adu") for s in skies]


def false_alarm(reference, image, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstroregWarning)
        return chi2_shift(reference, image, **options).false_alarm_probability


@pytest.mark.parametrize("index", [2.0, 4.0])
def test_unrelated_skies_rarely_match(index):
    """Of 20 pairs fewer than 3 below 1 %: 3 are seen once in 1000 where the probability is true."""
    alarms = [false_alarm(*unrelated(seed, index), min_overlap=0.2) for seed in range(20)]
    # No fit at all is no alarm either.
    assert np.sum(np.array(alarms) < 0.01) < 3


@pytest.mark.slow
@pytest.mark.parametrize("index", [2.0, 3.5])
def test_rate_of_false_alarms(index, record_property):
    """Over 150 pairs: no more below 1 % and 0.1 % than a binomial gives with a chance of 1e-4."""
    alarms = np.array([false_alarm(*unrelated(seed, index), min_overlap=0.2) for seed in range(150)])
    record_property("draws", len(alarms))
    # Binomial of 150: P(more than 7 | 0.01) = 1e-4, P(more than 3 | 0.001) = 2e-5.
    assert (alarms < 0.01).sum() <= 7
    assert (alarms < 0.001).sum() <= 3


@pytest.mark.parametrize("seed", range(3))
def test_related_skies_match(seed):
    """At S/N 3 a pixel thousands of pixels agree: beyond any chance."""
    pair = simulate_pair((48, 52), shift=(3.3, -2.8), snr=3, rng=seed)
    assert false_alarm(pair.reference, pair.image) < 1e-6


def test_more_trials_more_chance():
    """With p small, the probability grows in proportion to the number of shifts searched."""
    pair = simulate_pair((48, 52), shift=(1.3, -0.8), snr=0.4, rng=3)
    radii = (4, 20)
    few, many = (false_alarm(pair.reference, pair.image, max_shift=r) for r in radii)
    # Of the shifts within the radius none is farther than half a pixel, along both axes, from a whole one.
    reach = [r + np.sqrt(0.5) for r in radii]
    trials = [sum(np.hypot(x, y) <= r for x in range(-21, 22) for y in range(-21, 22)) for r in reach]
    assert abs(many / few / (trials[1] / trials[0]) - 1) < 0.05
    assert many < 0.01
