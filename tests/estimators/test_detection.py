"""The false-alarm probability: rare on unrelated skies however red, and tiny on related ones."""

import numpy as np
import pytest

from astroreg.estimators.chi_squared import ChiSquaredStep
from astroreg.estimators.overlap import Plane
from astroreg.estimators.registration import Search, register
from astroreg.simulation import extended_sky, simulate_pair


def unrelated(seed, index):
    rng = np.random.default_rng(seed)
    skies = [extended_sky((40, 44), index=index, rng=child) for child in rng.spawn(2)]
    return [Plane(sky + 0.1 * rng.standard_normal(sky.shape), 0.01) for sky in skies]


@pytest.mark.parametrize("index", [2.0, 4.0])
def test_unrelated_skies_rarely_match(index):
    """Of 20 pairs fewer than 3 below 1 %: 3 are seen once in 1000 where the probability is true."""
    alarms = [
        register(*unrelated(seed, index), ChiSquaredStep, Search(min_overlap=0.2)).false_alarm
        for seed in range(20)
    ]
    # No fit at all is no alarm either.
    assert np.sum(np.array(alarms) < 0.01) < 3


@pytest.mark.slow
@pytest.mark.parametrize("index", [1.0, 2.0, 3.0, 4.0])
def test_rate_of_false_alarms(index):
    """Over 300 pairs: no more below 1 % and 0.1 % than a binomial gives with a chance of 1e-4."""
    alarms = np.array([
        register(*unrelated(seed, index), ChiSquaredStep, Search(min_overlap=0.2)).false_alarm
        for seed in range(300)
    ])
    # Binomial of 300: P(more than 10 | 0.01) = 2e-4, P(more than 4 | 0.001) = 2e-5.
    assert (alarms < 0.01).sum() <= 10
    assert (alarms < 0.001).sum() <= 4


@pytest.mark.parametrize("seed", range(3))
def test_related_skies_match(seed):
    """At S/N 3 a pixel thousands of pixels agree: beyond any chance."""
    pair = simulate_pair((48, 52), shift=(3.3, -2.8), snr=3, rng=seed)
    planes = [Plane(f.data, f.uncertainty.array**2) for f in (pair.reference, pair.image)]
    assert register(*planes, ChiSquaredStep, Search()).false_alarm < 1e-6


def test_more_trials_more_chance():
    """With p small, the probability grows in proportion to the number of shifts searched."""
    pair = simulate_pair((48, 52), shift=(1.3, -0.8), snr=1.5, rng=3)
    planes = [Plane(f.data, f.uncertainty.array**2) for f in (pair.reference, pair.image)]
    few, many = (register(*planes, ChiSquaredStep, Search(max_shift=r)) for r in (4, 20))
    assert few.coarse.trials < many.coarse.trials
    ratio = many.false_alarm / few.false_alarm
    assert abs(ratio / (many.coarse.trials / few.coarse.trials) - 1) < 0.05
    assert many.false_alarm < 0.01
