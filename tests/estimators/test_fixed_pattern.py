"""What is fixed to the detector, and what is not."""

import numpy as np
import pytest

from astroreg.estimators.correlation import coarse_shift, correlation_surface
from astroreg.estimators.fixed_pattern import has_spike, may_share_pattern, shared_outliers
from astroreg.estimators.overlap import Plane
from astroreg.simulation import extended_sky, simulate_pair


def frames(seed, drift, **detector):
    pair = simulate_pair((64, 64), shift=drift, snr=10, rng=seed, **detector)
    return [Plane(f.data, 0.01) for f in (pair.reference, pair.image)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("drift", [(6.3, 2.8), (0.0, 11.0)])
def test_a_pattern_makes_a_spike(seed, drift):
    planes = frames(seed, drift, fixed_pattern=0.4)
    assert has_spike(correlation_surface(*planes))
    found = coarse_shift(*planes)
    assert found.fixed_pattern
    assert np.abs(found.peak.shift - drift).max() <= 1.5


@pytest.mark.parametrize("fwhm", [1.7, 2.0, 2.5, 5.0])
@pytest.mark.parametrize("drift", [(0.0, 0.0), (0.4, 0.3), (6.3, 2.8)])
def test_a_sky_makes_none(fwhm, drift):
    """A sky at rest, of white structure behind a sampled beam: as sharp as skies are."""
    for seed in range(3):
        found = coarse_shift(*frames(seed, drift, index=0.5, fwhm=fwhm))
        assert not found.fixed_pattern
        assert np.abs(found.peak.shift - drift).max() <= 1


@pytest.mark.parametrize("seed", range(3))
def test_a_pattern_is_suspected(seed):
    """In the pixels themselves, before any search."""
    pair = [plane.data for plane in frames(seed, (6.3, 2.8), fixed_pattern=0.4)]
    assert may_share_pattern(*pair)
    # Scale and level are those of the exposures.
    assert may_share_pattern(pair[0], 30 * pair[1] + 1000)


@pytest.mark.parametrize("fwhm", [2.0, 2.5, 5.0])
@pytest.mark.parametrize("drift", [(0.0, 0.0), (6.3, 2.8)])
def test_a_sky_is_not_suspected(fwhm, drift):
    """At rest or moved, as sharp as a sampled beam makes it; a false suspicion costs time alone."""
    suspected = [
        may_share_pattern(*(p.data for p in frames(seed, drift, index=0.5, fwhm=fwhm))) for seed in range(5)
    ]
    assert sum(suspected) <= 1


def test_nothing_is_suspected_of_a_constant_or_of_too_little():
    rng = np.random.default_rng(3)
    assert not may_share_pattern(np.ones((32, 32)), rng.standard_normal((32, 32)))
    few = rng.standard_normal((15, 40))
    assert not may_share_pattern(few, few)


def test_hot_pixels_are_found_and_nothing_else():
    rng = np.random.default_rng(1)
    sky = extended_sky((60, 70), rng=2)
    hot = rng.random((60, 70)) < 0.005
    a, b = (s + 0.1 * rng.standard_normal(s.shape) + 8 * hot for s in (sky, np.roll(sky, 5, 1)))
    cosmic = rng.random((60, 70)) < 0.005
    a = a + 8 * (cosmic & ~hot)
    found = shared_outliers(a, b)
    assert found[hot].mean() > 0.9
    # 6 robust sigmas in both images: none by chance. What stands in one image alone is not shared.
    assert not found[~hot].any()


def test_dead_pixels_and_bad_ones():
    rng = np.random.default_rng(1)
    a, b = 0.1 * rng.standard_normal((2, 40, 40))
    a[10, 10] = b[10, 10] = -5
    a[20, 20], b[20, 20] = 5, -5
    a[30, 30] = b[30, 30] = np.inf
    good = np.isfinite(a)
    found = shared_outliers(np.where(good, a, 0), np.where(good, b, 0), good)
    assert np.argwhere(found).tolist() == [[10, 10]]
